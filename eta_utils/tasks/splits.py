"""Which tasks of a named set are trained on, tuned on and tested on: never the same.

>>> len(split("humaneval", "align", limit=10))      # its share of 10 problems
4

A set that comes with splits of its own keeps them (MBPP).  The tasks of any other are
shuffled by a checksum of their names, the same way every time, and shared out by `SHARES`.
Generated tasks have splits by construction: see `pipelines`.
"""

from __future__ import annotations

import functools
import zlib

from eta_utils.tasks import load_tasks
from eta_utils.tasks.task import Task

SHARES = {"sft": 20, "align": 40, "tune": 10, "test": 30}  # hundredths of the tasks
# Our splits that are splits of the set's authors.  Their training split becomes our other
# two: every third task is for SFT.
_OWN = {"tune": "validation", "test": "test"}
_SFT_OF_TRAIN = 3


def split(source: str, name: str, limit: int = 0) -> dict[str, Task]:
    """The tasks of a set that are for `name`: `sft`, `align`, `tune` or `test`.

    With a `limit` other than 0, all splits together have about so many tasks: each has its
    share of them, and at least one.
    """
    tasks = _splits(source)[name]
    if limit:
        tasks = dict(list(tasks.items())[: max(1, limit * SHARES[name] // 100)])
    return tasks


@functools.cache
def _splits(source: str) -> dict[str, dict[str, Task]]:
    """Every split of a set by its name."""
    tasks = load_tasks(source, apart=True)
    # CRC-32 and not `hash`, which is another in every process; the name breaks ties.
    order = sorted(tasks, key=lambda name: (zlib.crc32(name.encode()), name))
    if any(task.split == "train" for task in tasks.values()):
        parts = {
            name: [task_id for task_id in order if tasks[task_id].split == own]
            for name, own in _OWN.items()
        }
        train = [task_id for task_id in order if tasks[task_id].split == "train"]
        parts["sft"] = train[::_SFT_OF_TRAIN]
        in_sft = set(parts["sft"])
        parts["align"] = [task_id for task_id in train if task_id not in in_sft]
    else:
        # Consecutive pieces, cut at hundredths, so that none is lost to rounding.
        parts, start = {}, 0
        for name, share in SHARES.items():
            end = start + share
            parts[name] = order[len(order) * start // 100 : len(order) * end // 100]
            start = end
    return {
        name: {task_id: tasks[task_id] for task_id in part} for name, part in parts.items()
    }
