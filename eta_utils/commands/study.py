"""The commands about a study: run, report, and doctor."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

from eta_utils.doctor import findings
from eta_utils.files import BadInput, read_json
from eta_utils.study import Study, parse, read_study


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
    if "ETA_DATA" in os.environ:  # notebooks are executed in another folder
        os.environ["ETA_DATA"] = os.path.abspath(os.environ["ETA_DATA"])
    # Loading papermill takes seconds, so a mistyped parameter is refused before.
    from eta_utils import notebook, runner

    notebooks = Path(options.notebooks or notebook.NOTEBOOKS).resolve()
    runner.check_seeds(seeds)
    runner.check_notebooks(notebooks)
    study = Study.planned(run, options.profile, seeds[0], **given)
    if study.model != "tiny":
        from eta_utils.rollouts import check_model  # torch takes seconds to load

        check_model(study)
    study.remember()
    print(f"run {study.run}, profile {study.profile}, seeds {' '.join(map(str, seeds))}")
    command = runner.command_for(study, seeds, options.jobs)
    try:
        report = runner.run_study(
            study, seeds, command, notebooks, options.cell_timeout, options.jobs
        )
    except notebook.NotebookFailed as failure:
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


def run_table(options: Namespace) -> None:
    """Compute a run's tables anew from what it kept by task; print them, or write them."""
    import pandas as pd  # seconds to load, and so is what follows

    from eta_utils.results import joined, write_results
    from eta_utils.tables import tables_of

    tables = tables_of(Path(options.scores))
    if options.out is not None:
        write_results(Path(options.out), **tables)
    with pd.option_context("display.width", 200, "display.max_columns", None):
        for name, table in tables.items():
            print(f"{name}\n{joined(table).round(3).to_string(index=False)}\n")


def run_report(options: Namespace) -> None:
    """Render the report of a run from the files it has."""
    folder = _find_run(options.run, Study.outputs)
    from eta_utils.report import render  # nbconvert takes seconds to load

    print(f"report {render(folder, options.out and Path(options.out))}")
