"""Where does a failing program leave the execution of one that passes?

>>> right = Call([1, 2, 3], [4, 5, 6], "returned")       # states, and the lines of each
>>> wrong = Call([1, 7, 8], [4, 5, 6], "returned")
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

A variable that is given the value that it has already makes no state.  So a line that
wrongly changes nothing would go unseen, and the next one be named.  Hence such *idle* lines
between the last state that agrees and the next are counted.  Where the program has more of
them than the reference, the first beyond the reference's number is named: there the
reference went on.

The program's departure is the earliest of these lines over all calls.  Within one assert
only the first call that departs counts: what is asked after it may depend on its answer.

It is the line where a difference *shows*, which need not be the one to repair: a wrong
condition shows at the next state of the wrong branch.  It says nothing where the two go
different ways: a program with other intermediate values departs at once.  No line is found

- where all recorded states agree and yet an assert fails.  Fingerprints see the first items
  of a long list, and nothing of objects of the program's own classes; only the first
  `STATES_PER_CALL` states of a call and the first 64 calls of a test are recorded;
- of a call that sent no report, because a clock stopped it or its process died;
- in the bodies of generators, which run when their items are taken, after the call.

The names of variables have one effect: whether a line is idle.  A program that uses one
name in two functions, or for two things, has a state less where the two have the same
value.
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

    `states` are fingerprints; `writes` are the lines that wrote them, and negative the idle
    ones between them, as `Recorder.writes`.  `end` is one of `ENDS`.  `line`, 0 where it is
    not known: for a call that raised, where; for one that was stopped, the line that ran
    most often in it; for one without states, the first line that ran.
    """

    states: Sequence[int]
    writes: Sequence[int]
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
            if line := _line(ours, theirs, kind, agreeing):
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
    # It returned.  Behind the last state that is recorded nothing is known.
    if agreeing == STATES_PER_CALL or (as_far and theirs.end != "raised"):
        return None
    return "missing"


def _line(ours: Call, theirs: Call, kind: str, agreeing: int) -> int:
    """The line of a departure; 0 where it is not known."""
    if kind == "stopped" or (kind == "raise" and ours.line):
        return ours.line
    idle = _idle(ours.writes, agreeing)
    expected = len(_idle(theirs.writes, agreeing))
    if len(idle) > expected:
        return idle[expected]
    wrote = [line for line in ours.writes if line > 0]
    if kind == "value":
        return wrote[agreeing]
    # Also of a call that raised outside of the program's text, over its answer for one.
    return wrote[-1] if wrote else ours.line


def _idle(writes: Sequence[int], agreeing: int) -> list[int]:
    """The idle lines between state number `agreeing`, from 1, and the next."""
    states, idle = 0, []
    for line in writes:
        states += line > 0
        if states == agreeing and line < 0:
            idle.append(-line)
    return idle
