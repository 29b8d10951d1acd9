"""What a model is asked to write: the Task record, and where tasks come from.

>>> tasks = load_tasks("humaneval")          # a dict, task_id -> Task
>>> tasks = load_tasks("mbpp")               # or another of SETS
>>> tasks = load_tasks("my_tasks.jsonl.gz")  # any file with HumanEval's fields, or a set's
>>> tasks = load_tasks("hub:owner/name")     # the same from the Hub

Tasks of other people's data sets:

- `task`           the Task record, and where its prompt ends and a completion begins;
- `sets`           the named sets: where each one lies, how its rows become Tasks;
- `functions`      programs and scripts of other data sets in HumanEval's form;
- `cleaning`       the program in what a model wrote, without fences and chat text;
- `splits`         which tasks of a set are trained on, tuned on, tested on;
- `asserts`        the asserts of a test: as text, in two halves, or out of a loop;
- `contamination`  whether something evaluated is like something trained on.

Tasks that are made here:

- `pipelines`      the built-in family: functions whose docstring numbers the steps;
- `operations`     the steps of that family;
- `misconceptions` a plausible mistake for each of 30 of them, which a model believes;
- `bugs`           bugs of named kinds, put into such a step;
- `repair`         given a program that fails, write the function again.

Nothing here runs a program that somebody else wrote: that is `eta_utils.execution`.
"""

from __future__ import annotations

import re
from pathlib import Path

from eta_utils.common.errors import BadInput
from eta_utils.tasks.contamination import Overlap, overlaps
from eta_utils.tasks.misconceptions import misconceived
from eta_utils.tasks.sets import SETS, TaskSet, recognised, rows_of
from eta_utils.tasks.task import Task, at_token_boundary

__all__ = [
    "SETS",
    "Overlap",
    "Task",
    "at_token_boundary",
    "load_tasks",
    "misconceived",
    "overlaps",
]


def load_tasks(source: str | Path, *, apart: bool = False) -> dict[str, Task]:
    """Load a set by its name in `SETS`, or the tasks of a file or data set of the Hub.

    The file is read by `common.rows.read_rows`.

    HumanEval+ and MBPP+ add tests to those of HumanEval and MBPP.  A task of theirs has
    both, the others' (base) asserts first (`Task.base_asserts`).  With `apart` it has what
    a study shows as `test`, and what it hides as `hidden_test`, where there are both.

    Raises BadInput, naming file and line, for a row that is not a task, or not of the set;
    and, naming what to download, for a set that is not here.
    """
    wanted = SETS.get(str(source))
    rows = wanted.rows() if wanted else rows_of(source)
    tasks: dict[str, Task] = {}
    for where, row in rows:
        # The first row of a file decides which set the file is of.
        wanted = wanted or recognised(row)
        task = _parse(wanted, row, where, apart)
        if task.task_id in tasks:
            raise BadInput(f"{where}: {task.task_id} occurs twice")
        tasks[task.task_id] = task
    if not tasks:
        raise BadInput(f"{source}: holds no tasks")
    return tasks


def _parse(wanted: TaskSet, row: dict, where: str, apart: bool) -> Task:
    """The task of one row.  Raises BadInput that names `where` the row stands."""
    form = f"a task in the form of {wanted.name}"
    for name in wanted.fields:
        if row.get(name) is None:
            raise BadInput(f"{where}: {form} needs the field '{name}'")
    try:
        task = (wanted.apart if apart and wanted.apart else wanted.task)(row)
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: this is not {form} ({error})") from None
    for name in ("task_id", "prompt", "entry_point", "test"):
        if not isinstance(getattr(task, name), str):
            raise BadInput(f"{where}: '{name}' must be text")
    if not re.search(r"^def check\s*\(", task.test, re.MULTILINE):
        raise BadInput(f"{where}: the task's 'test' does not define check(candidate)")
    return task
