"""What a ranking is worth equals values by hand, by task and over seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from eta_utils.analysis.ranking import (
    accuracy,
    best_of,
    best_of_n,
    calibration,
    reliability,
)

# Two tasks of four samples each: fraction of hidden asserts, and the score of a ranking.
SAMPLES = {
    "one": [(1.0, 3.0), (0.5, 4.0), (0.2, 1.0), (0.0, 2.0)],
    "two": [(1.0, 2.0), (1.0, 1.0), (0.5, 0.0), (0.5, 0.0)],
}


def ranked(seed=0):
    rows = [
        {"task_id": task, "passed": int(share == 1), "fraction": share, "ours": score}
        for task, samples in SAMPLES.items()
        for share, score in samples
    ]
    return pd.DataFrame(rows).assign(seed=seed)


def row(table, way):
    [only] = table[table["ranked by"] == way].to_dict("records")
    return only


def test_accuracy_counts_pairs_of_one_task_that_the_hidden_tests_distinguish():
    table = accuracy(ranked())
    # pass/fail: of task one 2 of 3 right (3 > 4 is not), of task two 4 of 4.
    assert row(table, "ours")["pass/fail"] == pytest.approx(6 / 7)
    # fail/fail: 0.5 over 0.2 and over 0 right, 0.2 over 0 wrong; none in task two.
    assert row(table, "ours")["fail/fail"] == pytest.approx(2 / 3)
    assert row(table, "random")["pass/fail"] == row(table, "random")["fail/fail"] == 0.5
    assert row(table, "oracle")["pass/fail"] == row(table, "oracle")["fail/fail"] == 1


def test_the_best_of_n_is_averaged_over_tasks_as_far_as_samples_go():
    table = best_of(ranked(), ns=(1, 4, 8))
    ours = table[table["ranked by"] == "ours"].set_index("n")["passes"]
    assert sorted(ours.index) == [1, 4]
    assert ours[1] == pytest.approx((1 / 4 + 2 / 4) / 2)  # one sample at random
    assert ours[4] == pytest.approx((0 + 1) / 2)  # the highest score of each task


def test_seeds_count_together_and_not_as_more_tasks():
    once, twice = ranked(), pd.concat([ranked(), ranked(seed=1)], ignore_index=True)
    assert accuracy(twice).equals(accuracy(once))
    pd.testing.assert_frame_equal(best_of(twice), best_of(once))
    (curve, error), (more, same) = reliability(once, "ours"), reliability(twice, "ours")
    assert error == pytest.approx(same)
    assert (more["pairs"] == 2 * curve["pairs"]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_best_of_n_is_the_mean_over_all_subsets(n):
    rng = np.random.default_rng(n)
    scores, passed = rng.random(5), rng.random(5) < 0.5
    subsets = itertools.combinations(range(5), n)
    expected = np.mean([passed[max(some, key=lambda k: scores[k])] for some in subsets])
    assert best_of_n(scores, passed, n) == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_among_equal_scores_one_is_drawn(n):
    # All alike: the share that passes, whatever n and the order of the samples.
    for passed in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert best_of_n(np.zeros(4), np.array(passed), n) == pytest.approx(0.25)


def test_calibration_compares_what_is_said_with_what_is_seen():
    # sigmoid(ln 4) = 0.8: said of 5 pairs, right in 3; sigmoid(0) = 0.5 of one, not right.
    margins = np.array([1, 1, 1, -1, -1, 0]) * np.log(4)
    rows, error = calibration(margins)
    assert [row["pairs"] for row in rows] == [1, 5]
    assert rows[1]["predicted"] == pytest.approx(0.8)
    assert rows[1]["right"] == pytest.approx(0.6)
    assert error == pytest.approx((1 * 0.5 + 5 * 0.2) / 6)


def test_where_no_pair_is_distinguished_the_curve_is_empty():
    curve, error = reliability(ranked().assign(fraction=0.0, passed=0), "ours")
    assert curve.empty
    assert error == 0
