"""The commands about a study: run, train, recompute and report."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

from eta_utils.cli.options import positive
from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_json
from eta_utils.sandbox.isolation import choose_rung
from eta_utils.study.study import (
    DEFAULT_OUTPUTS,
    DEFAULT_PROFILE,
    PROFILES,
    Study,
    parameter,
    parts,
    read_study,
)

PLACE = ("run", "profile", "seed")  # parameters that have options of their own


# --- run: the notebooks and the report


def add_run(commands: argparse._SubParsersAction) -> None:
    """The arguments of `run`."""
    profiles = "\n".join(f"  {name:8} {_changes(name)}" for name in PROFILES)
    parser = commands.add_parser(
        "run",
        help="execute the study's notebooks and render the report",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Execute notebooks 01, 02 and 03 for each seed, then 04 over all of them,\n"
            "into outputs/RUN, and render outputs/RUN/report.html.  What was done before\n"
            "and still holds is reused.  Exit code 1: a notebook failed; its partial copy\n"
            f"is kept and rendered.\n\nprofiles:\n{profiles}"
        ),
        epilog=(
            "examples:\n"
            "  python -m eta_utils run\n"
            "  python -m eta_utils run --profile smoke\n"
            "  python -m eta_utils run --run warm --seeds 0 1 2 -p temperature=1.2\n"
            '  python -m eta_utils run --run mine -p arms="grpo credit ceiling"\n'
            "  python -m eta_utils run --resume warm\n"
            f"\nparameters for -p, with the values of profile {DEFAULT_PROFILE}:\n"
            f"{_parameters_help()}"
        ),
    )
    _add_which(parser)
    parser.add_argument(
        "--notebooks", metavar="FOLDER", help="execute those in FOLDER (notebooks)"
    )
    parser.add_argument(
        "--cell-timeout",
        type=positive,
        metavar="SECONDS",
        help="stop when one cell takes longer (never)",
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="seeds that run at a time, each with its share of the cores (1)",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="spread seeds and arms over the workers of the Dask scheduler there, such as "
        "tcp://host:8786; they must see the run's folder (docs/scaling.md)",
    )
    parser.set_defaults(command=run_notebooks)


def _changes(profile: str) -> str:
    """What a profile sets, in lines that fit the help text."""
    changed = " ".join(f"{name}={value}" for name, value in PROFILES[profile].items())
    lines = textwrap.wrap(changed or "the defaults below", 78)
    return f"\n{'':11}".join(lines)


def _parameters_help() -> str:
    """All parameters but those of the place, by the part of the study they belong to."""
    lines, study = [], Study()
    for part, owner in parts().items():
        if part == "place":
            continue
        subject = (owner.__doc__ or "").strip().splitlines()[0].partition(" (`")[0]
        lines.append(f" {subject.rstrip('.')}")
        for name, value in getattr(study, part).flat().items():
            about = textwrap.wrap(parameter(name).about, 60)
            lines.append(f"  {name:21} {value!s:>16}  {about[0]}")
            lines += [f"{'':42}{rest}" for rest in about[1:]]
    return "\n".join(lines)


def _add_which(parser: argparse.ArgumentParser) -> None:
    """The options that say which study, and which seeds of it."""
    parser.add_argument(
        "--profile", metavar="P", help=f"a named set of parameters ({DEFAULT_PROFILE})"
    )
    parser.add_argument(
        "--run", metavar="RUN", help="folder under outputs (the profile's name)"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="S", help="one pass each, all different (0)"
    )
    parser.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter; may be repeated",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="continue a run with its saved profile, seeds and parameters; -p changes one, "
        "and what depends on it is made again",
    )


def run_notebooks(options: argparse.Namespace) -> int:
    """Execute the study's notebooks and render the report; return the exit code."""
    if options.dask is not None and options.jobs > 1:
        raise BadInput("--jobs: with --dask, as much runs at a time as it has workers")
    study, seeds = _study_and_seeds(options)
    _check_installed()
    # Loading papermill takes seconds, so a mistyped parameter is refused before.
    from eta_utils.report import notebook, run

    notebooks = Path(options.notebooks or notebook.NOTEBOOKS).resolve()
    run.check_seeds(seeds)
    run.check_notebooks(notebooks)
    with _client(options.dask) as client:
        if client is None:
            _check_machine(study)
        else:  # the workers look for their own
            from eta_utils.report.cluster import check_folder

            outputs = Path(study.place.outputs)
            outputs.mkdir(parents=True, exist_ok=True)
            for folder in (outputs, notebooks):
                check_folder(client, folder)
        study.remember()
        listed = " ".join(map(str, seeds))
        print(f"run {study.run}, profile {study.profile}, seeds {listed}")
        command = run.command_for(study, seeds, options.jobs)
        try:
            page = run.run_study(
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
    print(f"report {page}")
    return 0


def _check_installed() -> None:
    """Raise ModuleNotFoundError, before anything is written, without the study's libraries.

    A kernel without them would fail later and less clearly.
    """
    for name in ("torch", "trl", "papermill"):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _client(address: str | None) -> AbstractContextManager:
    """A client of a Dask cluster, or None where none is named."""
    if address is None:
        return contextlib.nullcontext()
    from eta_utils.report.cluster import connected  # a second to load

    return connected(address)


def _check_machine(study: Study) -> None:
    """Raise before anything is made where the study's model, GPU, sampler or isolation is
    not here."""
    if study.judging.isolation != "auto":
        choose_rung(study.judging.isolation)
    plain = Study()
    if (study.model, study.sampling.sampler) != (plain.model, plain.sampling.sampler):
        from eta_utils.study.models import check_model  # torch takes seconds to load

        check_model(study)


# --- train: the same stages without notebooks


def add_train(commands: argparse._SubParsersAction) -> None:
    """The arguments of `train`."""
    parser = commands.add_parser(
        "train",
        help="make the models of a study without notebooks, also in several processes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Make what the notebooks would: models, samples, evaluations, as stages under\n"
            "outputs/RUN.  `run` with the same parameters then reuses them all.  Under\n"
            "`accelerate launch` each training is spread over its processes, with the\n"
            "batches of one: but for rounding, and for a last batch that is not full, its\n"
            "losses are the same.  (On processors, too, --multi_gpu starts several.)\n"
            "`run --help` lists profiles and parameters."
        ),
        epilog=(
            "examples:\n"
            "  python -m eta_utils train --profile smoke --arms sft dpo-eta\n"
            "  accelerate launch --multi_gpu --num_processes 2 \\\n"
            "    -m eta_utils train --run two\n"
            "  python -m eta_utils run --run two       # the report, from what is there"
        ),
    )
    _add_which(parser)
    parser.add_argument(
        "--arms",
        nargs="+",
        metavar="ARM",
        help="sft, rm, grpo, credit, dpo-eta, ... (all that the study has)",
    )
    parser.set_defaults(command=run_training)


