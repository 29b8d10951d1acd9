"""The typed operations that `pipelines` strings together: a phrase and its Python.

There are four types, each kept in the variable of its name: `nums`, `text`, `words` and
`value`.  An operation takes a value of one type and leaves one of the same or another.
`{k}` stands for a small number and `{c}` for a letter, both drawn for each use.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LETTERS = "aeot"  # common in the words of `pipelines`, so that they matter


@dataclass(frozen=True, eq=False)  # each is itself only: chains compare them all the time
class Operation:
    """One step.

    `source` and `target` are the types before and after it.  `phrase` stands in the
    docstring, `code` in the body, without indent.  `{k}` is drawn from `smallest` to
    `largest`, both included.
    """

    source: str
    target: str
    phrase: str
    code: str
    smallest: int = 2
    largest: int = 5

    def drawn(self, rng: random.Random, *others: str) -> tuple[str, ...]:
        """(Phrase, code, each of the `others`), all with the same constants filled in."""
        constants = {
            "{k}": str(rng.randint(self.smallest, self.largest)),
            "{c}": rng.choice(LETTERS),
        }
        texts = (self.phrase, self.code, *others)
        for name, value in constants.items():
            # Not by str.format: the code may have braces of its own.
            texts = tuple(text.replace(name, value) for text in texts)
        return texts


def _map(source: str, target: str, phrase: str, expression: str, *bounds: int) -> Operation:
    """Do the same to each item, which is called by its type's first letter."""
    item = source[0]
    code = f"{target} = [{expression} for {item} in {source}]"
    return Operation(source, target, phrase, code, *bounds)


def _filter(source: str, phrase: str, condition: str, *bounds: int) -> Operation:
    """Keep the items for which the condition is true."""
    item = source[0]
    code = f"{source} = [{item} for {item} in {source} if {condition}]"
    return Operation(source, source, phrase, code, *bounds)


OPERATIONS = (
    # numbers to numbers
    _map("nums", "nums", "add {k} to each number", "n + {k}", 1, 4),
    _map("nums", "nums", "subtract {k} from each number", "n - {k}", 1, 4),
    _map("nums", "nums", "multiply each number by {k}", "n * {k}"),
    _map("nums", "nums", "square each number", "n * n"),
    _map("nums", "nums", "cap each number at {k}", "min(n, {k})", 4, 7),
    _map("nums", "nums", "take the absolute values", "abs(n)"),
    _filter("nums", "keep the even numbers", "n % 2 == 0"),
    _filter("nums", "keep the odd numbers", "n % 2 == 1"),
    _filter("nums", "keep the numbers above {k}", "n > {k}", 0, 3),
    _filter("nums", "keep the numbers below {k}", "n < {k}", 6, 9),
    Operation("nums", "nums", "sort in rising order", "nums = sorted(nums)"),
    Operation("nums", "nums", "sort in falling order", "nums = sorted(nums, reverse=True)"),
    Operation("nums", "nums", "reverse the numbers", "nums = nums[::-1]"),
    Operation("nums", "nums", "drop repeated numbers", "nums = list(dict.fromkeys(nums))"),
    Operation("nums", "nums", "take the first {k} numbers", "nums = nums[:{k}]", 2, 5),
    Operation("nums", "nums", "skip the first {k} numbers", "nums = nums[{k}:]", 1, 3),
    Operation("nums", "nums", "take every second number", "nums = nums[::2]"),
    Operation(
        "nums",
        "nums",
        "replace by the running totals",
        "total, sums = 0, []\nfor n in nums:\n    total += n\n    sums.append(total)\n"
        "nums = sums",
    ),
    Operation(
        "nums",
        "nums",
        "drop numbers below {k} from the front",
        "while nums and nums[0] < {k}:\n    nums = nums[1:]",
    ),
    # numbers to something else
    Operation("nums", "value", "sum up", "value = sum(nums)"),
    Operation("nums", "value", "take the largest, or 0", "value = max(nums, default=0)"),
    Operation("nums", "value", "count the numbers", "value = len(nums)"),
    _map("nums", "words", "turn each number into text", "str(n)"),
    # one value
    Operation("value", "value", "add {k}", "value = value + {k}", 1, 4),
    Operation("value", "value", "multiply by {k}", "value = value * {k}"),
    Operation(
        "value",
        "value",
        "halve while above {k}",
        "while value > {k}:\n    value = value // 2",
    ),
    # words
    _map("words", "words", "write each word in capitals", "w.upper()"),
    _map("words", "words", "reverse each word", "w[::-1]"),
    _map("words", "words", 'put "{c}" before each word', '"{c}" + w'),
    _filter("words", "keep words longer than {k}", "len(w) > {k}", 2, 4),
    _filter("words", 'keep words with "{c}"', '"{c}" in w'),
    Operation("words", "words", "sort the words", "words = sorted(words)"),
    Operation(
        "words", "words", "sort the words by length", "words = sorted(words, key=len)"
    ),
    Operation("words", "words", "reverse the order of words", "words = words[::-1]"),
    Operation("words", "words", "take the first {k} words", "words = words[:{k}]", 2, 4),
    _map("words", "nums", "take the length of each word", "len(w)"),
    _map("words", "nums", 'count "{c}" in each word', 'w.count("{c}")'),
    Operation("words", "text", "join with dashes", 'text = "-".join(words)'),
    Operation("words", "text", "join without gaps", 'text = "".join(words)'),
    # text
    Operation("text", "text", "write in capitals", "text = text.upper()"),
    Operation("text", "text", "reverse the text", "text = text[::-1]"),
    Operation("text", "text", "skip the first {k} letters", "text = text[{k}:]", 1, 4),
    Operation("text", "text", "cut to {k} letters", "text = text[:{k}]", 6, 9),
    Operation("text", "text", 'remove "{c}"', 'text = text.replace("{c}", "")'),
    Operation("text", "words", "split into words", "words = text.split()"),
    Operation("text", "value", 'count "{c}"', 'value = text.count("{c}")'),
)

# What a function's argument can be.  No function takes a single value: too little can be
# done to it.
SOURCES = ("nums", "text", "words")
BY_SOURCE = {
    source: [operation for operation in OPERATIONS if operation.source == source]
    for source in (*SOURCES, "value")
}
