"""Outcomes are equal, byte for byte, with any number of workers, on each rung, under load.

    python -m tests.execution.test_same_everywhere

judges 500 real samples with 1, 2 and 4 workers, on each rung, idle and beside two processes
that use the processor without end.  It prints how many outcomes differ from those of the
first way.  The test does so with fewer samples, in fewer ways.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.sandbox.isolation import probe
from eta_utils.tasks import load_tasks
from tests.execution.bench_judge import choose_samples

BUSY = 2  # processes


class Way(NamedTuple):
    """How samples are judged."""

    rung: str
    workers: int
    busy: int  # processes that use the processor meanwhile

    def __str__(self) -> str:
        load = f"beside {self.busy} busy processes" if self.busy else "idle"
        return f"{self.rung}, {self.workers} workers, {load}"


ALL = [Way(*way) for way in itertools.product(("jail", "process"), (1, 2, 4), (0, BUSY))]
# Each number of workers, each rung, and both loads on each rung.
FEW = [ALL[0], ALL[2], ALL[5], ALL[8], ALL[11]]


def made_samples() -> list[dict]:
    """Of some tasks: the solution, one that is often wrong, and one that never ends."""
    return [
        {"task_id": name, "completion": text}
        for name, task in [*load_tasks("humaneval").items()][::10]
        for text in (
            task.canonical_solution,
            task.canonical_solution.replace("1", "2").replace("<", "<="),
            "    while True: pass\n",
        )
    ]


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes use the processor meanwhile."""
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def lines_by(way: Way, samples: list[dict]) -> list[str]:
    """The outcomes as `judge` writes them, but for the rung, which each of them names."""
    settings = JudgeSettings(workers=way.workers, isolation=way.rung)
    with busy(way.busy):
        outcomes = list(judge(samples, load_tasks("humaneval"), settings, cache=False))
    assert {outcome.isolation for outcome in outcomes} == {way.rung}
    return [json.dumps(outcome.record() | {"isolation": ""}) for outcome in outcomes]


def differing(ours: list[str], theirs: list[str]) -> list[tuple[str, str]]:
    """The pairs of lines that are not the same."""
    pairs = zip(ours, theirs, strict=True)
    return [(mine, other) for mine, other in pairs if mine != other]


@pytest.mark.slow
def test_outcomes_are_the_same_with_any_workers_on_each_rung_and_under_load():
    if not all(probe(way.rung).holds for way in FEW):
        pytest.skip("the rungs do not hold on this machine")
    samples = choose_samples(200) + made_samples()
    first, *others = (lines_by(way, samples) for way in FEW)
    assert len({json.loads(line)["status"] for line in first}) > 3
    assert [differing(lines, first) for lines in others] == [[]] * len(others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=500, help="default: 500")
    samples = choose_samples(parser.parse_args().samples)
    first = None
    for way in ALL:
        start = time.perf_counter()
        lines = lines_by(way, samples)
        seconds = time.perf_counter() - start
        if first is None:
            first = lines
            statuses = Counter(json.loads(line)["status"] for line in lines)
            found = ", ".join(f"{n} {status}" for status, n in statuses.most_common())
            print(f"{len(samples)} samples of {len(''.join(lines)):,} bytes: {found}")
        differ = differing(lines, first)
        print(f"{way!s:44} {seconds:6.1f} s  {len(differ):3} differ", flush=True)
        for mine, other in differ:
            print(f"  {mine}\n  {other}")


if __name__ == "__main__":
    main()
