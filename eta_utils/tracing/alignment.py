"""Compare the variable states of a program with those of the reference.

A trace is a list with one entry per call of the candidate that the tests made: the list
of states (see `recorder`) of that call.  Calls are compared one by one, because each has
the same input in both programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Call = tuple[int, int]  # (number of the assert, number of the call within it)
States = Sequence[int]


def common_subsequence(left: States, right: States) -> int:
    """Length of the longest common subsequence, in about len(left) big-integer steps.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited": bit i of `rows` is 0
    where the table's row grows by one at column i.
    """
    if not left or not right:
        return 0
    places: dict[int, int] = {}
    for index, state in enumerate(right):
        places[state] = places.get(state, 0) | 1 << index
    everything = (1 << len(right)) - 1
    rows = everything
    for state in left:
        matches = rows & places.get(state, 0)
        rows = (rows + matches | rows - matches) & everything
    return len(right) - rows.bit_count()


def progress(trace: Mapping[Call, States], reference: Mapping[Call, States]) -> float:
    """Share of the reference's states that the program went through in order, 0 to 1.

    The mean over the reference's calls that have states; a call that the program never
    finished counts 0.  1.0 where the reference has no states at all.
    """
    shares = [
        common_subsequence(trace.get(call, ()), states) / len(states)
        for call, states in reference.items()
        if states
    ]
    return sum(shares) / len(shares) if shares else 1.0
