"""What a model is asked to write: the Task record and where tasks come from.

>>> tasks = load_tasks("humaneval")          # a dict, task_id -> Task
>>> tasks = load_tasks("mbpp")               # or another of SETS
>>> tasks = load_tasks("my_tasks.jsonl.gz")  # any file with HumanEval's fields, or a set's

Leaves out: running anything (see `eta_utils.execution`).
"""

from __future__ import annotations

import re
from pathlib import Path

from eta_utils.common.files import BadInput
from eta_utils.tasks.contamination import Overlap, overlaps
from eta_utils.tasks.sets import SETS, TaskSet, recognised, rows_of
from eta_utils.tasks.task import Task, at_token_boundary

__all__ = ["SETS", "Overlap", "Task", "at_token_boundary", "load_tasks", "overlaps"]


def load_tasks(source: str | Path) -> dict[str, Task]:
    """Load a set by its name in `SETS`, or a JSON Lines file of tasks.

    Raises BadInput, naming file and line, for a row that is not a task, or not of the set;
    and, naming what to download, for a set that is not here.
    """
    wanted = SETS.get(str(source))
    rows = wanted.rows() if wanted else rows_of(Path(source))
    tasks: dict[str, Task] = {}
    for where, row in rows:
        wanted = wanted or recognised(row)  # a file is of one set
        task = _parse(wanted, row, where)
        if task.task_id in tasks:
            raise BadInput(f"{where}: {task.task_id} occurs twice")
        tasks[task.task_id] = task
    if not tasks:
        raise BadInput(f"{source}: holds no tasks")
    return tasks


def _parse(wanted: TaskSet, row: dict, where: str) -> Task:
    form = f"a task in the form of {wanted.name}"
    for name in wanted.fields:
        if row.get(name) is None:
            raise BadInput(f"{where}: {form} needs the field '{name}'")
    try:
        task = wanted.task(row)
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: this is not {form} ({error})") from None
    for name in ("task_id", "prompt", "entry_point", "test"):
        if not isinstance(getattr(task, name), str):
            raise BadInput(f"{where}: '{name}' must be text")
    if not re.search(r"^def check\s*\(", task.test, re.MULTILINE):
        raise BadInput(f"{where}: the task's 'test' does not define check(candidate)")
    return task
