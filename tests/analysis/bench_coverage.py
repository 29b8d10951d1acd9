"""How often does a 95 % interval hold the truth?  By three methods, in simulated studies.

    python -m tests.analysis.bench_coverage

Simulates studies whose true difference is 0 and counts the intervals that hold 0.  The
difference on a task under a seed is the sum of three normal effects: of the seed, of the
task, and of both together (samples, training).  `SETTINGS` are spreads like those of trials
in this regime, where seeds differ by 2 points or so, and two extremes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from eta_utils.analysis.statistics import (
    Interval,
    crossed_t,
    paired_difference,
    paired_t,
)

STUDIES = 2_000  # the standard error of a coverage near 95 % is then half a point


class Setting(NamedTuple):
    """A kind of study: its size, and the standard deviations of its three effects."""

    about: str
    seeds: int
    tasks: int
    of_seed: float
    of_task: float
    rest: float


SETTINGS = (
    Setting("twelve seeds, sd 2 points", 12, 240, 0.02, 0.10, 0.30),
    Setting("four seeds, sd 2 points", 4, 240, 0.02, 0.10, 0.30),
    Setting("two seeds, sd 2 points", 2, 240, 0.02, 0.10, 0.30),
    Setting("twelve seeds, the rest dominates", 12, 240, 0.0, 0.05, 0.40),
    Setting("four seeds, the rest dominates", 4, 240, 0.0, 0.05, 0.40),
    Setting("four seeds that dominate", 4, 240, 0.06, 0.05, 0.20),
    Setting("twelve seeds, tasks dominate", 12, 240, 0.0, 0.30, 0.10),
)


def by_crossed_t(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """The interval of the study's test."""
    return crossed_t(ours, theirs).interval


def by_paired_t(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """The interval of the plain t-test over seeds."""
    return paired_t(ours, theirs).interval


METHODS = {
    "crossed t": by_crossed_t,
    "t over seeds": by_paired_t,
    "bootstrap": paired_difference,
}


def coverage(
    setting: Setting,
    method: Callable[[np.ndarray, np.ndarray], Interval],
    studies: int = STUDIES,
) -> float:
    """The share of simulated studies whose interval holds the truth, 0."""
    rng = np.random.default_rng(0)
    shape = setting.seeds, setting.tasks
    nothing = np.zeros(shape)
    held = 0
    for _ in range(studies):
        of_seed = rng.normal(0, setting.of_seed, (setting.seeds, 1))
        of_task = rng.normal(0, setting.of_task, setting.tasks)  # the same under all seeds
        interval = method(of_seed + of_task + rng.normal(0, setting.rest, shape), nothing)
        held += interval.low <= 0 <= interval.high
    return held / studies


def main() -> None:
    """Print the coverage of each method in each setting."""
    print(f"share of 95 % intervals that hold the truth, {STUDIES:,} studies each")
    print(f"{'':34}" + "".join(f"{name:>14}" for name in METHODS))
    for setting in SETTINGS:
        # The bootstrap takes a hundred times as long.
        shares = [
            coverage(setting, method, STUDIES // 4 if name == "bootstrap" else STUDIES)
            for name, method in METHODS.items()
        ]
        print(f"{setting.about:34}" + "".join(f"{share:>14.1%}" for share in shares))


if __name__ == "__main__":
    main()
