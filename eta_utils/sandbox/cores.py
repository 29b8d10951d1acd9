"""Which processor core a worker keeps to.

Examiner and candidate take turns a dozen times per program, so they run on one core: waking
an idle core costs more than a turn takes (1.3 times the throughput, measured).  Workers of
all processes of a user share the cores out by locking numbered files, which the kernel
releases when their owner dies.  Where cores cannot be chosen (macOS) this does nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no sandbox either, but importing must not fail
    fcntl = None


class CoreClaim:
    """A claim on the lowest free slot; slot n stands for core n modulo the cores."""

    def __init__(self) -> None:
        self._lock = None
        self._core: int | None = None
        if fcntl is not None and hasattr(os, "sched_setaffinity"):
            self._claim()

    def _claim(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"eta-cores-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                return  # somebody else laid it out for us
            for slot in itertools.count():
                lock = open(folder / str(slot), "w")  # noqa: SIM115
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.close()
                    continue
                cores = sorted(os.sched_getaffinity(0))
                self._lock, self._core = lock, cores[slot % len(cores)]
                return
        except OSError:
            return  # nowhere to lock: run on any core

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """Processes that this thread starts meanwhile stay on the claimed core."""
        if self._core is None:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def release(self) -> None:
        """Let another worker have the slot."""
        if self._lock is not None:
            self._lock.close()
