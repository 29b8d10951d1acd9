"""Workers from outside: start a pair of sandboxed processes, feed it, restart it.

`run_batch` is the one way in.  Each thread that calls it gets a `Worker` of its own, kept
until the process ends.  So a `ThreadPoolExecutor` makes a local pool of workers, and any
other `concurrent.futures.Executor` (Dask's, for one) spreads them over machines.

When a worker dies no outcome is lost: the batch goes on with a new one.  The program it was
at is tried once more; if that worker dies too, the outcome is a `judge_error`.  Where that
happens to `MOST_BROKEN` programs in a row, the fault is the machine's, and judging stops.

A worker that does not answer in time is ended, too.  If it was computing, the program gets
a `timeout` at once: a test works on an answer in native code, which no timer stops.  If it
stood still, something outside has stopped it, and that is the same as a death.

If Python itself crashes twice where a program is compiled or its answer read, that is the
program's doing: the outcome is a `crash`.

The processes of a worker take turns a dozen times per program.  They share one core, since
to wake an idle one takes longer than a turn.  A `CoreClaim` divides the cores among all
workers of this user, by locks on numbered files that end with their owner.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import itertools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from eta_utils.sandbox import jail
from eta_utils.sandbox.channel import Channel, ProtocolError
from eta_utils.sandbox.jail import Setup, Site

MOST_BROKEN = 8  # programs in a row at which workers may die
PATIENCE = 5.0  # seconds beyond a program's wall time before a worker counts as hung
# Of processor time, that one which computes gets in a second, even beside 20 others.
_COMPUTES = 0.05
# By which a process ends in which Python itself crashes.  Nothing outside sends them.
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
_ADDR_NO_RANDOMIZE, _ONLY_ASK = 0x0040000, ctypes.c_ulong(0xFFFFFFFF)  # linux/personality.h

_local = threading.local()
_workers: list[Worker] = []
_own_slots: set[Path] = set()  # slots of this process, whose locks need not be tried


class SandboxError(RuntimeError):
    """Sandboxes die here, or cannot be started, whatever the program."""


@dataclass(frozen=True)
class Batch:
    """Jobs for a worker, its setup, and the tasks they refer to; plain data that pickles.

    A job: `task_id, program`; `early_budget`, `budget`, `total_budget` and
    `budget_after_failure`, steps for one call before a few asserts have passed, for one
    call, for all, and for those after the first that fails; `processor_seconds`
    and `wall_seconds`; `traced`, `keep_trace`; `trusted`: it is the reference.  A task:
    `prompt, test, entry_point`; `globals`, the variables that its solution sets;
    `reference` (its `states`, `answers`, `writes`, `ends` and `operations`, or None);
    pickled.
    """

    setup: Setup
    tasks: dict[str, bytes]
    jobs: list[dict]


def run_batch(batch: Batch) -> list[dict]:
    """The raw outcomes of a batch's jobs, in their order.

    Raises SandboxError where workers die again and again.
    """
    outcomes: list[dict] = []
    retried = -1
    while len(outcomes) < len(batch.jobs):
        try:
            worker = _worker_of_this_thread(batch.setup)
            worker.send(batch, batch.jobs[len(outcomes) :])
            while len(outcomes) < len(batch.jobs):
                job = batch.jobs[len(outcomes)]
                outcomes.append(worker.receive(job["wall_seconds"]))
                _local.broken = 0
        except (EOFError, OSError, ProtocolError) as error:
            endless = isinstance(error, TimeoutError) and worker.computes()
            crashed = isinstance(error, EOFError) and worker.crashed()
            _drop_worker_of_this_thread()
            if endless:
                outcomes.append({"status": "timeout"})
                _local.broken = 0
            elif retried < len(outcomes):
                retried = len(outcomes)
            elif crashed:
                outcomes.append({"status": "crash", "message": "Python crashed at it"})
                _local.broken = 0
            else:
                outcomes.append(_broken(error))
                _count_broken(outcomes[-1])
    return outcomes


def _broken(error: Exception) -> dict:
    return {"status": "judge_error", "message": f"the worker died twice at this ({error})"}


def _count_broken(raw: dict) -> None:
    """Raise SandboxError where this is the last of too many in a row."""
    _local.broken = getattr(_local, "broken", 0) + 1
    if _local.broken >= MOST_BROKEN:
        _local.broken = 0
        raise SandboxError(
            f"sandboxes died at {MOST_BROKEN} programs in a row, twice at each (the last: "
            f"{raw['message']}); does this machine limit processes or memory, or does "
            "something kill them? Outcomes so far are kept; the same command goes on"
        )


def _worker_of_this_thread(setup: Setup) -> Worker:
    worker = getattr(_local, "worker", None)
    if worker in _workers and worker.setup == setup:  # nobody has closed it
        return worker
    _drop_worker_of_this_thread()
    _local.worker = Worker(setup)
    _workers.append(_local.worker)
    return _local.worker


def _drop_worker_of_this_thread() -> None:
    worker = getattr(_local, "worker", None)
    if worker is not None:
        _local.worker = None
        if worker in _workers:
            _workers.remove(worker)
        worker.close()


@atexit.register
def close_workers() -> None:
    """End every worker of this process."""
    while _workers:
        _workers.pop().close()


class Worker:
    """One examiner and two zygotes, each in its own jail.

    The second zygote has loaded numpy and the other libraries that programs may import,
    which takes far longer than most programs.  It is started at the first that names one.
    """

    def __init__(self, setup: Setup, errors: int = subprocess.DEVNULL) -> None:
        """Start them.  `errors` is a descriptor for what they write to stderr: that of a
        program, too, so it goes nowhere but in a probe."""
        self.setup = setup
        self.errors = errors
        self.core = CoreClaim()
        self.processes: dict[str, subprocess.Popen] = {}  # by role
        self._not_started: socket.socket | None = None  # of the second zygote
        self.site = Site(setup)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        judge, examiner = socket.socketpair()
        control, zygote = socket.socketpair()
        other_control, self._not_started = socket.socketpair()
        orders = self.site.orders
        with examiner, control, zygote, other_control:
            self.channel = Channel(judge)
            Channel(control).send(pickle.dumps(orders(jail.ZYGOTE)))
            Channel(other_control).send(pickle.dumps(orders(jail.PRELOADED)))
            self.channel.send(pickle.dumps(orders(jail.EXAMINER)))
            self._launch("zygote", jail.ZYGOTE, [zygote])
            self._launch("examiner", jail.EXAMINER, [examiner, control, other_control])
        self._libraries = orders(jail.EXAMINER)["libraries"]

    def _launch(self, module: str, role: str, sockets: list[socket.socket]) -> None:
        descriptors = [sock.fileno() for sock in sockets]
        name = f"eta_utils.sandbox.{module}"
        command, environment = self.site.command(name, role, descriptors)
        with self.core.pinned(), _fixed_addresses():
            process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
                start_new_session=True,  # Ctrl-C is for the judge, not for its workers
            )
        self.processes[role] = process

    def send(self, batch: Batch, jobs: list[dict]) -> None:
        """Hand over jobs; their outcomes are then received one by one."""
        names = [any(name in job["program"] for name in self._libraries) for job in jobs]
        jobs = [job | {"preloaded": named} for job, named in zip(jobs, names, strict=True)]
        if any(names) and self._not_started:
            with self._not_started as zygote:
                self._launch("zygote", jail.PRELOADED, [zygote])
            self._not_started = None
        wanted = {job["task_id"]: batch.tasks[job["task_id"]] for job in jobs}
        message = {"tasks": wanted, "jobs": jobs}
        self.channel.send(pickle.dumps(message))

    def receive(self, wall_seconds: float) -> dict:
        """The raw outcome of the next job, awaited for `wall_seconds` plus PATIENCE.

        Raises EOFError, OSError, TimeoutError or ProtocolError when the worker is broken.
        """
        self.channel.socket.settimeout(wall_seconds + PATIENCE)
        return json.loads(self.channel.receive())

    def computes(self) -> bool:
        """Whether one of its processes uses the processor.  Takes a second."""
        before = self._processor_seconds()
        time.sleep(1.0)
        return self._processor_seconds() - before >= _COMPUTES

    def crashed(self) -> bool:
        """Whether the examiner ended by a signal that only a fault of its own raises."""
        examiner = self.processes[jail.EXAMINER]
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = examiner.wait(1.0)
            # bubblewrap exits with 128 and the number of the signal.
            return (-code if code < 0 else code - 128) in _FAULTS
        return False

    def _processor_seconds(self) -> float:
        """What the processes of this worker have used that live now."""
        used = 0.0
        for started in self.processes.values():
            with contextlib.suppress(psutil.Error):  # it has ended
                process = psutil.Process(started.pid)
                for each in (process, *process.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        used += sum(each.cpu_times()[:2])  # user, system
        return used

    def close(self) -> None:
        """Kill its processes (and with them their jails) and remove their folders."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        if self._not_started:
            self._not_started.close()
        with contextlib.suppress(AttributeError):  # it never got so far
            self.channel.close()
        self.site.close()
        self.core.release()


