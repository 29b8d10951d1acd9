"""Short texts of values, for people who read a trace.

>>> describe([1, "two", {3.0: None}])
"[1, 'two', {3.0: None}]"

As careful as fingerprints (see `recorder`): only objects of exactly the built-in types are
looked into, and no method of a candidate's class is ever called.
"""

from __future__ import annotations

LONGEST = 60  # characters
_ITEMS, _DEPTH, _DIGITS = 12, 3, 100
_BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}


def describe(value: object, depth: int = _DEPTH) -> str:
    """The value as Python would write it, cut where it is long; an object of another class
    is `an object`."""
    kind = type(value)
    if value is None or kind is bool or kind is float or kind is range:
        text = repr(value)
    elif kind is int:  # Python refuses to write very long ones
        text = repr(value) if value.bit_length() < 3 * _DIGITS else "a large int"
    elif kind is str or kind is bytes:
        text = repr(value[:LONGEST])
    elif kind in _BRACKETS and depth:
        text = _collection(value, kind, depth - 1)
    else:
        text = "..." if kind in _BRACKETS else "an object"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def texts_only(words: list) -> list[list]:
    """States in words (line, variable, value) that somebody else sent, with nothing in them
    but a number and short texts.  Raises TypeError or ValueError for anything else."""
    return [
        [int(line), str(name)[:LONGEST], str(value)[:LONGEST]]
        for line, name, value in words
    ]


def _collection(
    value: list | tuple | set | frozenset | dict, kind: type, depth: int
) -> str:
    shown = []
    for item in value.items() if kind is dict else value:
        if len(shown) == _ITEMS:
            shown.append("...")
            break
        if kind is dict:
            shown.append(f"{describe(item[0], depth)}: {describe(item[1], depth)}")
        else:
            shown.append(describe(item, depth))
    if kind is set or kind is frozenset:
        shown.sort()  # their own order tells nothing
    left, right = _BRACKETS[kind]
    return f"{left}{', '.join(shown)}{right}"