def run_training(options: argparse.Namespace) -> None:
    """Make the stages of a study without notebooks, alone or under `accelerate launch`."""
    _check_installed()
    from eta_utils.report.run import check_seeds

    processes.join()
    study, seeds = _study_and_seeds(options)
    check_seeds(seeds)
    study.check_batches()
    _check_machine(study)
    from eta_utils.study import jobs  # torch takes seconds to load
    from eta_utils.study.results import refresh

    names = options.arms or jobs.names_of(study)
    for name in names:
        jobs.check(study, name)
    processes.from_first(study.remember)
    with open(os.devnull, "w") as devnull:
        # All processes print the same, so the first one's output is enough.
        output = sys.stdout if processes.is_first() else devnull
        with contextlib.redirect_stdout(output):
            count = processes.count()
            print(f"run {study.run}, profile {study.profile}, {count} process(es)")
            for seed in seeds:
                for name in names:
                    print(f"seed {seed}, {name}", flush=True)
                    jobs.do(study.with_seed(seed), name)
            processes.from_first(lambda: refresh(study))  # scores outlive the models


# --- Which study


def _study_and_seeds(options: argparse.Namespace) -> tuple[Study, list[int]]:
    """The study that the options name, with its first seed, and all its seeds."""
    given = parse_parameters(options.parameters)
    run, seeds = options.run, options.seeds
    if options.resume is not None:
        if run is not None:
            raise BadInput("--resume names the run; leave out --run")
        folder = _find_run(options.resume, str(given.get("outputs", DEFAULT_OUTPUTS)))
        run, seeds = folder.name, seeds or _recorded_seeds(folder)
        if folder.parent != Path(DEFAULT_OUTPUTS):  # named by a path
            given["outputs"] = str(folder.parent)
    seeds = seeds or [0]
    if "ETA_DATA" in os.environ:  # notebooks are executed in another folder
        os.environ["ETA_DATA"] = os.path.abspath(os.environ["ETA_DATA"])
    return Study.planned(run, options.profile, seeds[0], **given), seeds


