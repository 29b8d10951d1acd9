"""Numbers are those of the definitions; intervals cover what they say they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from eta_utils.analysis.statistics import (
    Interval,
    _rest,
    crossed,
    crossed_t,
    holm,
    improvement,
    mean_interval,
    paired_difference,
    paired_t,
    pass_at_k,
    planned,
    ratio_interval,
    resampled,
)
from tests.analysis import bench_coverage


def width(interval):
    return interval.high - interval.low


def bernoulli(chances, seed=0):
    """0s and 1s, one for each chance."""
    return (np.random.default_rng(seed).random(np.shape(chances)) < chances).astype(float)


# --- pass@k


def test_pass_at_1_is_the_mean_fraction_that_passes():
    rates = pass_at_k([(100, 37), (100, 0)])
    # 1: (0.37 + 0) / 2.  100: 100 samples hold one that passes in the first.
    assert rates[1] == pytest.approx(0.185)
    assert rates[100] == pytest.approx(0.5)
    # 1 - C(63, 10) / C(100, 10), over 2 tasks
    by_hand = (1 - math.comb(63, 10) / math.comb(100, 10)) / 2
    assert rates[10] == pytest.approx(by_hand)
    assert round(by_hand, 4) == 0.4963


def test_pass_at_k_of_few_samples_by_counting():
    # 4 samples, 2 pass: of the 6 ways to draw 2 just one draws both failing ones.
    assert pass_at_k([(4, 2)], ks=(1, 2, 3)) == pytest.approx({1: 0.5, 2: 5 / 6, 3: 1.0})
    assert pass_at_k([(2, 0), (2, 2)], ks=(1, 2)) == pytest.approx({1: 0.5, 2: 0.5})


def test_tasks_may_have_different_numbers_of_samples():
    # 1 of 2 and 1 of 4: pass@2 is 1 and 1 - C(3, 2) / C(4, 2) = 1/2.
    assert pass_at_k([(2, 1), (4, 1)], ks=(2,)) == pytest.approx({2: 0.75})


def test_a_k_that_some_task_falls_short_of_is_left_out():
    assert set(pass_at_k([(100, 1), (9, 1)])) == {1}
    assert set(pass_at_k([(10, 1)])) == {1, 10}
    assert pass_at_k([]) == {}


# --- The mean's interval


def test_the_mean_is_the_value_and_lies_within_its_interval():
    scores = bernoulli(np.full((1, 400), 0.3))
    interval = mean_interval(scores)
    assert interval.value == pytest.approx(scores.mean())
    assert interval.low < interval.value < interval.high


def test_the_interval_of_many_tasks_is_as_wide_as_the_normal_one():
    scores = bernoulli(np.full((1, 400), 0.3))
    p = scores.mean()
    normal = 2 * 1.96 * math.sqrt(p * (1 - p) / 400)
    assert width(mean_interval(scores)) == pytest.approx(normal, rel=0.1)


def test_one_row_of_scores_is_one_seed():
    scores = bernoulli(np.full(50, 0.5))
    assert mean_interval(scores) == mean_interval(scores[None])
    assert mean_interval(list(scores)) == mean_interval(scores[None])


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 40), (3, 40), (1, 1)])
def test_scores_that_are_all_the_same_leave_nothing_open(score, shape):
    assert tuple(mean_interval(np.full(shape, score))) == pytest.approx((score,) * 3)


def test_a_seed_gives_the_same_interval_twice_and_another_another():
    scores = np.random.default_rng(0).random((2, 60))
    one, two = mean_interval(scores, seed=1), mean_interval(scores, seed=2)
    assert mean_interval(scores, seed=1) == one
    assert one != two
    assert tuple(one) == pytest.approx(tuple(two), abs=0.01)


def test_seeds_that_differ_make_the_interval_wider_than_tasks_alone():
    rng = np.random.default_rng(0)
    tasks = rng.normal(0.5, 0.1, 200)
    seeds = np.array([[-0.2], [0.0], [0.2]])
    wide, narrow = mean_interval(seeds + tasks), mean_interval(0 * seeds + tasks)
    assert wide.value == pytest.approx(narrow.value)
    assert width(wide) > 5 * width(narrow)
    # Three copies of one seed are one seed: they are not three times as many tasks.
    assert width(narrow) == pytest.approx(width(mean_interval(tasks)), rel=0.05)


def test_the_interval_shrinks_with_the_root_of_the_tasks():
    few, many = (mean_interval(bernoulli(np.full((1, n), 0.5))) for n in (100, 1_600))
    assert width(few) / width(many) == pytest.approx(4, rel=0.1)


def test_scores_of_nan_do_not_count():
    # All-fail tasks differ between seeds.  A hole is not a 0, and not a task's mean.
    holes = np.array([[1.0, np.nan, 0.5], [1.0, 1.0, np.nan]])
    assert mean_interval(holes).value == (1 + 0.5 + 1 + 1) / 4
    ones = np.where(holes == 0.5, 1.0, holes)
    assert tuple(mean_interval(ones)) == pytest.approx((1, 1, 1))


def test_a_resample_has_the_same_tasks_under_all_of_its_seeds():
    # The seeds cancel each other on every task.  So a resample that drew both has a mean of
    # 0, if it drew the same tasks for both.  Of two draws of two seeds, half have both.
    scores = np.random.default_rng(0).random(30)
    means = resampled(np.stack([scores, -scores]))
    assert (np.abs(means) < 1e-12).mean() == pytest.approx(1 / 2, abs=0.02)


def coverage(truth, draw, repeats=200):
    """How often the interval of a simulated data set holds the truth."""
    inside = 0
    for seed in range(repeats):
        interval = draw(np.random.default_rng(seed))
        inside += interval.low <= truth <= interval.high
    return inside / repeats


@pytest.mark.slow
def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    # Tasks of different difficulty, 4 samples each: mean of a uniform in 0.2 .. 0.6.
    def draw(rng):
        return mean_interval(rng.binomial(4, rng.uniform(0.2, 0.6, 120)) / 4)

    assert 0.90 <= coverage(0.4, draw) <= 0.98


@pytest.mark.slow
def test_with_many_seeds_the_interval_covers_what_other_seeds_and_tasks_would_give():
    def draw(rng):
        seeds, tasks = rng.normal(0, 0.1, (12, 1)), rng.normal(0, 0.3, 60)
        return mean_interval(0.5 + seeds + tasks + rng.normal(0, 0.3, (12, 60)))

    # The bootstrap of 12 seeds is a little too sure: sqrt(11/12), no Student's t.
    assert 0.86 <= coverage(0.5, draw) <= 0.98


# --- Differences


def correlated(seed=0, tasks=200, gain=0.1):
    """Two models on the same tasks, hard for both or easy for both."""
    rng = np.random.default_rng(seed)
    difficulty = rng.uniform(0, 0.8, tasks)
    ours = rng.binomial(8, difficulty + gain, (2, tasks)) / 8
    theirs = rng.binomial(8, difficulty, (2, tasks)) / 8
    return ours, theirs


def test_a_paired_difference_is_the_difference_of_means():
    ours, theirs = correlated()
    interval = paired_difference(ours, theirs)
    assert interval.value == pytest.approx(ours.mean() - theirs.mean())
    assert interval.low < interval.value < interval.high
    turned = paired_difference(theirs, ours)
    assert tuple(turned) == pytest.approx(
        (-interval.value, -interval.high, -interval.low), abs=0.003
    )


def test_pairing_narrows_the_interval_where_tasks_are_hard_for_both():
    ours, theirs = correlated()
    apart = math.hypot(width(mean_interval(ours)), width(mean_interval(theirs)))
    assert width(paired_difference(ours, theirs)) < 0.75 * apart


@pytest.mark.slow
def test_a_paired_difference_covers_the_true_one_as_often_as_it_says():
    def draw(rng):
        difficulty = rng.uniform(0, 0.8, 120)
        ours = rng.binomial(8, difficulty + 0.1) / 8
        return paired_difference(ours, rng.binomial(8, difficulty) / 8)

    assert 0.90 <= coverage(0.1, draw) <= 0.98


def test_a_model_does_not_differ_from_itself():
    ours, _ = correlated()
    assert paired_difference(ours, ours) == (0, 0, 0)
    assert not paired_difference(ours, ours).excludes_zero


@pytest.mark.parametrize("shape", [(1, 200), (2, 199), (200,), (200, 2)])
def test_scores_of_other_shapes_do_not_pair(shape):
    ours, _ = correlated()
    with pytest.raises(ValueError, match=r"\(2, 200\).*do not pair"):
        paired_difference(ours, np.zeros(shape))


# --- Fractions


def test_a_fraction_is_the_sum_of_parts_over_the_sum_of_wholes():
    interval = ratio_interval([1, 0, 9], [2, 4, 10])
    assert interval.value == 10 / 16
    # No task alone has a fraction beyond these.
    assert interval.low >= 0 and interval.high <= 0.9


def test_the_interval_of_a_fraction_is_that_of_a_mean_where_all_tasks_have_one_pair():
    hits = np.arange(200) % 4 == 0
    interval = ratio_interval(hits, np.ones(200))
    assert tuple(interval) == pytest.approx(tuple(mean_interval(hits)))


def test_a_fraction_of_nothing_is_unknown():
    interval = ratio_interval([0, 0], [0, 0])
    assert math.isnan(interval.value)
    assert interval[1:] == (0.0, 1.0)


# --- Tests of differences: exact where they can be, and in step with the intervals


def test_holm_multiplies_the_smallest_by_all_and_never_turns_the_order_round():
    # sorted: 0.01 x 3, 0.03 x 2, 0.04 x 1 -> raised to 0.06
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_improvement_counts_ties_half():
    ours, theirs = np.array([[1.0, 0.5, 0.2, 0.0]]), np.array([[0.0, 0.5, 0.3, 0.0]])
    assert improvement(ours, theirs).value == (1 + 0.5 + 0 + 0.5) / 4
    # Seeds are not paired: each of ours against each of theirs.
    assert improvement(np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]])).value == 0.5


# --- Student's t with seeds and tasks crossed

# By hand: seeds' means 2 and 5, tasks' 2, 3 and 5.5, all 3.5.  MS_seed = 3 (1.5^2 + 1.5^2)
# = 13.5 with 1 degree of freedom.  MS_task = 2 (1.5^2 + 0.5^2 + 2^2) / 2 = 6.5 with 2.  The
# rest is 0.5, 0.5, -1 and its negative: MS_rest = 3 / 2 with 2.
WORKED = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 8.0]])
NOTHING = np.zeros((2, 3))


def test_the_crossed_t_is_that_of_the_mean_squares_worked_out_by_hand():
    test = crossed_t(WORKED, NOTHING)
    assert test.value == 3.5
    # 18.5^2 / (13.5^2 / 1 + 6.5^2 / 2 + 1.5^2 / 2)
    assert test.df == pytest.approx(342.25 / 204.5)
    error = math.sqrt(18.5 / 6)
    wide = t.ppf(0.975, test.df)
    assert test.high - test.value == pytest.approx(wide * error)
    assert test.value - test.low == pytest.approx(wide * error)
    assert test.p == pytest.approx(2 * t.sf(3.5 / error, test.df))
    assert test.smallest == pytest.approx((wide + t.ppf(0.8, test.df)) * error)


def test_seeds_and_tasks_have_the_same_part_in_it():
    assert crossed(WORKED) == pytest.approx(crossed(WORKED.T))


def test_p_is_below_five_percent_where_the_interval_excludes_zero():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.02, 0.05, 0.1):
        test = crossed(rng.normal(shift, 0.3, (4, 60)))
        assert (test.p < 0.05) == test.interval.excludes_zero


def test_a_mean_square_below_the_rest_makes_no_variance_negative():
    # Both seeds have the same mean and both tasks, too: MS_seed = MS_task = 0.  MS_rest is
    # 4 x 0.5^2 = 1, so the textbook's variance would be -1/4.
    test = crossed(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert test.value == 1.5 and test.df == 1
    assert test.high - test.value == pytest.approx(t.ppf(0.975, 1) * math.sqrt(1 / 4))


@pytest.mark.parametrize("seed", range(5))
def test_the_variance_is_never_below_that_of_seeds_alone_or_of_tasks_alone(seed):
    scores = np.random.default_rng(seed).normal(0, 1, (3, 5))
    test = crossed(scores)
    error = (test.high - test.value) / t.ppf(0.975, test.df)
    assert error >= scores.mean(1).std(ddof=1) / math.sqrt(3) - 1e-12
    assert error >= scores.mean(0).std(ddof=1) / math.sqrt(5) - 1e-12


def test_one_seed_is_a_t_test_over_its_tasks():
    test = crossed(WORKED[:1])
    plain = ttest_1samp(WORKED[0], 0)
    assert test.p == pytest.approx(plain.pvalue)
    assert test.df == 2
    assert (test.low, test.high) == pytest.approx(plain.confidence_interval())


def test_holes_do_not_count_and_a_task_without_any_score_changes_nothing():
    holes = np.array([[1.0, np.nan, 3.0], [3.0, 4.0, np.nan]])
    assert crossed(holes).value == 11 / 4
    wider = np.column_stack([WORKED, [np.nan, np.nan]])
    assert crossed(wider) == crossed(WORKED)


def test_with_holes_the_rest_is_that_of_least_squares():
    scores = np.random.default_rng(0).normal(0, 1, (4, 6))
    scores[0, 1] = scores[2, 3] = scores[3, 5] = np.nan
    there = ~np.isnan(scores)
    rows, columns = np.nonzero(there)
    effects = np.column_stack([np.eye(4)[rows], np.eye(6)[columns]])
    fitted, _, rank, _ = np.linalg.lstsq(effects, scores[there], rcond=None)
    left = scores[there] - effects @ fitted
    square, free = _rest(np.where(there, scores - scores[there].mean(), 0), there)
    assert free == there.sum() - rank == 21 - 9
    assert square == pytest.approx((left**2).sum() / free)


def test_differences_that_are_all_the_same_leave_nothing_open():
    same = crossed(np.full((3, 4), 0.25))
    assert same[:4] == (0.25, 0.25, 0.25, 0.0)
    assert crossed(np.zeros((3, 4))).p == 1.0


@pytest.mark.parametrize("scores", [[[0.5]], [[0.5, np.nan]]])
def test_a_single_score_says_nothing_of_any_other(scores):
    test = crossed(scores)
    assert test.value == 0.5 and test.p == 1 and math.isinf(test.high)


def test_the_plain_t_is_scipys_over_the_seeds_means():
    scores = np.random.default_rng(0).normal(0.1, 1, (5, 20))
    test, plain = paired_t(scores, 0 * scores), ttest_1samp(scores.mean(1), 0)
    assert test.p == pytest.approx(plain.pvalue)
    assert (test.low, test.high) == pytest.approx(plain.confidence_interval())
    assert paired_t(scores[:1], 0 * scores[:1]) == crossed(scores[:1])


def test_the_smallest_difference_is_shown_four_times_of_five():
    rng = np.random.default_rng(1)
    smallest = np.mean([crossed(rng.normal(0, 0.3, (6, 200))).smallest for _ in range(50)])
    shows = [crossed(rng.normal(smallest, 0.3, (6, 200))).p < 0.05 for _ in range(200)]
    assert 0.7 < np.mean(shows) < 0.9


def test_a_plan_takes_the_variances_of_few_seeds_to_many():
    # From WORKED: a seed's variance (13.5 - 1.5) / 3 = 4, a task's (6.5 - 1.5) / 2 = 2.5.
    # Twelve seeds expect MS_seed = 13.5, MS_task = 1.5 + 12 x 2.5 = 31.5, MS_rest = 1.5.
    variance = 13.5 + 31.5 - 1.5
    df = variance**2 / (13.5**2 / 11 + 31.5**2 / 2 + 1.5**2 / 22)
    smallest = (t.ppf(0.975, df) + t.ppf(0.8, df)) * math.sqrt(variance / 36)
    assert planned(WORKED, NOTHING, seeds=12) == pytest.approx(smallest)
    assert planned(WORKED, NOTHING, seeds=2) == pytest.approx(crossed(WORKED).smallest)


COVERED = [
    setting for setting in bench_coverage.SETTINGS if "two seeds" not in setting.about
]


@pytest.mark.parametrize("setting", COVERED, ids=lambda setting: setting.about)
def test_the_crossed_t_covers_the_truth_as_often_as_it_says(setting):
    share = bench_coverage.coverage(setting, bench_coverage.by_crossed_t, 1_500)
    assert 0.93 <= share <= 0.975


def test_the_bootstrap_and_the_plain_t_are_known_to_cover_too_little():
    # Few seeds that differ much: the bootstrap multiplies their variance by (S - 1) / S and
    # takes a normal's quantile for a t's.
    [few] = [row for row in bench_coverage.SETTINGS if "that dominate" in row.about]
    assert bench_coverage.coverage(few, paired_difference, 400) < 0.90
    assert bench_coverage.coverage(few, bench_coverage.by_crossed_t, 1_000) > 0.93
    # Tasks that differ much: a t over seeds takes them as given.
    many = bench_coverage.SETTINGS[0]
    assert bench_coverage.coverage(many, bench_coverage.by_paired_t, 1_000) < 0.92


# --- The record


def test_an_interval_excludes_zero_on_either_side():
    assert Interval(0.2, 0.1, 0.3).excludes_zero
    assert Interval(-0.2, -0.3, -0.1).excludes_zero
    assert not Interval(0.1, -0.1, 0.3).excludes_zero
    assert not Interval(0.1, 0.0, 0.3).excludes_zero


def test_an_interval_reads_as_value_and_ends():
    assert str(Interval(0.44, 0.4, 0.4861)) == "0.440 [0.400, 0.486]"
