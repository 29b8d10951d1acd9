"""The tasks of a study, by split, ready to be asked and judged.

>>> tasks = held_out_tasks(study.family, study.held_out, study.judging)
>>> corpus = corpus_of(study.family, study.corpus, study.judging, study.seed)

A family is a generator (`pipelines`: write a function; `repair`: mend one) or a named set.
The tasks of a set that comes with buggy programs are to repair these.

Every function takes just the settings that decide its tasks, so that a stage which uses
them cannot forget one.  `judging` may be None for a family that executes nothing.
Tasks are generated once in a process, at seconds each.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from eta_utils.common.processes import from_first
from eta_utils.execution import JudgeSettings, Outcome, judge
from eta_utils.study.settings import (
    CorpusSettings,
    FamilySettings,
    HeldOutSettings,
    RoundSettings,
    SetSettings,
    SFTTaskSettings,
    TaskSettings,
)
from eta_utils.study.study import Study
from eta_utils.tasks import Task, load_tasks, pipelines, splits
from eta_utils.tasks.asserts import in_halves
from eta_utils.tasks.repair import as_repair, notes_on, with_bugs
from eta_utils.training.settings import CeilingSettings

SPLITS = ("sft", "align", "tune", "test")
BUGS_TRIED = 3  # of each generated task, until one shows
SPARE = 1.25  # times the tasks that are wanted, since not every bug shows


def sft_tasks(
    family: SetSettings, wanted: SFTTaskSettings, judging: JudgeSettings | None, seed: int
) -> dict[str, Task]:
    """The tasks whose solutions SFT learns."""
    return _tasks_of(family, "sft", wanted.tasks, wanted.min_steps, seed, judging)


def ceiling_tasks(
    family: TaskSettings, ceiling: CeilingSettings, judging: JudgeSettings, seed: int
) -> dict[str, Task]:
    """Tasks of all operations, misconceived ones among them, as alignment's are."""
    least = family.align_min_steps
    return _tasks_of(family, "sft", ceiling.tasks, least, seed, judging, pure=False)


def alignment_tasks(
    family: TaskSettings, rounds: RoundSettings, judging: JudgeSettings, seed: int
) -> dict[str, Task]:
    """The tasks of all rounds of alignment; of a named set, all that it has for them."""
    count = rounds.prompts if family.generated else None
    return _tasks_of(family, "align", count, family.align_min_steps, seed, judging)


def round_tasks(
    family: TaskSettings,
    rounds: RoundSettings,
    judging: JudgeSettings,
    seed: int,
    number: int,
    prompts: int | None = None,
) -> dict[str, Task]:
    """The alignment tasks of round `number`, counted from 1.

    A round has `prompts` tasks, by default as many as the settings say.  A set that has
    fewer tasks than all rounds want is gone through again.
    """
    tasks = list(alignment_tasks(family, rounds, judging, seed).items())
    size = prompts or rounds.prompts_per_round
    start = (number - 1) * size
    return dict(tasks[place % len(tasks)] for place in range(start, start + size))


def held_out_tasks(
    family: TaskSettings,
    held_out: HeldOutSettings,
    judging: JudgeSettings,
    split: str = "test",
) -> dict[str, Task]:
    """The tasks for evaluation, or with `split="tune"` those for tuning.

    They do not depend on the seed: all seeds are compared on the same ones.
    """
    least = family.align_min_steps
    return _tasks_of(family, split, held_out.count(split), least, 0, judging)


def _tasks_of(
    family: SetSettings,
    split: str,
    count: int | None,
    least: int,
    seed: int,
    judging: JudgeSettings | None,
    pure: bool = True,
) -> dict[str, Task]:
    return dict(_cached_tasks(family, split, count, least, seed, judging, pure))


@functools.lru_cache(maxsize=16)
def _cached_tasks(
    family: SetSettings,
    split: str,
    count: int | None,
    least: int,
    seed: int,
    judging: JudgeSettings | None,
    pure: bool,
) -> Mapping[str, Task]:
    """The tasks of a split; with `pure` those of SFT use no misconceived operation."""
    if family.generated:
        draw = functools.partial(
            pipelines.generate,
            split,
            steps=(least, family.max_steps),
            seed=seed,
            misconceptions=family.misconceptions,
            # Else SFT could learn from its few solutions what the corpus gets wrong.
            most=0 if split == "sft" and pure else None,
            fewest=0 if split == "sft" and pure else family.align_min_misconceptions,
        )
        if family.tasks == "pipelines":
            return draw(count)
        spare = int(SPARE * count) + 8
        tasks = draw(spare)
        broken = _broken(tasks.values(), f"{split} {seed}")
        repairs = repair_tasks(judging, broken, _saying(family), known=False)
        return dict(list(repairs.items())[:count])
    if split == "test" and family.test_set:
        tasks = load_tasks(family.test_set, apart=True)
        tasks = dict(list(tasks.items())[: family.limit or None])
    else:
        tasks = splits.split(family.tasks, split, family.limit)
    tasks = _with_hidden_tests(family, split, dict(list(tasks.items())[:count]))
    buggy = any(task.buggy_solution for task in tasks.values())
    if buggy:
        return repair_tasks(judging, tasks.values(), _saying(family))
    return tasks