def parse_parameters(given: list[str]) -> dict[str, object]:
    """The values of `-p name=value`, in the types that the parameters have."""
    values: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"-p {text}: is not name=value")
        if name in PLACE:
            option = "seeds" if name == "seed" else name
            raise BadInput(f"-p {text}: is given with --{option}")
        if name in values:
            raise BadInput(f"-p {text}: {name} is given twice")
        values[name] = parameter(name).parsed(value)
    return values


def _find_run(name: str, outputs: str) -> Path:
    """The folder of a run, named or given as a path.

    Raises BadInput, naming the runs there are, when it was never begun.
    """
    for folder in (Path(outputs) / name, Path(name)):
        if read_study(folder):
            return folder.resolve()
    runs = sorted(path.parent.name for path in Path(outputs).glob("*/study.json"))
    known = f"there are {', '.join(runs)}" if runs else "there are no runs yet"
    raise BadInput(f"run {name}: there is no such run in {outputs}; {known}")


def _recorded_seeds(folder: Path) -> list[int]:
    record = folder / "run.json"
    return read_json(record)["seeds"] if record.exists() else []


# --- recompute and report: from what a run has kept


def add_recompute(commands: argparse._SubParsersAction) -> None:
    """The arguments of `recompute`."""
    parser = commands.add_parser(
        "recompute",
        help="compute a run's tables again, from what it kept by task",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Compute a run's tables again, with their intervals and tests, from what its\n"
            "folder scores/ has of each task, seed and temperature, and print them:\n"
            "results, contrasts, temperature, difficulty, gate.  Where there are more\n"
            "parts: from labels the audit of the orderings, from ranked what the reward\n"
            "model is worth, from the runs in beside/ the gain by rarity."
        ),
        epilog="example:\n  python -m eta_utils recompute outputs/reference",
    )
    parser.add_argument("folder", metavar="FOLDER", help="a run's folder")
    parser.add_argument(
        "--out", metavar="FOLDER", help="write each table there, too, as CSV"
    )
    parser.set_defaults(command=run_recompute)


def run_recompute(options: argparse.Namespace) -> None:
    """Compute a run's tables again from what it kept by task; print them, or write them."""
    import pandas as pd  # a second to load, and so is what follows

    from eta_utils.analysis.recompute import tables_of
    from eta_utils.analysis.tables import joined, write_results

    tables = tables_of(Path(options.folder))
    if options.out is not None:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        write_results(Path(options.out), **tables)
    with pd.option_context("display.width", 200, "display.max_columns", None):
        for name, table in tables.items():
            numbers = table.drop(columns=["by seed", "in words"], errors="ignore")
            print(f"{name}\n{joined(numbers).round(3).to_string(index=False)}\n")
    print("\n".join(tables["contrasts"]["in words"]))


def add_report(commands: argparse._SubParsersAction) -> None:
    """The arguments of `report`."""
    parser = commands.add_parser(
        "report",
        help="render the report of a run again",
        description="Write outputs/RUN/report.html from the run's executed notebooks.",
    )
    parser.add_argument("run", metavar="RUN", help="name of a run, or its folder")
    parser.add_argument(
        "--out", metavar="PAGE", help="write the page there instead, to travel alone"
    )
    parser.set_defaults(command=run_report)


def run_report(options: argparse.Namespace) -> None:
    """Render the report of a run from the files it has."""
    folder = _find_run(options.run, DEFAULT_OUTPUTS)
    from eta_utils.report import render  # nbconvert takes seconds to load

    print(f"report {render(folder, options.out and Path(options.out))}")
