"""Alignment is the longest common subsequence, call by call."""

from __future__ import annotations

import random
import struct

from eta_utils.tracing.alignment import common_subsequence, prefix, progress, reached_prefix


def textbook(left, right):
    """The quadratic table of any textbook."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


def test_the_fast_algorithm_agrees_with_the_textbook():
    rng = random.Random(0)
    for _ in range(500):
        left, right = (
            [rng.randint(0, 4) for _ in range(rng.randint(0, 15))] for _ in range(2)
        )
        assert common_subsequence(left, right) == textbook(left, right)


def packed(*states):
    return struct.pack(f"{len(states)}q", *states)


def test_progress_is_the_mean_share_over_the_references_calls():
    reference = {(0, 0): packed(1, 2, 3, 4), (1, 0): packed(5, 6), (2, 0): packed()}
    trace = {(0, 0): packed(1, 9, 3), (7, 7): packed(1, 2, 3)}
    # half of the first call's states, none of the second's; one without states is left out
    assert progress(trace, reference) == 0.25
    assert progress(reference, reference) == 1.0
    assert progress({}, {}) == 1.0


def test_the_prefix_ends_at_the_first_state_that_is_missed():
    assert reached_prefix([1, 7, 2, 3], [1, 2, 3]) == 3  # another state between
    assert reached_prefix([2, 3, 1], [1, 2, 3]) == 1  # 2 is not reached after 1
    assert reached_prefix([3, 2], [1, 2, 3]) == 0
    reference = {(0, 0): packed(1, 2, 3, 4), (1, 0): packed(5, 6)}
    trace = {(0, 0): packed(1, 2, 9, 4), (1, 0): packed(5, 6)}
    assert prefix(trace, reference) == 0.75
    assert progress(trace, reference) == 0.875
    assert prefix({}, {}) == 1.0