@contextlib.contextmanager
def _fixed_addresses() -> Iterator[None]:
    """Processes that this thread starts meanwhile find everything at the same addresses.

    The hash of an object without a hash of its own is its address, and so is that of None
    before Python 3.12.  The order of a set depends on it, and so may a verdict.  Where the
    kernel's policy refuses this (Docker's does), addresses stay random.  They protect
    nothing here, since a program may import `ctypes` and read them.
    """
    if sys.platform != "linux":
        yield
        return
    personality = ctypes.CDLL(None).personality
    before = personality(_ONLY_ASK)
    if before != -1:
        personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        if before != -1:
            personality(before)


class CoreClaim:
    """A claim on the lowest free slot; slot n stands for core n modulo the cores."""

    def __init__(self) -> None:
        self._lock: FileLock | None = None
        self._path: Path | None = None
        self._core: int | None = None
        if hasattr(os, "sched_setaffinity"):  # macOS and Windows bind no process to a core
            # Without a folder or a file system to lock in, the worker runs on any core.
            with contextlib.suppress(OSError):
                self._claim()

    def _claim(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"eta-cores-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return  # another user has made it
        cores = sorted(os.sched_getaffinity(0))
        for slot in itertools.count():
            path = folder / str(slot)
            if path in _own_slots:
                continue
            # Not thread-local: often another thread ends the worker.
            lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
            try:
                lock.acquire()
            except Timeout:
                continue
            self._lock, self._path, self._core = lock, path, cores[slot % len(cores)]
            _own_slots.add(path)
            return

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
            _own_slots.discard(self._path)
            self._lock.release()
            self._lock = None
