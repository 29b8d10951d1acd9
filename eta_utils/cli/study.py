"""Arguments of the commands about a study: run, train, table and report."""

from __future__ import annotations

import argparse
import textwrap

from eta_utils.cli.commands_study import (
    run_notebooks,
    run_report,
    run_table,
    run_training,
)
from eta_utils.cli.types import positive
from eta_utils.study.parameters import DEFAULT_PROFILE
from eta_utils.study.profiles import PROFILES
from eta_utils.study.study import Study


def add_run(commands: argparse._SubParsersAction) -> None:
    """`run`: execute the notebooks."""
    profiles = "\n".join(f"  {name:6} {_changes(name)}" for name in PROFILES)
    parameters = "\n".join(
        f"  {row['parameter']:19} {row['value']!s:>16}  {row['meaning']}"
        for row in Study().table()
        if row["parameter"] not in ("run", "profile", "seed", "outputs")
    )
    run = commands.add_parser(
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
            "  python -m eta_utils run --resume warm\n"
            f"\nparameters for -p, with the values of profile {DEFAULT_PROFILE}:\n"
            f"{parameters}"
        ),
    )
    _add_which(run)
    run.add_argument(
        "--notebooks", metavar="FOLDER", help="execute those in FOLDER (notebooks)"
    )
    run.add_argument(
        "--cell-timeout",
        type=positive,
        metavar="SECONDS",
        help="stop when one cell takes longer (never)",
    )
    run.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="seeds at work at a time, each with its share of the cores (1)",
    )
    run.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="spread seeds and arms over the workers of the Dask scheduler there, such as "
        "tcp://host:8786; they must see the run's folder (docs/scaling.md)",
    )
    run.set_defaults(command=run_notebooks)


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
        help="go on with a run, with the profile, seeds and parameters it was begun with",
    )


def add_train(commands: argparse._SubParsersAction) -> None:
    """`train`: the stages without the notebooks."""
    train = commands.add_parser(
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
    _add_which(train)
    train.add_argument(
        "--arms",
        nargs="+",
        metavar="ARM",
        help="sft, rm, ppo, dpo-eta, ... (all that the study has)",
    )
    train.set_defaults(command=run_training)


def _changes(profile: str) -> str:
    """What a profile sets, in lines that fit the help text."""
    changed = " ".join(f"{name}={value}" for name, value in PROFILES[profile].items())
    lines = textwrap.wrap(changed or "the defaults below", 78)
    return f"\n{'':9}".join(lines)


def add_table(commands: argparse._SubParsersAction) -> None:
    """`table`: recompute the results from scores by task."""
    table = commands.add_parser(
        "table",
        help="compute a run's tables anew from what it kept by task",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Compute a run's results and contrasts, with their intervals and tests, from\n"
            "the passes of each task in its scores.csv, and print them.  Where such files\n"
            "lie next to it: from beside.csv the crossover, from labels.csv the audit of\n"
            "the orderings, from ranked.csv what the reward model is worth."
        ),
        epilog="example:\n  python -m eta_utils table outputs/reference/scores.csv.gz",
    )
    table.add_argument("scores", metavar="SCORES", help="a run's scores.csv")
    table.add_argument(
        "--out", metavar="FOLDER", help="write each table there, too, as CSV"
    )
    table.set_defaults(command=run_table)


def add_report(commands: argparse._SubParsersAction) -> None:
    """`report`: render the page again."""
    report = commands.add_parser(
        "report",
        help="render the report of a run again",
        description="Write outputs/RUN/report.html from the run's executed notebooks.",
    )
    report.add_argument("run", metavar="RUN", help="name of a run, or its folder")
    report.add_argument(
        "--out", metavar="PAGE", help="write the page there instead, to travel alone"
    )
    report.set_defaults(command=run_report)
