"""Inside the candidate's process: count steps, stop at the budget, record variable states.

- `fingerprint`   a value as a 64-bit number: a *state* is that of a value just given to a
                  variable;
- `Recorder`      what `instrument` makes a program call: the counters and the states;
- `describe`      a value in a few words, for states that a person reads;
- `texts_only`    a check of such words that somebody else sent.

The names of variables are not part of a state.  So a program that calls a list `xs` and
another that calls it `items` leave the same states.

Values may be hostile.  Only objects of exactly the built-in types are looked into, and no
method of the candidate's classes (`__repr__`, `__len__`, `__eq__`, `__hash__`, ...) is ever
called.

Fingerprints can be compared between processes that run the same Python with
PYTHONHASHSEED=0, as every process of the sandbox does.  This module is loaded in the fork
server, where each page of memory costs time: it imports next to nothing.
"""

from __future__ import annotations

from itertools import repeat
from operator import is_, length_hint
from struct import pack

# What is recorded is bounded, so that a program can neither fill memory nor take long.
STATES_PER_CALL = 120  # as in the trial that chose the orderings by trace
# Values, and items within them, that are looked at in one call.  A large table of which the
# first items stay the same leaves no state, and would be looked through at each statement.
MOST_LOOKED_AT = 200_000
ITEMS = 32  # of a list or tuple
MEMBERS = 1000  # of a set or dict
DEPTH = 3  # of nested containers

COUNTER = "_eta_"  # and a number: the global name of a counter
_NAMES = [f"{COUNTER}{number}" for number in range(500)]  # made once, in the zygote

# Arbitrary numbers for values that have no hash of their own to use.
_FOREIGN, _NONE, _NAN, _DEEP = 0x5EED01, 0x5EED02, 0x5EED03, 0x5EED04
_PLAIN = frozenset({int, bool, str, bytes, range})
_looked_at = [0]  # values and items, in the current call


def fingerprint(value: object, depth: int = DEPTH) -> int:
    """A 64-bit number that equal plain values share; never calls the value's own code.

    Containers are looked into `depth` levels deep.  Of a list or tuple the first `ITEMS`
    items count; of a set or dict with more than `MEMBERS` members the size alone does.
    """
    kind = type(value)  # not isinstance, which a subclass would pass
    if kind in _PLAIN:
        return hash(value)
    if kind is float:
        # Python hashes a NaN by its address, which differs from process to process.
        return _NAN if value != value else hash(value)
    if value is None:  # hashed by its address, too, before Python 3.12
        return _NONE
    if kind is list or kind is tuple:
        if not depth:
            return _DEEP
        marks = [fingerprint(item, depth - 1) for item in value[:ITEMS]]
        _looked_at[0] += len(marks)
        return hash((kind is list, len(value), *marks))
    if kind is set or kind is frozenset or kind is dict:
        return _unordered(value, kind, depth)
    return _FOREIGN


