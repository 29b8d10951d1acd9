"""How sure is a difference between two arms?  Tests to stand beside the intervals.

>>> bootstrap_p(ours, theirs)             # two-sided, from the resamples of the interval
>>> mcnemar(ours_greedy, theirs_greedy)   # exact, on outcomes that are 0 or 1
>>> holm([0.01, 0.04, 0.03])              # adjusted for asking several times
[0.03, 0.06, 0.06]
>>> smallest_difference(ours, theirs)     # what this design could have shown

Scores are arrays (seeds, tasks) on the same seeds and tasks, as in `evaluation`; those that
are nan, in both, do not count.
Leaves out: which differences are asked about (see `contrasts`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest, norm

from eta_utils.evaluation import LEVEL, RESAMPLES, Interval, mean_interval, resampled

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
    error = resampled(np.asarray(ours, float) - np.asarray(theirs, float), seed).std()
    return float((norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER)) * error)
