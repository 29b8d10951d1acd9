"""The commands about files of samples: judge, pairs and audit."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from pathlib import Path

from eta_utils.common.files import BadInput, read_jsonl, write_jsonl
from eta_utils.execution.judge import judge
from eta_utils.execution.records import STATUSES, Outcome, SampleFile
from eta_utils.preferences.orderings import ORDERINGS
from eta_utils.preferences.pairs import make_pairs
from eta_utils.sandbox.isolation import choose_rung, probe, refuse_weak
from eta_utils.tasks import load_tasks
from eta_utils.tasks.asserts import counted


def run_judge(options: Namespace) -> None:
    """Judge a file of samples, write the outcomes, print a summary."""
    tasks = load_tasks(options.tasks)
    samples = SampleFile(options.samples, tasks)
    rung = choose_rung(options.isolation)
    refuse_weak(rung, options.isolation)
    print(f"isolation  {probe(rung)}")
    statuses: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    settings = {
        "step_budget": options.step_budget,
        "isolation": rung,
        "cache": not options.no_cache,
        "progress": True,
    }
    start = time.monotonic()
    with (
        _place(options.dask, rung) as (executor, there),
        write_jsonl(options.out) as write,
    ):
        settings |= {"workers": options.workers or there, "executor": executor}
        for outcome in judge(samples, tasks, **settings):
            write(outcome.record())
            statuses[outcome.status] += 1
            judged[outcome.task_id] += outcome.passed is not None
            passed[outcome.task_id] += bool(outcome.passed)
    seconds = time.monotonic() - start
    rate = len(samples) / seconds
    print(f"judged     {len(samples):,} samples in {seconds:.1f} s, {rate:,.0f} per second")
    print(f"memory     {_peak_mebibytes():.0f} MiB at most in the judging process")
    _print_summary(statuses, judged, passed)
    print(f"written    {options.out}")


@contextlib.contextmanager
def _place(address: str | None, rung: str) -> Iterator[tuple]:
    """Where programs are judged: an executor and its size, or neither for this machine."""
    if address is None:
        yield None, None
        return
    from eta_utils.report.cluster import connected, judges  # a second to load

    with connected(address) as client:
        executor, workers = judges(client, rung)
        print(f"cluster    {address}, {workers()} programs at a time")
        yield executor, workers


def _peak_mebibytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _print_summary(statuses: Counter, judged: Counter, passed: Counter) -> None:
    from eta_utils.analysis.statistics import pass_at_k  # numpy: not before it is needed

    total = statuses.total()
    for status in reversed(STATUSES):
        if count := statuses[status]:
            print(f"  {status:12} {count:7,} {count / total:7.1%}")
    counts = ((number, passed[task]) for task, number in judged.items())
    for k, value in pass_at_k(counts).items():
        print(f"pass@{k:<5} {value:.4f}  over {len(judged)} tasks")


def run_pairs(options: Namespace) -> None:
    """Turn a file of outcomes into a file of preference pairs."""
    tasks = load_tasks(options.tasks)
    outcomes = _read_outcomes(Path(options.outcomes), tasks)
    found = make_pairs(
        outcomes,
        tasks,
        ordering=options.ordering,
        per_task=options.per_task,
        margin=options.margin,
        seed=options.seed,
    )
    with write_jsonl(options.out) as write:
        for pair in found:
            write(pair)
    passing: defaultdict[str, bool] = defaultdict(bool)
    for outcome in outcomes:
        passing[outcome.task_id] |= bool(outcome.passed)
    paired = {pair["task_id"] for pair in found}
    silent = [task for task, passes in passing.items() if not passes]
    print(f"pairs      {len(found):,} by '{options.ordering}'")
    print(f"prompts    {len(paired):,} of {len(passing):,} gave a pair")
    print(
        f"           {sum(task in paired for task in silent):,} of the "
        f"{len(silent):,} with no passing sample"
    )
    print(f"written    {options.out}")


def run_audit(options: Namespace) -> None:
    """Check the orderings of a file of outcomes against hidden tests; print the table."""
    rung = choose_rung(options.isolation)
    refuse_weak(rung, options.isolation)
    tasks = load_tasks(options.tasks)
    outcomes = _read_outcomes(Path(options.outcomes), tasks)
    import pandas as pd  # seconds to load, and so is what follows

    from eta_utils.analysis.audit import audit_table, by_halves, by_hidden, by_margin, count
    from eta_utils.analysis.tables import joined

    settings = {"workers": options.workers, "isolation": rung, "progress": True}
    if options.hidden is None:
        programs = by_halves([each.sample for each in outcomes], tasks, **settings)
    else:
        others = load_tasks(options.hidden).items()
        hidden = {name: counted(task.hidden()) for name, task in others}
        programs = by_hidden(outcomes, hidden, tasks, **settings)
    sampled = {each.task_id for each in outcomes}
    print(f"tasks      {len(programs):,} of {len(sampled):,} have visible and hidden tests")
    if not programs:
        raise BadInput(f"{options.outcomes}: no sample of a task with hidden tests")
    names = [name for name in ORDERINGS if name != "oracle"]
    table = joined(audit_table(count(programs, names)))
    total = sum(len(each.outcomes) for each in programs.values())
    print(f"programs   {total:,} different ones of {len(programs):,} tasks\n")
    print(table.set_index("ordering").T.map(str).to_string(), "\n")
    print(f"{options.ordering}, fail/fail pairs by margin")
    margins = pd.DataFrame(by_margin(programs, options.ordering))
    print(margins.map(str).to_string(index=False))


def _read_outcomes(path: Path, tasks: Container[str]) -> list[Outcome]:
    outcomes = []
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        try:
            outcome = Outcome.from_record(row)
        except KeyError as error:
            raise BadInput(f"{where}: no field {error}; is it a file of `judge`?") from None
        if outcome.sample.get("task_id") not in tasks:
            raise BadInput(f"{where}: unknown task_id {outcome.sample.get('task_id')!r}")
        outcomes.append(outcome)
    if not outcomes:
        raise BadInput(f"{path}: holds no outcomes")
    return outcomes