def _unordered(value: set | frozenset | dict, kind: type, depth: int) -> int:
    """The fingerprint of a set or dict, whatever the order of its members."""
    if not depth or len(value) > MEMBERS:
        return hash((_DEEP, len(value)))
    _looked_at[0] += len(value)
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

    A counter must be cheap, and the program must not get past a used-up budget.  Both come
    from C: a counter is the `__next__` of an iterator over so many True.  Counting takes
    one of them.  Reading the count asks how many are left.  A spent iterator raises
    StopIteration at every later call.

    Each counter has half of the budget.  So a loop of two statements, the smallest usual
    one, stops when the budget is used up.  The sum over all counters can exceed the budget:
    whoever reads the hits has to compare it (`sandbox.examination` does).

    With `in_words` each state is also kept as text.
    """

    def __init__(
        self, counters: int, budget: int, namespace: dict, in_words: bool = False
    ) -> None:
        self._namespace = namespace  # the program's globals
        more = (f"{COUNTER}{number}" for number in range(len(_NAMES), counters))
        self._names = [*_NAMES[:counters], *more]
        self._before = [0] * counters  # hits under earlier budgets
        self._states: list[int] = []
        # The line that wrote each state, in their order.  Between them and negative: idle
        # lines, which gave a variable the value that it had already and left no state.
        self.writes: list[int] = []
        self._in_words = in_words
        self.words: list[tuple[int, str, str]] = []  # (line, variable, value) of each state
        self._last: dict[str, int] = {}  # the last state of each variable
        # While the module level runs, nothing is recorded.  `operator.is_` takes two
        # arguments like `_see`, does nothing with them, and costs little.
        namespace["_eta_see"] = is_
        self._allow(budget)

    def _allow(self, budget: int) -> None:
        """Give every counter a fresh iterator."""
        self._limit = budget // 2
        self._iterators = [repeat(True, self._limit) for _ in self._names]
        nexts = [iterator.__next__ for iterator in self._iterators]
        self._namespace.update(zip(self._names, nexts, strict=True))

    def begin_call(self, budget: int, recording: bool = True) -> None:
        """Start recording the states of one call; unless `recording`, count steps alone.

        A `budget` other than 0 replaces what is left of the one before, in steps.
        """
        if budget:
            self._before, _ = self.hits()
            self._allow(budget)
        self._states.clear()
        self.writes.clear()
        self.words.clear()
        self._last.clear()
        _looked_at[0] = 0
        self._namespace["_eta_see"] = self._see if recording else is_

    def _see(self, written: tuple[str, int], value: object) -> None:
        """Record the value of a variable, if it is another than it was.

        `written` is the variable's name and the line that gave it the value.
        """
        name, line = written
        mark = fingerprint(value)
        if self._last.get(name) != mark:
            self._last[name] = mark
            self._states.append(mark)
            self.writes.append(line)
            if self._in_words:
                self.words.append((line, name, describe(value)))
            if len(self._states) >= STATES_PER_CALL:  # enough: see nothing more
                self._namespace["_eta_see"] = is_
        elif len(self.writes) - len(self._states) < STATES_PER_CALL:
            self.writes.append(-line)
        _looked_at[0] += 1
        if _looked_at[0] > MOST_LOOKED_AT:
            self._namespace["_eta_see"] = is_

    def states(self) -> bytes:
        """The states of the current call, eight bytes each."""
        return pack(f"{len(self._states)}q", *self._states)

    def hits(self) -> tuple[list[int], bool]:
        """(How often each counter was called, whether one has used up its share)."""
        left = list(map(length_hint, self._iterators))
        limit = self._limit
        counted = zip(self._before, left, strict=True)
        return [before + limit - rest for before, rest in counted], 0 in left


LONGEST = 60  # characters of a name or value in words
MOST = 2**40  # no count of ours gets there; a forged one may have a million digits
_ITEMS, _DEPTH, _DIGITS = 12, 3, 100
_BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}


def describe(value: object, depth: int = _DEPTH) -> str:
    """The value as Python would write it, cut to `LONGEST` characters.

    An object of another class is `an object`: only its own code could say more.
    """
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


def _collection(
    value: list | tuple | set | frozenset | dict, kind: type, depth: int
) -> str:
    """The first items of a container, between the brackets of its type."""
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
        shown.sort()  # the order of a set means nothing
    left, right = _BRACKETS[kind]
    return f"{left}{', '.join(shown)}{right}"


def texts_only(words: list) -> list[list]:
    """States in words, as a candidate sent them, cut down to a number and two short texts.

    Raises TypeError or ValueError for anything but rows of (line, variable, value).
    """
    rows = []
    for line, name, value in words:
        if (type(line), type(name), type(value)) != (int, str, str):
            raise TypeError("a state in words is a number and two texts")
        rows.append([min(abs(line), MOST), name[:LONGEST], value[:LONGEST]])
    return rows
