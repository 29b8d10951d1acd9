"""Which tasks of a named set are trained on, tuned on and tested on: never the same.

>>> split("humaneval", "align", limit=10)      # 4 of 10 problems

A set that comes with splits of its own keeps them (MBPP).  The tasks of any other are
shuffled once and for ever, by a checksum of their names, and shared out by `SHARES`.

Leaves out: sets made by a generator (see `pipelines`).
"""

from __future__ import annotations

import functools
import zlib

from eta_utils.tasks import load_tasks
from eta_utils.tasks.task import Task

SHARES = {"sft": 20, "align": 40, "tune": 10, "test": 30}  # hundredths of the tasks
_OWN = {"tune": "validation", "test": "test"}
_SFT_OF_TRAIN = 3  # one in so many tasks of a set's own training split


def split(source: str, name: str, limit: int = 0) -> dict[str, Task]:
    """The tasks of a set that are for `name`: `sft`, `align`, `tune` or `test`.

    With a `limit` other than 0 the splits have as many together, each its share but at
    least one.
    """
    found = _splits(source)[name]
    if limit:
        found = dict(list(found.items())[: max(1, limit * SHARES[name] // 100)])
    return found


@functools.cache
def _splits(source: str) -> dict[str, dict[str, Task]]:
    tasks = load_tasks(source)
    order = sorted(tasks, key=lambda name: (zlib.crc32(name.encode()), name))
    if any(task.split == "train" for task in tasks.values()):
        parts = {
            name: [each for each in order if tasks[each].split == own]
            for name, own in _OWN.items()
        }
        train = [each for each in order if tasks[each].split == "train"]
        parts["sft"] = train[::_SFT_OF_TRAIN]
        parts["align"] = [each for each in train if each not in set(parts["sft"])]
    else:
        parts, start = {}, 0
        for name, share in SHARES.items():
            end = start + share
            some = slice(len(order) * start // 100, len(order) * end // 100)
            parts[name], start = order[some], end
    return {name: {each: tasks[each] for each in part} for name, part in parts.items()}
