"""How well do scores rank the samples of a prompt?  A reward model beside its baselines.

>>> accuracy(ranked)                 # how often does the better program score higher?
>>> best_of(ranked)                  # does the best of n samples pass?
>>> reliability(ranked, "ETA-RM")    # how sure is it, and how often right?

`ranked` has a row for each sample: `seed, task_id, passed` (1 or 0), `fraction` (of the
hidden asserts that hold), and a column of scores for each way to rank; a higher score is
better.  Two ways need no column: `random`, and the `oracle`, which knows the fraction.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np
import pandas as pd

from eta_utils.analysis.statistics import mean_interval, ratio_interval

BINS = 10  # of the reliability curve
SAMPLES = ["seed", "task_id", "passed", "fraction"]
_GROUP = ["seed", "task_id"]


def accuracy(ranked: pd.DataFrame) -> pd.DataFrame:
    """How often the better program of one prompt scores higher; a tie counts half.

    One row for each way to rank, `ranked by`.  `pass/fail` is about pairs of a passing and
    a failing program, `fail/fail` about failing ones that differ in the fraction of hidden
    asserts.  Intervals are over tasks.
    """
    rows = []
    for name, scores in _ways(ranked).items():
        row: dict[str, object] = {"ranked by": name}
        for kind in ("pass/fail", "fail/fail"):
            counts = [
                (task, *_right(scores[places], part, kind))
                for (_, task), places, part in _prompts(ranked)
            ]
            sums = pd.DataFrame(counts, columns=["task_id", "right", "pairs"])
            sums = sums.groupby("task_id").sum()  # all seeds together
            row |= ratio_interval(sums["right"], sums["pairs"]).named(kind)
        rows.append(row)
    return pd.DataFrame(rows)


def best_of(ranked: pd.DataFrame, ns: tuple[int, ...] = (1, 2, 4, 8, 16)) -> pd.DataFrame:
    """How often the best of n samples of a prompt passes: `ranked by`, `n`, `passes`.

    An n is left out where some prompt has fewer samples.
    """
    fewest = ranked.groupby(_GROUP).size().min()
    rows = []
    for name, scores in _ways(ranked).items():
        for n in (n for n in ns if n <= fewest):
            rates = [
                (seed, task, best_of_n(scores[places], part["passed"].to_numpy(), n))
                for (seed, task), places, part in _prompts(ranked)
            ]
            table = pd.DataFrame(rates, columns=[*_GROUP, "passes"])
            passes = table.pivot(index="seed", columns="task_id", values="passes")
            rows.append(
                {"ranked by": name, "n": n}
                | mean_interval(passes.to_numpy()).named("passes")
            )
    return pd.DataFrame(rows)


def reliability(ranked: pd.DataFrame, way: str) -> tuple[pd.DataFrame, float]:
    """The reliability curve of one way to rank, and its expected calibration error.

    Both are over all pairs of one prompt that differ in the fraction of hidden asserts.
    The columns are those of `calibration`.
    """
    scores = _ways(ranked)[way]
    margins = [
        (scores[places][:, None] - scores[places])[_better(part)]
        for _, places, part in _prompts(ranked)
    ]
    rows, error = calibration(np.concatenate(margins))
    return pd.DataFrame(rows, columns=["predicted", "right", "pairs"]), error


def best_of_n(scores: np.ndarray, passed: np.ndarray, n: int) -> float:
    """Probability that the best of n samples, drawn without replacement, passes.

    `scores` and `passed` are those of all N samples of one prompt, (N,) each.  Averaging
    over all subsets leaves no noise of which were drawn.
    """
    # Among equal scores the best is drawn: each counts as the mean of its group.
    _, group = np.unique(scores, return_inverse=True)
    passed = (np.bincount(group, passed) / np.bincount(group))[group]
    # Sorted from the best, sample r is the best of those subsets that take the other n - 1
    # from the N - 1 - r samples behind it.
    order = np.argsort(-np.asarray(scores))
    total = len(order)
    shares = [comb(total - 1 - rank, n - 1) / comb(total, n) for rank in range(total)]
    return float(np.dot(shares, passed[order]))


def calibration(margins: np.ndarray) -> tuple[list[dict], float]:
    """The reliability curve, and the expected calibration error (Guo et al. 2017).

    `margins` (N,) are the scores of the better program minus those of the worse.  Each row
    is a bin of pairs: the mean probability `predicted`, how often it was `right`, and the
    number of `pairs`.  The error is the mean distance of the two, over pairs.
    """
    # A Bradley-Terry reward model gives the program with the higher score this probability
    # of being better: from 0.5 (equal scores) to 1.
    predicted = 1 / (1 + np.exp(-np.abs(margins)))
    right = margins > 0
    place = np.minimum(((predicted - 0.5) * 2 * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        if inside.any():
            said, seen = predicted[inside].mean(), right[inside].mean()
            rows.append({"predicted": said, "right": seen, "pairs": int(inside.sum())})
            error += inside.mean() * abs(said - seen)
    return rows, float(error)


def _ways(ranked: pd.DataFrame) -> dict[str, np.ndarray]:
    """The scores of all samples by way to rank, (N,) each."""
    named = {name: ranked[name].to_numpy(float) for name in ranked if name not in SAMPLES}
    oracle = ranked["fraction"].to_numpy(float)
    return {**named, "random": np.zeros(len(ranked)), "oracle": oracle}


def _prompts(
    ranked: pd.DataFrame,
) -> Iterator[tuple[tuple[int, str], np.ndarray, pd.DataFrame]]:
    """((seed, task), places of its samples, their rows) of each prompt of each seed."""
    for key, places in ranked.groupby(_GROUP).indices.items():
        yield key, places, ranked.iloc[places]


def _better(part: pd.DataFrame) -> np.ndarray:
    """Whether i (rows) passes more hidden asserts than j, (n, n)."""
    fraction = part["fraction"].to_numpy(float)
    return fraction[:, None] > fraction


def _right(scores: np.ndarray, part: pd.DataFrame, kind: str) -> tuple[float, int]:
    """How many of one prompt's pairs of a kind are ranked right, and how many there are."""
    passed = part["passed"].to_numpy(bool)
    if kind == "pass/fail":
        counted = passed[:, None] & ~passed
    else:
        counted = ~passed[:, None] & ~passed & _better(part)
    margin = (scores[:, None] - scores)[counted]
    return float((margin > 0).sum() + 0.5 * (margin == 0).sum()), int(counted.sum())
