"""Locks on files: of two processes that would write the same folder, one waits.

>>> hold(folder / ".sft.lock", on_wait=lambda: print("wait for sft"))
>>> release(folder / ".sft.lock")

The kernel releases a lock when its owner dies, so none is ever left behind.  They hold
between machines too where the shared file system supports `flock` (NFS 4 does).  Where
there is no `flock` (Windows, Lustre unless it is mounted with it) nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:
    fcntl = None

_held: dict[Path, IO] = {}


def hold(path: Path, on_wait: Callable[[], object]) -> None:
    """Lock `path`, which is made if needed, until `release` or the end of this process.

    `on_wait` is called once if another process has it.  A lock that this process holds
    already, as after a notebook's cell was interrupted, stays as it is.
    """
    path = path.resolve()
    if fcntl is None or path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks: nobody waits
        file.close()
        return
    _held[path] = file


def release(path: Path) -> None:
    """Let others have the lock on `path`."""
    if file := _held.pop(path.resolve(), None):
        fcntl.flock(file, fcntl.LOCK_UN)  # a forked child may have it open still
        file.close()
