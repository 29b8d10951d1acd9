"""Compare the variable states of a program with those of the reference.

A trace has the states (see `recorder`) of each call of the candidate that the tests made.
Calls are compared one by one, because each has the same input in both programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# By (number of the assert, number of the call within it): the states of that call, as
# `Recorder.states` packs them.
Trace = Mapping[tuple[int, int], bytes]


def unpack(states: bytes) -> Sequence[int]:
    """The states that `Recorder.states` packed, as numbers."""
    return memoryview(states).cast("q")


def common_subsequence(left: Sequence[int], right: Sequence[int]) -> int:
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


def reached_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many of right's first states occur in left in order, with others between."""
    reached = 0
    for state in left:
        if reached < len(right) and state == right[reached]:
            reached += 1
    return reached


def closeness(answers: Trace, reference: Trace) -> float:
    """How much the program's answers (see `answers`) have in common with the reference's.

    For each of the reference's calls 0 where the answer is of another kind or missing, else
    half a point, and the other half by twice the common subsequence of what follows over
    the sum of lengths (Dice's coefficient).  The mean over calls.
    """
    shares = [
        _alike(unpack(answers.get(call, b"")), unpack(expected))
        for call, expected in reference.items()
    ]
    return sum(shares) / len(shares) if shares else 1.0


def is_constant(answers: Trace, reference: Trace) -> bool:
    """Whether the program gives one answer, or none, where the reference gives several."""
    return len(set(answers.values())) <= 1 < len(set(reference.values()))


def _alike(answer: Sequence[int], expected: Sequence[int]) -> float:
    if answer[:1] != expected[:1]:
        return 0.0
    lengths = len(answer) + len(expected) - 2
    common = common_subsequence(answer[1:], expected[1:])
    return 0.5 + (common / lengths if lengths else 0.5)


def progress(trace: Trace, reference: Trace) -> float:
    """Share of the reference's states that the program went through in order, 0 to 1.

    The mean over the reference's calls that have states; a call that the program never
    finished counts 0.  1.0 where the reference has no states at all.
    """
    return _mean_share(common_subsequence, trace, reference)


def prefix(trace: Trace, reference: Trace) -> float:
    """Share of the reference's states that the program reached before the first that it
    missed, 0 to 1: at most `progress`, which forgives a miss."""
    return _mean_share(reached_prefix, trace, reference)


def _mean_share(
    common: Callable[[Sequence[int], Sequence[int]], int], trace: Trace, reference: Trace
) -> float:
    shares = [
        common(unpack(trace.get(call, b"")), unpack(states)) * 8 / len(states)
        for call, states in reference.items()
        if states
    ]
    return sum(shares) / len(shares) if shares else 1.0
