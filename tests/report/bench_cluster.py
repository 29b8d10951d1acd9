"""What a Dask cluster costs: the judge on its own pool and on Dask, in turns.

    python -m tests.report.bench_cluster [--samples N] [--turns N]         (make bench)

Both have two workers.  Nothing is cached.  The times include the runs of the reference
solutions, as always.
"""

from __future__ import annotations

import argparse
import statistics
import time

from distributed import LocalCluster

from eta_utils.execution import JudgeSettings, judge
from eta_utils.report import cluster
from eta_utils.tasks import load_tasks
from tests.execution.bench_judge import choose_samples

WORKERS = 2


def main() -> None:
    """Print the seconds of both, turn by turn, and the median of their ratios."""
    options = _parser().parse_args()
    samples, tasks = choose_samples(options.samples), load_tasks("humaneval")
    sizes = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": None}
    ratios = []
    with (
        LocalCluster(**sizes) as local,
        cluster.connected(local.scheduler_address) as client,
    ):
        executor, _ = cluster.judges(client, "auto")

        def seconds(executor=None) -> tuple[float, list]:
            start = time.monotonic()
            settings = JudgeSettings(workers=WORKERS)
            judged = judge(samples, tasks, settings, executor=executor, cache=False)
            outcomes = list(judged)
            return time.monotonic() - start, outcomes

        seconds(), seconds(executor)  # not counted: workers start with their first program
        for _ in range(options.turns):
            (pool, here), (dask, there) = seconds(), seconds(executor)
            assert here == there
            ratios.append(dask / pool)
            print(f"pool {pool:6.2f} s  Dask {dask:6.2f} s  ratio {ratios[-1]:.3f}")
    print(f"{len(samples):,} samples, median ratio {statistics.median(ratios):.3f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4_000)
    parser.add_argument("--turns", type=int, default=5)
    return parser


if __name__ == "__main__":
    main()
