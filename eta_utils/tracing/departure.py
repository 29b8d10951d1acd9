"""Where does a failing program leave the execution of one that passes?

>>> right = Call([1, 2, 3], [], "returned")
>>> wrong = Call([1, 7, 8], [4, 5, 6], "returned")       # states, and their lines
>>> departure({(0, 0): wrong}, {(0, 0): right})
Departure(line=5, kind='value', followed=1)

The two programs are compared call by call (see `alignment`) and state by state, without the
names of variables.  A call departs at the first of these that holds:

    kind        when                                            line
    value       its next state differs from the reference's,    that wrote the state
                or the reference has no further state
    stopped     the budget stopped it                           that ran most often in it
    raise       it raised, where the reference did not          that raised
    missing     it returned with fewer states than the          of its last state; without
                reference, or where the reference raised        any: the first that ran

The program's departure is the earliest of these lines over all calls.  Within one assert
only the first call that departs counts: what is asked after it may depend on its answer.

It names the line where a difference *shows*, which need not be the line to repair, and says
nothing where the two go different ways: a reference that uses other intermediate values
departs at once.  It finds no line

- where all recorded states agree and yet an assert fails.  Fingerprints see the first items
  of a long list, and nothing of objects of the program's own classes; only the first
  `STATES_PER_CALL` states of a call and the first 64 calls of a test are recorded;
- of a call that sent no report, because a clock stopped it or its process died;
- in the bodies of generators, which run when their items are taken, after the call.

A variable that is given the value that it has already makes no state.  So a line that
wrongly changes nothing departs at the next line that does change something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eta_utils.tracing.recorder import STATES_PER_CALL

KINDS = ("value", "stopped", "raise", "missing")
# How a call ended.  `cut`: it was stopped after an earlier assert had failed, by the small
# budget that is left then, which says nothing against it.
ENDS = ("returned", "raised", "stopped", "cut")


class Call(NamedTuple):
    """What one call of a program left behind.

    `states` are fingerprints and `lines` the lines that wrote them.  `end` is one of
    `ENDS`.  `line`, 0 where it is not known: for a call that raised, where; for one that
    was stopped, the line that ran most often in it; for one without states, the first line
    that ran.
    """

    states: Sequence[int]
    lines: Sequence[int]
    end: str
    line: int = 0


class Departure(NamedTuple):
    """The line, from 1, of the whole program; why (`KINDS`); and how many states, over all
    calls, agreed with the reference's until then."""

    line: int
    kind: str
    followed: int


# By (number of the assert, number of the call within it), as `alignment.Trace`.
Calls = Mapping[tuple[int, int], Call]


def departure(calls: Calls, reference: Calls) -> Departure | None:
    """Where a program departs from a reference; None where no departing line is found.

    Calls that only one of the two has made, or recorded, are left out.
    """
    found: list[tuple[int, str]] = []
    departed, followed = -1, 0  # the last assert in which a call departed
    for place in sorted(calls.keys() & reference.keys()):
        if place[0] == departed:
            continue
        ours, theirs = calls[place], reference[place]
        agreeing = _agreeing(ours.states, theirs.states)
        followed += agreeing
        if kind := _kind(ours, theirs, agreeing):
            departed = place[0]
            if line := _line(ours, kind, agreeing):
                found.append((line, kind))
    if not found:
        return None
    line, kind = min(found, key=lambda pair: pair[0])
    return Departure(line, kind, followed)


def _agreeing(left: Sequence[int], right: Sequence[int]) -> int:
    """How many states the two have in common from the beginning."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _kind(ours: Call, theirs: Call, agreeing: int) -> str | None:
    """Why a call departs, given how many of its first states agree; None if it does not."""
    if agreeing < len(ours.states):
        return "value"
    if ours.end == "stopped":
        return "stopped"
    if ours.end == "cut":
        return None
    as_far = agreeing == len(theirs.states)
    if ours.end == "raised":
        return None if as_far and theirs.end == "raised" else "raise"
    # It returned.  Where the recording ended early, the states after it are not known.
    if not as_far:
        return "missing" if agreeing < STATES_PER_CALL else None
    return "missing" if theirs.end == "raised" else None


def _line(call: Call, kind: str, agreeing: int) -> int:
    """The line of a departure; 0 where it is not known."""
    if kind == "value":
        return call.lines[agreeing]
    if kind != "missing" and call.line:
        return call.line
    if kind == "stopped":
        return 0
    # Also of a call that raised outside of the program's text, over its answer for one.
    return call.lines[-1] if call.lines else call.line
