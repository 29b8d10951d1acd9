"""Inside the candidate's process: count steps, stop at the budget, record variable states.

A state is a 64-bit fingerprint of a value just given to a variable; names are ignored, so
a program that calls the same list `xs` and another `items` leave the same states.  Values
are read with care, because they may be hostile: only objects of exactly the built-in
types are looked into, and no method of the candidate's classes (`__repr__`, `__len__`,
`__eq__`, `__hash__`, ...) is ever called.

Fingerprints are comparable between processes that run the same Python with
PYTHONHASHSEED=0, as every process of the jail does.  This module is loaded in the fork
server, where each page of memory costs time: it imports next to nothing.
"""

from __future__ import annotations

from itertools import repeat
from operator import is_, length_hint
from struct import pack
from sys import _getframe

COUNTER = "_eta_"  # and a number: the global name of a counter
_NAMES = [f"{COUNTER}{number}" for number in range(500)]  # made once, in the zygote
STATES_PER_CALL = 120  # as in the trial that chose these orderings
ITEMS = 32  # of a list or tuple
MEMBERS = 1000  # of a set or dict
DEPTH = 3

_FOREIGN, _NONE, _NAN, _DEEP = 0x5EED01, 0x5EED02, 0x5EED03, 0x5EED04
_PLAIN = frozenset({int, bool, str, bytes, range})


def fingerprint(value: object, depth: int = DEPTH) -> int:
    """A 64-bit number that equal plain values share; never calls the value's own code."""
    kind = type(value)
    if kind in _PLAIN:
        return hash(value)
    if kind is float:
        return _NAN if value != value else hash(value)
    if value is None:
        return _NONE
    if kind is list or kind is tuple:
        if not depth:
            return _DEEP
        marks = [fingerprint(item, depth - 1) for item in value[:ITEMS]]
        return hash((kind is list, len(value), *marks))
    if kind is set or kind is frozenset or kind is dict:
        return _unordered(value, kind, depth)
    return _FOREIGN


def _unordered(value: set | frozenset | dict, kind: type, depth: int) -> int:
    if not depth or len(value) > MEMBERS:
        return hash((_DEEP, len(value)))
    if kind is dict:
        marks = (
            hash((fingerprint(key, depth - 1), fingerprint(item, depth - 1)))
            for key, item in value.items()
        )
    else:
        marks = (fingerprint(member, depth - 1) for member in value)
    return hash((kind is dict, len(value), hash(frozenset(marks))))


class Recorder:
    """Supplies the names that `instrument` writes into a program, and reads them out.

    Each counter is an iterator over half as many True as the budget has steps, so that a
    loop of two statements, the usual least, stops when the budget is used up.  A spent
    iterator raises StopIteration for ever.  With `in_words` each state is kept as text as
    well.
    """

    def __init__(
        self, counters: int, budget: int, namespace: dict, in_words: bool = False
    ) -> None:
        self._namespace = namespace
        more = (f"{COUNTER}{number}" for number in range(len(_NAMES), counters))
        self._names = [*_NAMES[:counters], *more]
        self._before = [0] * counters
        self._states: list[int] = []
        self._in_words = in_words
        self.words: list[tuple[int, str, str]] = []  # (line, variable, value) of each state
        self._last: dict[str, int] = {}
        namespace["_eta_see"] = is_  # takes two arguments, does nothing, costs little
        self._allow(budget)

    def _allow(self, budget: int) -> None:
        self._limit = budget // 2
        self._iterators = [repeat(True, self._limit) for _ in self._names]
        nexts = [iterator.__next__ for iterator in self._iterators]
        self._namespace.update(zip(self._names, nexts, strict=True))

    def begin_call(self, budget: int) -> None:
        """Start recording the states of one call; a `budget` other than 0 replaces what
        is left of the one before."""
        if budget:
            self._before, _ = self.hits()
            self._allow(budget)
        self._states.clear()
        self.words.clear()
        self._last.clear()
        self._namespace["_eta_see"] = self._see

    def _see(self, name: str, value: object) -> None:
        mark = fingerprint(value)
        if self._last.get(name) != mark:
            self._last[name] = mark
            self._states.append(mark)
            if self._in_words:
                self.words.append((_getframe(1).f_lineno, name, describe(value)))
            if len(self._states) >= STATES_PER_CALL:
                self._namespace["_eta_see"] = is_

    def states(self) -> bytes:
        """The states of the current call, eight bytes each."""
        return pack(f"{len(self._states)}q", *self._states)

    def hits(self) -> tuple[list[int], bool]:
        """How often each counter was called, and whether one has used up its share."""
        left = list(map(length_hint, self._iterators))
        limit = self._limit
        counted = zip(self._before, left, strict=True)
        return [before + limit - rest for before, rest in counted], 0 in left


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
