"""The processes of one training, as `accelerate launch` starts them: who writes, who waits.

    accelerate launch --num_processes 2 -m eta_utils train --profile small

A process alone is the first of one, and all of this costs it nothing.  Only the first
process writes files (`files` sees to that), so all processes must see the same folder.

Leaves out: the training itself, which transformers, TRL and `ppo` spread by accelerate.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from typing import TypeVar

from eta_utils.common.files import BadInput

Made = TypeVar("Made")
# While the first process judges, the others wait; torch gives up after 10 minutes.
PATIENCE = datetime.timedelta(hours=12)


def count() -> int:
    """How many processes take part."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def count_here() -> int:
    """How many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def join() -> None:
    """Meet the other processes, before anything else does so with less patience."""
    if count() > 1:
        import torch  # takes seconds, and is needed here alone
        from accelerate import PartialState

        # Without a GPU accelerate has to be told that processes are wanted all the same.
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def leave() -> None:
    """Part from the other processes, before this one ends.

    Without it gloo's threads outlive the interpreter now and then, and abort the process
    after all is done: https://github.com/pytorch/pytorch/pull/179291.
    """
    if count() > 1:
        import torch.distributed  # takes seconds, and is needed here alone

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def from_first(make: Callable[[], Made]) -> Made:
    """What `make` returns in the first process, given to all; the others only wait.

    Raises BadInput in all of them where it does in the first.
    """
    if count() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    join()
    found: list = [None]
    if is_first():
        try:
            found = [make()]
        except BadInput as error:
            found = [error]
    [made] = broadcast_object_list(found)
    if isinstance(made, BadInput):
        raise made
    return made


def gathered(part: dict) -> dict:
    """The dicts of all processes as one, in all of them; no two have a key in common."""
    if count() == 1:
        return part
    from accelerate.utils import gather_object

    join()
    return {key: value for each in gather_object([part]) for key, value in each.items()}


def share_of(batch: int, what: str = "batches") -> int:
    """What one process takes of a batch.  Raises BadInput where it cannot be shared out."""
    share, rest = divmod(batch, count())
    if rest:
        raise BadInput(
            f"{what} of {batch} cannot be shared evenly by {count()} processes; take a "
            "number of processes that divides it, or another batch"
        )
    return share
