"""Tests of differences: exact where they can be, and in step with the intervals."""

from __future__ import annotations

import numpy as np
import pytest

from eta_utils.analysis.statistics import (
    bootstrap_p,
    holm,
    improvement,
    mcnemar,
    paired_difference,
    smallest_difference,
)


def test_holm_multiplies_the_smallest_by_all_and_never_turns_the_order_round():
    # sorted: 0.01 x 3, 0.03 x 2, 0.04 x 1 -> raised to 0.06
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_is_the_sign_test_of_the_pairs_that_disagree():
    ours = np.array([[1, 1, 1, 1, 1, 0, 1, 0]])
    theirs = np.array([[0, 0, 0, 0, 0, 1, 1, 0]])
    # 5 wins, 1 loss: 2 (C(6,0) + C(6,1)) / 2^6
    assert mcnemar(ours, theirs) == pytest.approx(14 / 64)
    assert mcnemar(ours, ours) == 1.0


def test_the_bootstraps_p_value_says_what_its_interval_says():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.02, 0.05, 0.1):
        theirs = rng.random((1, 200))
        ours = theirs + rng.normal(shift, 0.3, (1, 200))
        excludes = paired_difference(ours, theirs).excludes_zero
        assert (bootstrap_p(ours, theirs) < 0.05) == excludes
    assert bootstrap_p(theirs, theirs) == 1.0
    assert bootstrap_p(theirs + 1, theirs) == pytest.approx(2 / 10_000)


def test_improvement_counts_ties_half():
    ours, theirs = np.array([[1.0, 0.5, 0.2, 0.0]]), np.array([[0.0, 0.5, 0.3, 0.0]])
    assert improvement(ours, theirs).value == (1 + 0.5 + 0 + 0.5) / 4
    # Seeds are not paired: each of ours against each of theirs.
    assert improvement(np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]])).value == 0.5


def test_the_smallest_difference_is_found_four_times_of_five():
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.3, (1, 200))
    shown = smallest_difference(noise, np.zeros((1, 200)))
    # (1.960 + 0.842) x 0.3 / sqrt(200), within the noise of one draw
    assert shown == pytest.approx(2.802 * 0.3 / 200**0.5, rel=0.15)
    nothing = np.zeros((1, 200))
    found = [
        paired_difference(rng.normal(shown, 0.3, (1, 200)), nothing).excludes_zero
        for _ in range(200)
    ]
    assert 0.7 < np.mean(found) < 0.9
