"""The typed operations that `pipelines` strings together: a phrase and its Python.

An operation takes the value of one type, kept in the variable of that name (`nums`, `text`,
`words`, `value`), and leaves one of another or the same.  `{k}` stands for a small number,
`{c}` for a letter; both are drawn for each use.

Leaves out: what may go wrong in a line (see `bugs`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LETTERS = "aeot"


@dataclass(frozen=True)
class Operation:
    """`phrase` is the numbered step of the docstring, `code` its lines without indent."""

    source: str
    target: str
    phrase: str
    code: str
    smallest: int = 2
    largest: int = 5

    def drawn(self, rng: random.Random) -> tuple[str, str]:
        """(Phrase, code) with the constants filled in."""
        drawn = {"k": rng.randint(self.smallest, self.largest), "c": rng.choice(LETTERS)}
        # not str.format: the code has braces of its own
        phrase, code = self.phrase, self.code
        for name, value in drawn.items():
            phrase = phrase.replace(f"{{{name}}}", str(value))
            code = code.replace(f"{{{name}}}", str(value))
        return phrase, code


def _each(source: str, target: str, phrase: str, expression: str, *bounds: int):
    item = source[0]
    code = f"{target} = [{expression} for {item} in {source}]"
    return Operation(source, target, phrase, code, *bounds)


def _keep(source: str, phrase: str, condition: str, *bounds: int):
    item = source[0]
    code = f"{source} = [{item} for {item} in {source} if {condition}]"
    return Operation(source, source, phrase, code, *bounds)


OPERATIONS = (
    # numbers to numbers
    _each("nums", "nums", "add {k} to each number", "n + {k}", 1, 4),
    _each("nums", "nums", "subtract {k} from each number", "n - {k}", 1, 4),
    _each("nums", "nums", "multiply each number by {k}", "n * {k}"),
    _each("nums", "nums", "square each number", "n * n"),
    _each("nums", "nums", "cap each number at {k}", "min(n, {k})", 4, 7),
    _each("nums", "nums", "take the absolute values", "abs(n)"),
    _keep("nums", "keep the even numbers", "n % 2 == 0"),
    _keep("nums", "keep the odd numbers", "n % 2 == 1"),
    _keep("nums", "keep the numbers above {k}", "n > {k}", 0, 3),
    _keep("nums", "keep the numbers below {k}", "n < {k}", 6, 9),
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
    _each("nums", "words", "turn each number into text", "str(n)"),
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
    _each("words", "words", "write each word in capitals", "w.upper()"),
    _each("words", "words", "reverse each word", "w[::-1]"),
    _each("words", "words", 'put "{c}" before each word', '"{c}" + w'),
    _keep("words", "keep words longer than {k}", "len(w) > {k}", 2, 4),
    _keep("words", 'keep words with "{c}"', '"{c}" in w'),
    Operation("words", "words", "sort the words", "words = sorted(words)"),
    Operation(
        "words", "words", "sort the words by length", "words = sorted(words, key=len)"
    ),
    Operation("words", "words", "reverse the order of words", "words = words[::-1]"),
    Operation("words", "words", "take the first {k} words", "words = words[:{k}]", 2, 4),
    _each("words", "nums", "take the length of each word", "len(w)"),
    _each("words", "nums", 'count "{c}" in each word', 'w.count("{c}")'),
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

SOURCES = ("nums", "text", "words")
BY_SOURCE = {
    source: [each for each in OPERATIONS if each.source == source]
    for source in (*SOURCES, "value")
}
