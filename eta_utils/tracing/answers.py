"""What a call returned, as a sequence of marks: nearly right answers share nearly all.

A mark is a 64-bit fingerprint (see `recorder`).  The first is that of the value's kind.
Then come a list's items, a text's characters, a dict's entries, or the value itself.

    [3, 1]  ->  list, 3, 1            "ab"  ->  text, a, b            7  ->  number, 7

Two numbers are equal or not; how near they are does not count.
"""

from __future__ import annotations

from struct import pack

from eta_utils.tracing.recorder import DEPTH, ITEMS, MEMBERS, fingerprint

MARKS_PER_ANSWER = 120
_KINDS = {
    bool: "number",  # True == 1, and tests compare by ==
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "set",
    dict: "dict",
    type(None): "none",
}
_NOT_PLAIN = "other"


def marks(value: object) -> bytes:
    """The marks of a returned value, eight bytes each; never calls the value's own code."""
    sequence: list[int] = []
    _flatten(value, DEPTH, sequence)
    sequence = sequence[:MARKS_PER_ANSWER]
    return pack(f"{len(sequence)}q", *sequence)


def _flatten(value: object, depth: int, sequence: list[int]) -> None:
    """Append the marks of `value`, with lists opened `depth` levels deep."""
    kind = type(value)
    sequence.append(hash(_KINDS.get(kind, _NOT_PLAIN)))
    if not depth:
        sequence.append(fingerprint(value))
    elif kind is str:
        sequence += map(hash, value[:MARKS_PER_ANSWER])
    elif kind is list or kind is tuple:
        for item in value[:ITEMS]:
            _flatten_item(item, depth - 1, sequence)
    # Sorted, because the members have no order; a common subsequence needs one.
    elif kind in (set, frozenset) and len(value) <= MEMBERS:
        sequence += sorted(map(fingerprint, value))
    elif kind is dict and len(value) <= MEMBERS:
        sequence += sorted(fingerprint(entry) for entry in value.items())
    else:
        sequence.append(fingerprint(value))


def _flatten_item(item: object, depth: int, sequence: list[int]) -> None:
    """An item of a list: a nested list is opened, anything else is one mark."""
    if type(item) is list or type(item) is tuple:
        _flatten(item, depth, sequence)
    else:
        sequence.append(fingerprint(item))