def _broken(tasks: Iterable[Task], seed: str, tried: int = BUGS_TRIED) -> list[Task]:
    """A few buggy copies of each task, of which `repair_tasks` keeps the first that
    fails."""
    rng = random.Random(f"bugs {seed}")
    return [buggy for task in tasks for buggy in with_bugs(task, tried, rng)]


def _with_hidden_tests(
    family: SetSettings, split: str, tasks: Mapping[str, Task]
) -> dict[str, Task]:
    """Tasks with hidden tests: those of `hidden_set`, where it has the task.

    Else the first half of a task's own asserts is visible.  For alignment the second half
    is hidden; for evaluation all of them are.
    """
    hidden = family.hidden_set
    others = load_tasks(hidden, apart=True) if hidden else {}
    complete = {}
    for name, task in tasks.items():
        other, halves = others.get(name), in_halves(task)
        complete[name] = task
        if other is not None:
            complete[name] = replace(task, hidden_test=other.hidden_test or other.test)
        elif halves is not None and not task.hidden_test:
            hidden = halves.hidden_test if split == "align" else task.test
            complete[name] = replace(task, test=halves.test, hidden_test=hidden)
    return complete


def repair_tasks(
    judging: JudgeSettings | None,
    tasks: Iterable[Task],
    saying: str,
    known: bool = True,
) -> dict[str, Task]:
    """Tasks with buggy programs as tasks to repair; `saying` is one of `REPAIRS`.

    Unless the bugs are `known` to be such, a program that passes the visible tests is left
    out.  Of several with one name the first stays.
    """
    tasks = list(tasks)
    repairs: dict[str, Task] = {}
    for task, outcome in zip(tasks, _executed(judging, tasks), strict=True):
        if known or outcome.passed is False:
            notes = _notes(task, outcome, saying)
            repairs.setdefault(task.task_id, as_repair(task, notes))
    return repairs


def _saying(family: FamilySettings) -> str:
    return "traced" if family.repair_trace else "told"


def _executed(judging: JudgeSettings | None, tasks: Sequence[Task]) -> list[Outcome]:
    """The outcome of each task's buggy program, by its visible tests."""
    # Several tasks may share a name, so they are numbered.  Nothing is compared with the
    # reference, so none is executed.
    plain = {
        str(number): replace(task, task_id=str(number), canonical_solution="")
        for number, task in enumerate(tasks)
    }
    samples = [
        {"task_id": number, "completion": task.buggy_solution}
        for number, task in plain.items()
    ]
    if judging is None:
        raise ValueError(
            "these tasks execute programs, and nothing says within which limits"
        )
    return from_first(lambda: list(judge(samples, plain, judging, keep_trace=True)))


def _notes(task: Task, outcome: Outcome, saying: str) -> list[str]:
    if saying == "told":
        return []
    unit = outcome.first_failed_assert
    words = outcome.trace["words"] if outcome.trace and saying == "traced" else ()
    states = [state for where, _, some in words if where == unit for state in some]
    return notes_on(task, unit, outcome.exception, states)


def corpus_of(
    family: FamilySettings,
    corpus: CorpusSettings,
    judging: JudgeSettings | None,
    seed: int,
) -> list[dict]:
    """What the tiny base model learns: `prompt`, `completion` and the `bugs` in it."""
    repair = family.tasks == "repair"
    rows = list(
        pipelines.noisy_corpus(
            corpus.tasks,
            corpus.noise,
            steps=(corpus.min_steps, family.max_steps),
            seed=seed,
            misconceptions=family.misconceptions,
            rate=corpus.misconception_rate,
            with_tasks=repair,
        )
    )
    if not repair:
        return rows
    by_task = {row["task"].task_id: row for row in rows}
    broken = _broken([row["task"] for row in rows], f"corpus {seed}", 1)
    return [
        {"prompt": task.prompt}
        | {field: by_task[name][field] for field in ("completion", "bugs")}
        for name, task in repair_tasks(
            judging, broken, _saying(family), known=False
        ).items()
    ]


def tasks_of(study: Study, split: str) -> dict[str, Task]:
    """All tasks of a study's split: sft, align, tune or test."""
    family, judging = study.family, study.judging
    if split == "sft":
        return sft_tasks(family, study.sft_tasks, judging, study.seed)
    if split == "align":
        return alignment_tasks(family, study.rounds, judging, study.seed)
    return held_out_tasks(family, study.held_out, judging, split)
