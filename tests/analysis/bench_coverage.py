"""How often does a 95 % interval of `mean_interval` hold the truth?

    python -m tests.analysis.bench_coverage

Simulates studies whose true difference is 0 and counts the intervals that hold 0.  The
difference on a task under a seed is the sum of three normal effects: of the seed, of the
task, and of both together (samples, training).  The last two are as large as in the
published run for ETA-DPO minus binary DPO; the spread of seeds varies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eta_utils.analysis.statistics import mean_interval
from tests.conftest import ROOT

SCORES = ROOT / "outputs" / "reference" / "scores.csv.gz"
ARMS = ("dpo-eta", "dpo-binary")
STUDIES = 800  # the standard error of a coverage near 90 % is then 1.1 points
SEEDS = (1, 2, 3, 4, 5)
SEED_SDS = (0.0, 0.01, 0.03)
TASKS = 80  # enough for the bootstrap, and four times as fast as the published 320


def main() -> None:
    """Print the published spreads, then coverage by spread and number of seeds."""
    published = differences()
    of_seed, of_task, rest = spreads(published)
    print(
        f"published, in points: seeds {100 * of_seed:.1f}, tasks {100 * of_task:.1f}, "
        f"rest {100 * rest:.1f}"
    )
    # Coverage depends on the spread of a mean over tasks.  With fewer tasks than were
    # published, each task must vary less to leave that spread as it was.
    smaller = (TASKS / published.shape[1]) ** 0.5
    print(f"share of 95 % intervals that hold the truth, {STUDIES} simulated studies:")
    print("sd of seeds " + "".join(f"{f'{n} seed' + 's' * (n > 1):>9}" for n in SEEDS))
    for sd in SEED_SDS:
        shares = (coverage(n, sd, smaller * of_task, smaller * rest) for n in SEEDS)
        print(f"{100 * sd:>4.0f} points " + "".join(f"{share:>9.1%}" for share in shares))


def differences() -> np.ndarray:
    """Differences in sampled pass@1 after all rounds in the published run: (S, T)."""
    scores = pd.read_csv(SCORES)
    last = scores[scores["programs"] == scores["programs"].max()]
    rates = last.assign(rate=last["passed"] / last["samples"])
    ours, theirs = (
        rates[rates["arm"] == arm].pivot(index="seed", columns="task_id", values="rate")
        for arm in ARMS
    )
    return (ours - theirs).to_numpy()


def spreads(scores: np.ndarray) -> tuple[float, float, float]:
    """Standard deviations of the effects of seeds, of tasks and of both together.

    Estimated from scores (S, T) by a two-way analysis of variance without replicates: the
    mean squares of rows expect rest^2 + T seed^2, those of columns rest^2 + S task^2.
    """
    seeds, tasks = scores.shape
    by_seed, by_task = scores.mean(1, keepdims=True), scores.mean(0, keepdims=True)
    of_seeds = tasks * by_seed.var(ddof=1)
    of_tasks = seeds * by_task.var(ddof=1)
    residuals = scores - by_seed - by_task + scores.mean()
    rest = (residuals**2).sum() / ((seeds - 1) * (tasks - 1))
    variances = (of_seeds - rest) / tasks, (of_tasks - rest) / seeds, rest
    of_seed, of_task, both = (max(0.0, variance) ** 0.5 for variance in variances)
    return of_seed, of_task, both


def coverage(seeds: int, seed_sd: float, task_sd: float, rest_sd: float) -> float:
    """The share of simulated studies whose interval holds the truth."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(STUDIES):
        of_seed = rng.normal(0, seed_sd, (seeds, 1))
        of_task = rng.normal(0, task_sd, (1, TASKS))  # the same tasks under all seeds
        interval = mean_interval(of_seed + of_task + rng.normal(0, rest_sd, (seeds, TASKS)))
        held += interval.low <= 0 <= interval.high
    return held / STUDIES


if __name__ == "__main__":
    main()
