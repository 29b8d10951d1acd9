"""Compare what a program did with what the reference solution did.

Two things are compared: the variable states (see `recorder`) and the returned answers (see
`answers`).  Both are sequences of 64-bit fingerprints, one sequence for each call of the
function under test.  Calls are compared one by one, since the k-th call of an assert has
the same input in both programs.  The results are averaged over the reference's calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# By (number of the assert, number of the call within it): the states of that call, as
# `Recorder.states` packs them, or the marks of its answer, as `answers.marks` does.
Trace = Mapping[tuple[int, int], bytes]


def unpack(states: bytes) -> Sequence[int]:
    """The fingerprints that were packed, eight bytes each, as signed 64-bit numbers."""
    return memoryview(states).cast("q")


def common_subsequence(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common subsequence (LCS), 0 to min(len(left), len(right)).

    The textbook's table has len(left) x len(right) cells.  Here one row of it is one
    integer of len(right) bits, so there are len(left) steps, each a few operations on such
    an integer.  Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    if not left or not right:
        return 0
    # Where each state occurs: bit j is 1 where right[j] is that state.
    places: dict[int, int] = {}
    for index, state in enumerate(right):
        places[state] = places.get(state, 0) | 1 << index
    # Let L(j) be the LCS length of what was read of `left` and of right[:j].  From j to
    # j + 1 it grows by 0 or 1.  Bit j of `row` is 0 where it grows.  At first nothing is
    # read and L is 0 everywhere: all bits are 1.
    all_ones = (1 << len(right)) - 1
    row = all_ones
    for state in left:
        # Cut the row above each 0: a piece is some 1s with a 0 on top; the last has no 0.
        # In a piece with matches, L now grows at the lowest match already: the 0 moves down
        # to it.  In the last piece a new 0 appears there.  The carry of the sum does both:
        # it runs from the lowest match up to the 0, which becomes a 1.  The difference
        # gives back the 1s that are no matches.
        matches = row & places.get(state, 0)
        row = ((row + matches) | (row - matches)) & all_ones
    # L(len(right)) is how often it grew: the number of 0s.
    return len(right) - row.bit_count()


def reached_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many of right's first states occur in left in order, with others between."""
    reached = 0
    for state in left:
        if reached < len(right) and state == right[reached]:
            reached += 1
    return reached


def closeness(answers: Trace, reference: Trace) -> float:
    """How much the program's answers have in common with the reference's, 0 to 1.

    For one call, let a and b be the marks of the two answers without the first, which
    stands for the kind:

        0                                   if the kinds differ, or there is no answer
        1/2 + 1/2 * 2 LCS(a, b) / (|a| + |b|)   otherwise

    The second half is Dice's coefficient, 1 where both sequences are empty.  The result is
    the mean over the reference's calls; 1.0 where it has none.
    """
    scores = [
        _closeness_of_answer(unpack(answers.get(call, b"")), unpack(expected))
        for call, expected in reference.items()
    ]
    return sum(scores) / len(scores) if scores else 1.0


def _closeness_of_answer(answer: Sequence[int], expected: Sequence[int]) -> float:
    if answer[:1] != expected[:1]:
        return 0.0
    lengths = len(answer) + len(expected) - 2
    common = common_subsequence(answer[1:], expected[1:])
    # 1/2 * 2 LCS / lengths
    return 0.5 + (common / lengths if lengths else 0.5)


def is_constant(answers: Trace, reference: Trace) -> bool:
    """Whether the program gives one answer, or none, where the reference gives several."""
    return len(set(answers.values())) <= 1 < len(set(reference.values()))


def progress(trace: Trace, reference: Trace) -> float:
    """Fraction of the reference's states that the program went through in order, 0 to 1.

    LCS(program, reference) / len(reference), averaged over the reference's calls that have
    states.  A call that the program never finished counts 0.  1.0 where the reference has
    no states at all.
    """
    return _mean_fraction(common_subsequence, trace, reference)


def prefix(trace: Trace, reference: Trace) -> float:
    """Fraction of the reference's states before the first that the program missed, 0 to 1.

    At most `progress`, which forgives a miss.
    """
    return _mean_fraction(reached_prefix, trace, reference)


def _mean_fraction(
    common: Callable[[Sequence[int], Sequence[int]], int], trace: Trace, reference: Trace
) -> float:
    """The mean, over the reference's calls, of `common` over the number of its states."""
    fractions = [
        common(unpack(trace.get(call, b"")), unpack(states)) / len(unpack(states))
        for call, states in reference.items()
        if states
    ]
    return sum(fractions) / len(fractions) if fractions else 1.0
