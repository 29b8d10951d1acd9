"""The processes of one training, started by `accelerate launch`.

    accelerate launch --num_processes 2 -m eta_utils train --profile small

A process takes part once it has joined the group (`join`).  Until then it is a process
alone, whatever its environment says: a job script or a container may leave `RANK=1` there.
Only the first process of a group writes files (see `files`), so all must see one folder.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from eta_utils.common.errors import BadInput

Made = TypeVar("Made")
# While the first process judges, the others wait; torch gives up after 10 minutes.
PATIENCE = datetime.timedelta(hours=12)
# The whole numbers that a launcher gives each process, with the smallest that is allowed.
_NUMBERS = {"WORLD_SIZE": 1, "RANK": 0, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # to find each other


def count() -> int:
    """How many processes are in the group; 1 for a process alone."""
    group = _group()
    return group.get_world_size() if group else 1


def rank() -> int:
    """The number of this process in the group, from 0."""
    group = _group()
    return group.get_rank() if group else 0


def is_first() -> bool:
    """Whether this process writes: the first of a group, or a process alone."""
    return rank() == 0


def count_here() -> int:
    """How many processes of the group share this machine.

    Raises BadInput where the launcher's `LOCAL_WORLD_SIZE` is not a positive whole number.
    """
    if _group() is None:
        return 1
    return _number("LOCAL_WORLD_SIZE") or 1  # torch does not know it


def announced() -> int:
    """How many processes the launcher says it started, whether they have met or not.

    That is `WORLD_SIZE`, or 1 where it is not set or not a positive whole number.
    """
    try:
        return _number("WORLD_SIZE") or 1
    except BadInput:
        return 1


def join() -> None:
    """Form a group with the other processes that the launcher started.

    A process alone, or one that has joined, stays as it is.  Call this before anything else
    that forms a group: other libraries let a process wait for 10 minutes at most.
    Raises BadInput where the launcher's variables are incomplete or make no sense.
    """
    if _group():
        return
    for name in _NUMBERS:
        if not os.environ.get(name, "unset").strip():
            del os.environ[name]  # accelerate would take an empty text for a number
    size = _number("WORLD_SIZE") or 1
    if size == 1:
        # Wherever accelerate finds LOCAL_RANK it makes a group, even of one process.
        os.environ.pop("LOCAL_RANK", None)
        return
    _check_launch(size)
    import torch  # takes seconds, and only several processes need it
    from accelerate import PartialState

    # Without a GPU accelerate makes no group unless it is told to use the processor.
    PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def leave() -> None:
    """Leave the group, before this process ends.

    Otherwise gloo's threads sometimes outlive the interpreter, and abort the process after
    all is done: https://github.com/pytorch/pytorch/pull/179291.
    """
    if group := _group():
        group.destroy_process_group()


def from_first(make: Callable[[], Made]) -> Made:
    """What `make` returns in the first process, given to all; the others only wait.

    Raises BadInput in all of them where it does in the first.
    """
    group = _group()
    if group is None:
        return make()
    shared: list = [None]
    if is_first():
        try:
            shared = [make()]
        except BadInput as error:
            shared = [error]
    group.broadcast_object_list(shared, src=0)
    [made] = shared
    if isinstance(made, BadInput):
        raise made
    return made


def gathered(part: dict) -> dict:
    """The dicts of all processes as one, in all of them; no two have a key in common."""
    group = _group()
    if group is None:
        return part
    parts: list = [None] * count()
    group.all_gather_object(parts, part)
    return {key: value for part in parts for key, value in part.items()}


def share_of(batch: int, what: str = "batches") -> int:
    """How much of a batch one process takes.  Raises BadInput where that is not even."""
    share, rest = divmod(batch, count())
    if rest:
        raise BadInput(
            f"{what} of {batch} cannot be shared evenly by {count()} processes; take a "
            "number of processes that divides it, or another batch"
        )
    return share


def _group() -> ModuleType | None:
    """`torch.distributed` where this process has joined a group, else None.

    A process that never imported torch has joined none, so it need not be imported here.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        return distributed
    return None


def _check_launch(size: int) -> None:
    """Raise BadInput unless this process can find the `size` - 1 others."""
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise BadInput(
            f"WORLD_SIZE={size} says that this is one of {size} processes, but there is no "
            f"{' and no '.join(missing)}; start them with `accelerate launch`, or unset "
            "WORLD_SIZE to run alone"
        )
    numbers = {name: _number(name) for name in _NUMBERS}
    if numbers["RANK"] >= size:
        raise BadInput(f"RANK={numbers['RANK']} must be below WORLD_SIZE={size}")


def _number(name: str) -> int | None:
    """A launcher's variable; None where it is not set or empty.  Raises BadInput."""
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    least = _NUMBERS[name]
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise BadInput(
            f"{name}={text} in the environment must be a whole number, at least {least}; "
            "unset it to run alone, or use `accelerate launch`"
        )
    return number
