"""The commands about a study: run, train, table and report; and doctor."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import Namespace
from contextlib import AbstractContextManager
from pathlib import Path

from eta_utils.cli.doctor import findings
from eta_utils.common.files import BadInput, read_json
from eta_utils.common.processes import count, from_first, is_first
from eta_utils.study.ranges import check_batches
from eta_utils.study.study import Study, parse, read_study


def run_doctor(_options: Namespace) -> None:
    """Print what this machine offers, as it is found."""
    for what, finding in findings():
        print(f"{what:13} {finding}", flush=True)


def run_notebooks(options: Namespace) -> int:
    """Execute the study's notebooks and render the report; return the exit code."""
    if options.dask is not None and options.jobs > 1:
        raise BadInput("--jobs: with --dask, as much runs at a time as it has workers")
    study, seeds = _asked(options)
    # Loading papermill takes seconds, so a mistyped parameter is refused before.
    from eta_utils.report import notebook
    from eta_utils.report import run as runner

    notebooks = Path(options.notebooks or notebook.NOTEBOOKS).resolve()
    runner.check_seeds(seeds)
    runner.check_notebooks(notebooks)
    with _client(options.dask) as client:
        if client is None:
            _check_machine(study)
        else:  # the workers look for their own
            from eta_utils.report.cluster import check_folder

            outputs = Path(study.outputs)
            outputs.mkdir(parents=True, exist_ok=True)
            for folder in (outputs, notebooks):
                check_folder(client, folder)
        study.remember()
        listed = " ".join(map(str, seeds))
        print(f"run {study.run}, profile {study.profile}, seeds {listed}")
        command = runner.command_for(study, seeds, options.jobs)
        try:
            report = runner.run_study(
                study,
                seeds,
                command,
                notebooks,
                options.cell_timeout,
                options.jobs,
                client,
            )
        except notebook.NotebookFailed as failure:
            print(f"eta_utils run: {failure}", file=sys.stderr)
            return failure.code
    print(f"report {report}")
    return 0


def run_training(options: Namespace) -> None:
    """Make the stages of a study without notebooks: in one process, or in those that
    `accelerate launch` starts."""
    study, seeds = _asked(options)
    from eta_utils.report.notebook import ENVIRONMENT
    from eta_utils.report.run import check_seeds

    check_seeds(seeds)
    check_batches(study)
    os.environ.update(ENVIRONMENT)
    _check_machine(study)
    from eta_utils.study import jobs  # torch takes seconds to load

    names = options.arms or jobs.names_of(study)
    for name in names:
        jobs.check(study, name)
    from_first(study.remember)
    with open(os.devnull, "w") as nowhere:
        said = sys.stdout if is_first() else nowhere  # one line of each is enough
        with contextlib.redirect_stdout(said):
            print(f"run {study.run}, profile {study.profile}, {count()} process(es)")
            for seed in seeds:
                for name in names:
                    print(f"seed {seed}, {name}", flush=True)
                    jobs.do(study.with_seed(seed), name)


def _asked(options: Namespace) -> tuple[Study, list[int]]:
    """The study that the options name, with its first seed, and all its seeds."""
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
    return Study.planned(run, options.profile, seeds[0], **given), seeds


def _client(address: str | None) -> AbstractContextManager:
    """A client of a Dask cluster, or None where none is named."""
    if address is None:
        return contextlib.nullcontext()
    from eta_utils.report.cluster import connected  # a second to load

    return connected(address)


def _check_machine(study: Study) -> None:
    """Raise BadInput where the study's model, GPU or sampler is not here."""
    plain = {"model": "tiny", "device": "auto", "sampler": "transformers"}
    if any(getattr(study, name) != value for name, value in plain.items()):
        from eta_utils.study.models import check_model  # torch takes seconds to load

        check_model(study)


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

    from eta_utils.analysis.recompute import tables_of
    from eta_utils.analysis.tables import joined, write_results

    tables = tables_of(Path(options.scores))
    if options.out is not None:
        write_results(Path(options.out), **tables)
    with pd.option_context("display.width", 200, "display.max_columns", None):
        for name, table in tables.items():
            print(f"{name}\n{joined(table).round(3).to_string(index=False)}\n")


def run_report(options: Namespace) -> None:
    """Render the report of a run from the files it has."""
    folder = _find_run(options.run, Study.outputs)
    from eta_utils.report.page import render  # nbconvert takes seconds to load

    print(f"report {render(folder, options.out and Path(options.out))}")
