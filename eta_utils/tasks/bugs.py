"""Bugs of named kinds, as real code has them, put into the lines of one step.

>>> corrupt("nums = [n + 3 for n in nums]", random.Random(0))
('nums = [n + 3 for n in len(nums)]', 'wrong_type')

Each kind rewrites the text and keeps it Python.  Where a kind finds nothing to rewrite,
another is taken.  A bug need not show on every input: bugs seldom do.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(r"(?<![\w\"])\d+")  # not part of a name or a text
# Text to replace, and what by: another operator, or another function of the same type.
_OPERATORS = {
    " + ": " - ",
    " - ": " + ",
    " * ": " + ",
    " // 2": " / 2",
    " % 2 == 0": " % 2 == 1",
    " % 2 == 1": " % 2 == 0",
    " > ": " < ",
    " < ": " > ",
    ' if "': ' if not "',
    "max(": "min(",
    "min(": "max(",
    "abs(n)": "-n",
    "sorted(": "reversed(",
    ", reverse=True": "",
    ", key=len": "",
    ".upper()": ".lower()",
    "[::-1]": "[::1]",
    "dict.fromkeys(": "set(",
    "sum(": "max(",
    "+= ": "= ",
}
# The same, so that something gets a value of a type that it cannot take.
_WRONG_TYPES = {
    "len(w)": "w",
    "str(n)": "n",
    "n * n": "n * nums",
    "sums.append(total)": "sums += total",
    ".split()": ".split",
    "sorted(nums": "sorted(len(nums)",
    "sorted(words": "sorted(len(words)",
    "sum(nums)": "sum(len(nums))",
    " for n in nums": " for n in len(nums)",
    " for w in words": " for w in len(words)",
    "join(words)": "join(len(words))",
    "nums[": "sum(nums)[",
    "words[": "len(words)[",
    "text[": "len(text)[",
    "text.": "list(text).",
    "(nums)": "(sum(nums))",
    "value ": "str(value) ",
}
_UNDEFINED = {"nums": "num", "words": "word", "text": "txt", "value": "val"}


def _off_by_one(code: str, rng: random.Random) -> str | None:
    """A number is one more or one less, but never below 0."""
    numbers = list(_NUMBER.finditer(code))
    if not numbers:
        return None
    number = rng.choice(numbers)
    value = int(number[0])
    shifted = value + (rng.choice((-1, 1)) if value > 0 else 1)
    return code[: number.start()] + str(shifted) + code[number.end() :]


def _wrong_operator(code: str, rng: random.Random) -> str | None:
    """An operator or a function becomes another."""
    return _swap(code, _OPERATORS, rng)


def _wrong_type(code: str, rng: random.Random) -> str | None:
    """A value has a type that the operation cannot take, right of the assignment."""
    return _swap(code, _WRONG_TYPES, rng, after=code.find("= ") + 1)


def _undefined_name(code: str, rng: random.Random) -> str | None:
    """A name that is read, not one that is assigned, is misspelt."""
    for name, wrong in _UNDEFINED.items():
        reads = list(re.finditer(rf"\b{name}\b(?! =)", code))
        if reads:
            read = rng.choice(reads)
            return code[: read.start()] + wrong + code[read.end() :]
    return None


def _endless_loop(code: str, rng: random.Random) -> str | None:
    """A loop that never comes nearer to its end, or one that feeds itself."""
    # In an existing loop, the assignment of its body changes nothing any more.
    if "while " in code:
        body = code.rindex("\n    ") + 5
        name = code[body:].split(" ", 1)[0]
        return f"{code[:body]}{name} = {name}"
    # Otherwise a loop that appends to the list it goes through, where that is a list.
    target, _, value = code.partition(" = ")
    if "\n" in code or target not in ("nums", "words"):
        return None
    item = target[0]
    growth = f"for {item} in {target}:\n    {target}.append({item})"
    return f"{code}\n{growth}" if value.startswith(("[", target)) else None


def _swap(
    code: str, table: dict[str, str], rng: random.Random, after: int = 0
) -> str | None:
    """Replace, once and from `after` on, a text of the table that the code has."""
    replaceable = [old for old in table if old in code[after:]]
    if not replaceable:
        return None
    old = rng.choice(replaceable)
    return code[:after] + code[after:].replace(old, table[old], 1)


KINDS: dict[str, Callable[[str, random.Random], str | None]] = {
    "off_by_one": _off_by_one,
    "wrong_operator": _wrong_operator,
    "undefined_name": _undefined_name,
    "wrong_type": _wrong_type,
    "endless_loop": _endless_loop,
}
# Endless loops are rarer in real code than the others, and cost most to run.
_WEIGHTS = (3, 3, 2, 2, 1)


def corrupt(code: str, rng: random.Random) -> tuple[str, str]:
    """(Code with one bug, the bug's kind).

    The kinds are drawn by `_WEIGHTS` until one finds something to rewrite.
    """
    kinds = list(KINDS)
    while True:
        [kind] = rng.choices(kinds, _WEIGHTS[: len(kinds)])
        broken = KINDS[kind](code, rng)
        if broken is not None and broken != code:
            return broken, kind
