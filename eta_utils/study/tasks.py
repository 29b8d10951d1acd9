"""The tasks of a study: of its family, for one split, ready to be asked and judged.

>>> tasks_of(study, "align")       # sft, align, tune or test
>>> corpus_of(study)               # what the tiny base model learns

A family is a generator (`pipelines`: writing; `repair`: repairing the same) or a named set
of tasks; of a set that comes with buggy programs the task is to repair these.

Leaves out: what a model makes of them (see `rollouts`).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from eta_utils.common.processes import from_first
from eta_utils.execution.judge import judge
from eta_utils.execution.records import Outcome
from eta_utils.study.study import Study
from eta_utils.tasks import Task, load_tasks, pipelines, splits
from eta_utils.tasks.asserts import in_halves
from eta_utils.tasks.repair import as_repair, notes_on, with_bugs

# The parameters that say which tasks a study has.
FAMILY = ("tasks", "test_set", "hidden_set", "repair_trace", "limit")
SPLITS = ("sft", "align", "tune", "test")
BUGS_TRIED = 3  # of each generated task, until one shows
SPARE = 1.25  # times the tasks that are wanted, since not every bug shows


def tasks_of(study: Study, split: str) -> dict[str, Task]:
    """The study's tasks of one split: `sft`, `align`, `tune` or `test`."""
    return dict(_tasks_of(study, split))


@functools.lru_cache(maxsize=16)
def _tasks_of(study: Study, split: str) -> Mapping[str, Task]:
    """Made once in a process: a round of DPO asks four times, at seconds each."""
    if study.generated:
        return _generated(study, split)
    if split == "test" and study.test_set:
        tasks = load_tasks(study.test_set)
        tasks = dict(list(tasks.items())[: study.limit or None])
    else:
        tasks = splits.split(study.tasks, split, study.limit)
    most = {"sft": study.sft_tasks, "tune": study.test_tasks, "test": study.test_tasks}
    tasks = dict(list(tasks.items())[: most.get(split)])
    tasks = _with_hidden_tests(study, split, tasks)
    buggy = any(task.buggy_solution for task in tasks.values())
    return _repairs(study, tasks.values()) if buggy else tasks


def _generated(study: Study, split: str) -> dict[str, Task]:
    counts = {
        "sft": study.sft_tasks,
        "align": study.rounds * study.prompts_per_round,
        "tune": study.test_tasks,
        "test": study.test_tasks,
    }
    easiest = study.sft_min_steps if split == "sft" else study.align_min_steps
    # Evaluation tasks do not depend on the seed: all seeds are compared on the same ones.
    seed = 0 if split in ("tune", "test") else study.seed
    steps = (easiest, study.max_steps)
    if study.tasks == "pipelines":
        return pipelines.generate(split, counts[split], steps=steps, seed=seed)
    spare = int(SPARE * counts[split]) + 8
    tasks = pipelines.generate(split, spare, steps=steps, seed=seed)
    broken = _broken(tasks.values(), f"{split} {seed}")
    found = _repairs(study, broken, known=False)
    return dict(list(found.items())[: counts[split]])


def _broken(tasks: Iterable[Task], seed: str, tried: int = BUGS_TRIED) -> list[Task]:
    """A few buggy copies of each task, of which `_repairs` keeps the first that fails."""
    rng = random.Random(f"bugs {seed}")
    return [each for task in tasks for each in with_bugs(task, tried, rng)]


def _with_hidden_tests(
    study: Study, split: str, tasks: Mapping[str, Task]
) -> dict[str, Task]:
    """Hidden tests: those of `hidden_set`; else, for alignment, the second half of a task's
    asserts, and for evaluation all of them."""
    others = load_tasks(study.hidden_set) if study.hidden_set else {}
    found = {}
    for name, task in tasks.items():
        other, halves = others.get(name), in_halves(task)
        found[name] = task
        if other is not None:
            found[name] = replace(task, hidden_test=other.hidden_test or other.test)
        elif halves is not None and not task.hidden_test:
            hidden = halves.hidden_test if split == "align" else task.test
            found[name] = replace(task, test=halves.test, hidden_test=hidden)
    return found


def _repairs(study: Study, tasks: Iterable[Task], known: bool = True) -> dict[str, Task]:
    """Tasks with buggy programs as tasks to repair, told what the program does.

    Unless the bugs are `known` to be such, a program that passes the visible tests is left
    out; of several with one name the first stays.
    """
    tasks = list(tasks)
    found: dict[str, Task] = {}
    for task, outcome in zip(tasks, _executed(study, tasks), strict=True):
        if known or outcome.passed is False:
            notes = _notes(task, outcome) if study.repair_trace else ()
            found.setdefault(task.task_id, as_repair(task, notes))
    return found


def _executed(study: Study, tasks: Sequence[Task]) -> list[Outcome]:
    """The outcome of each task's buggy program, by its visible tests."""
    numbered = {str(number): task for number, task in enumerate(tasks)}
    samples = [
        {"task_id": number, "completion": task.buggy_solution}
        for number, task in numbered.items()
    ]
    settings = {"workers": study.workers or None, "step_budget": study.step_budget or None}
    # Several may share a name; nothing is compared with the reference, so none is executed.
    plain = {
        number: replace(task, task_id=number, canonical_solution="")
        for number, task in numbered.items()
    }
    return from_first(lambda: list(judge(samples, plain, **settings, keep_trace=True)))


def _notes(task: Task, outcome: Outcome) -> list[str]:
    unit = outcome.first_failed_assert
    words = outcome.trace["words"] if outcome.trace else ()
    states = [state for where, _, some in words if where == unit for state in some]
    return notes_on(task, unit, outcome.exception, states)


def corpus_of(study: Study) -> list[dict]:
    """What the tiny base model learns: `prompt`, `completion` and the `bugs` in it."""
    repair = study.tasks == "repair"
    rows = list(
        pipelines.noisy_corpus(
            study.corpus_tasks,
            study.corpus_noise,
            steps=(study.min_steps, study.max_steps),
            seed=study.seed,
            with_tasks=repair,
        )
    )
    if not repair:
        return rows
    by_task = {row["task"].task_id: row for row in rows}
    broken = _broken([row["task"] for row in rows], f"corpus {study.seed}", 1)
    return [
        {"prompt": task.prompt}
        | {each: by_task[name][each] for each in ("completion", "bugs")}
        for name, task in _repairs(study, broken, known=False).items()
    ]
