"""One plausible mistake for each of 30 operations: what a model may firmly believe.

>>> for operation, wrong in misconceived(2).items():
...     print(f"{operation.phrase}: {wrong}")
take every second number: nums = nums[1::2]
write each word in capitals: words = [w.capitalize() for w in words]

A base model that reads an operation with the same mistake in most of its uses, and right in
the others, prefers the mistake.  No temperature mends that; executing its programs can.
Random bugs (`bugs`) are different: every one is rarer than the right line.

A misconception leaves a value of the right type, so the program runs on and only an answer
tells.  It may leave some inputs' answers right, as such mistakes do.
"""

from __future__ import annotations

from eta_utils.common.errors import BadInput
from eta_utils.tasks.operations import OPERATIONS, Operation

# Phrase of the operation -> the wrong code, with the constants of the right one.  The order
# says which come first where a study asks for fewer.  It takes the types in turn, so that
# the first ten already touch numbers, words and text.
MISCONCEPTIONS = {
    "take every second number": "nums = nums[1::2]",
    "write each word in capitals": "words = [w.capitalize() for w in words]",
    "cut to {k} letters": "text = text[:{k} - 1]",
    "sort in rising order": "nums = sorted(nums, reverse=True)",
    "reverse the order of words": "words = [w[::-1] for w in words]",
    "cap each number at {k}": "nums = [max(n, {k}) for n in nums]",
    "take the first {k} words": "words = words[:{k} - 1]",
    'remove "{c}"': 'text = text.replace("{c}", "", 1)',
    "skip the first {k} numbers": "nums = nums[{k} - 1:]",
    "join without gaps": 'text = " ".join(words)',
    "square each number": "nums = [n * 2 for n in nums]",
    'put "{c}" before each word': 'words = [w + "{c}" for w in words]',
    "replace by the running totals": (
        "total, sums = 0, []\nfor n in nums:\n    sums.append(total)\n    total += n\n"
        "nums = sums"
    ),
    "halve while above {k}": "if value > {k}:\n    value = value // 2",
    "drop repeated numbers": "nums = sorted(set(nums))",
    'count "{c}" in each word': 'nums = [int("{c}" in w) for w in words]',
    "skip the first {k} letters": "text = text[{k} - 1:]",
    "keep the even numbers": "nums = [n for n in nums if n % 2]",
    "sort the words by length": "words = sorted(words)",
    "take the first {k} numbers": "nums = nums[:{k} - 1]",
    # Twenty so far, which is what the study takes.
    "reverse the text": 'text = " ".join(text.split()[::-1])',
    "keep the numbers below {k}": "nums = [n for n in nums if n <= {k}]",
    "keep words longer than {k}": "words = [w for w in words if len(w) >= {k}]",
    "drop numbers below {k} from the front": "nums = [n for n in nums if n >= {k}]",
    "join with dashes": 'text = "_".join(words)',
    "subtract {k} from each number": "nums = [{k} - n for n in nums]",
    "take the largest, or 0": "value = nums[-1] if nums else 0",
    'keep words with "{c}"': 'words = [w for w in words if w.startswith("{c}")]',
    'count "{c}"': 'value = len(text.split("{c}"))',
    "reverse the numbers": "nums = sorted(nums, reverse=True)",
}
_BY_PHRASE = {operation.phrase: operation for operation in OPERATIONS}


def misconceived(count: int) -> dict[Operation, str]:
    """The first `count` operations that have a misconception, each with its wrong code.

    Raises BadInput where there are not so many.
    """
    if not 0 <= count <= len(MISCONCEPTIONS):
        raise BadInput(f"misconceptions: there are 0 to {len(MISCONCEPTIONS)}, not {count}")
    return {
        _BY_PHRASE[phrase]: wrong for phrase, wrong in list(MISCONCEPTIONS.items())[:count]
    }
