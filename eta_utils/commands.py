"""What each command does: read files, call one function of the package, write, print.

The parsed options come from `cli`.  Bad input raises `BadInput` or `IsolationError`, which
`cli` turns into one sentence and an exit code.
"""

from __future__ import annotations

import resource
import sys
import time
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Container
from pathlib import Path

from eta_utils.doctor import findings
from eta_utils.execution import judge
from eta_utils.files import BadInput, read_json, read_jsonl, write_jsonl
from eta_utils.outcomes import STATUSES, Outcome
from eta_utils.preferences import make_pairs
from eta_utils.samples import SampleFile
from eta_utils.sandbox.isolation import choose_rung, probe, refuse_weak
from eta_utils.study import Study, parse, read_study
from eta_utils.tasks import load_tasks


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
    start = time.monotonic()
    with write_jsonl(options.out) as write:
        for outcome in judge(
            samples,
            tasks,
            workers=options.workers,
            step_budget=options.step_budget,
            isolation=rung,
            cache=not options.no_cache,
            progress=True,
        ):
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


def _peak_mebibytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _print_summary(statuses: Counter, judged: Counter, passed: Counter) -> None:
    from eta_utils.evaluation import pass_at_k  # numpy: not before it is needed

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


def run_doctor(_options: Namespace) -> None:
    """Print what this machine offers, as it is found."""
    for what, finding in findings():
        print(f"{what:13} {finding}", flush=True)


def run_notebooks(options: Namespace) -> int:
    """Execute the study's notebooks and render the report; return the exit code."""
    given = _parse_parameters(options.parameters)
    run, seeds = options.run, options.seeds
    if options.resume is not None:
        if run is not None:
            raise BadInput("--resume names the run; leave out --run")
        folder = _find_run(options.resume, str(given.get("outputs", Study.outputs)))
        run, seeds = folder.name, seeds or _recorded_seeds(folder)
        if folder.parent != Path(Study.outputs):  # named by a path
            given["outputs"] = str(folder.parent)
    seeds = seeds or [0]
    # Loading papermill takes seconds, so a mistyped parameter is refused before.
    from eta_utils import runner

    notebooks = Path(options.notebooks or runner.NOTEBOOKS).resolve()
    runner.check_seeds(seeds)
    runner.check_notebooks(notebooks)
    study = Study.begin(run, options.profile, seeds[0], **given)
    print(f"run {study.run}, profile {study.profile}, seeds {' '.join(map(str, seeds))}")
    command = runner.command_for(study, seeds)
    try:
        report = runner.run_study(study, seeds, command, notebooks, options.cell_timeout)
    except runner.NotebookFailed as failure:
        print(f"eta_utils run: {failure}", file=sys.stderr)
        return failure.code
    print(f"report {report}")
    return 0


def _parse_parameters(given: list[str]) -> dict[str, object]:
    """The values of `-p name=value`, in the types that the parameters have."""
    values: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"-p {text}: is not name=value")
        if name in ("run", "profile", "seed"):
            option = "seeds" if name == "seed" else name
            raise BadInput(f"-p {text}: is given with --{option}")
        if name in values:
            raise BadInput(f"-p {text}: {name} is given twice")
        values[name] = parse(name, value)
    return values


def _find_run(name: str, outputs: str) -> Path:
    """The folder of a run, named or given as a path.  Raises BadInput, naming those there
    are, when it was never begun."""
    for folder in (Path(outputs) / name, Path(name)):
        if read_study(folder):
            return folder.resolve()
    runs = sorted(path.parent.name for path in Path(outputs).glob("*/study.json"))
    known = f"there are {', '.join(runs)}" if runs else "there are no runs yet"
    raise BadInput(f"run {name}: there is no such run in {outputs}; {known}")


def _recorded_seeds(folder: Path) -> list[int]:
    record = folder / "run.json"
    return read_json(record)["seeds"] if record.exists() else []


def run_report(options: Namespace) -> None:
    """Render the report of a run from the files it has."""
    folder = _find_run(options.run, Study.outputs)
    from eta_utils.report import render  # nbconvert takes seconds to load

    print(f"report {render(folder)}")
