"""Find the rung of isolation that holds on this machine, by trying to break out.

>>> print(probe("weak"))
weak: limits of time and memory alone, no isolation
>>> choose_rung("auto")
'jail'

`probe` starts a real worker on a rung and has a program try what is forbidden.  A version
number or a configuration file would only say what should hold.

A probe that fails because this machine is short of descriptors, processes or memory says
nothing about the rung.  It is repeated, and then it is an error: a shortage that passes
must not leave a whole process with less isolation than there is.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import pickle
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass

from eta_utils.sandbox.channel import ProtocolError
from eta_utils.sandbox.jail import MEMORY, RUNGS, Setup, whats_missing
from eta_utils.sandbox.pool import Batch, Worker
from eta_utils.sandbox.visible import PACKAGE, interpreter

# What the program of the probe tries: the name of its function, and the same in words.
ATTEMPTS = {
    "fork": "start a process",
    "network": "open a socket",
    "write": "write outside its scratch folder",
    "read": "read a file outside its scratch folder",
    "change": "change the mode of one",
    "tasks": "read where built-in tasks come from",
    "send": "send to a socket outside",
    "signal": "signal its parent",
    "memory": "use more memory than allowed",
}

_PROBES = 5  # attempts at a probe, half a second apart
_SHORTAGES = tuple(
    os.strerror(number)
    for number in (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC)
)

_PROGRAM = '''
import os, socket

def fork():
    if os.fork() == 0:
        os._exit(0)

def network():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()

def write():
    with open({outside!r}, "w"):
        pass

def read():
    with open({private!r}):
        pass

def change():
    os.chmod({private!r}, 0o644)  # in a jail this may do nothing, and say nothing
    if os.stat({private!r}).st_mode & 0o777 != 0o644:
        raise PermissionError

def tasks():
    with open({tasks!r}):
        pass

def send():
    with socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0] as ours:
        ours.sendto(b"", {listener!r})

def signal():
    os.kill(os.getppid(), 0)

def memory():
    bytearray(2 * {memory})

def attempt(name):
    """Whether it can be done."""
    try:
        globals()[name]()
        return True
    except (OSError, MemoryError):
        return False
'''


class IsolationError(RuntimeError):
    """The isolation that was asked for, or that is needed, does not hold here."""


@dataclass(frozen=True)
class Finding:
    """What the probe found out about one rung.

    `missing` says why the rung could not even be tried; `broken` says what a program could
    do that it must not.  The rung holds when both are empty.
    """

    rung: str
    missing: str = ""
    broken: str = ""

    @property
    def holds(self) -> bool:
        return not (self.missing or self.broken)

    def __str__(self) -> str:
        tried = ", ".join(ATTEMPTS.values())
        if self.missing:
            return f"{self.rung}: no ({self.missing})"
        if self.rung == "weak":
            return "weak: limits of time and memory alone, no isolation"
        if self.broken:
            return f"{self.rung}: no (a program could {self.broken})"
        return f"{self.rung}: holds (a program could not {tried})"


class _Inconclusive(Exception):
    """A probe that was cut short by the state of the machine."""


@functools.cache
def probe(rung: str) -> Finding:
    """Try a rung.  The finding is kept for the life of the process.

    Raises IsolationError where the machine has no room to find out.
    """
    for attempt in range(1, _PROBES + 1):
        try:
            return _probe_once(rung)
        except _Inconclusive as reason:
            if attempt == _PROBES:
                raise IsolationError(
                    f"isolation {rung} cannot be tried now ({reason}): close other "
                    "programs, or raise the limits of this one"
                ) from None
        time.sleep(0.5)
    raise AssertionError("unreachable")


def _probe_once(rung: str) -> Finding:
    """The finding of one attempt.  Raises _Inconclusive."""
    try:
        if missing := whats_missing(rung):
            _prove_room()  # without it much seems to be missing that is there
            return Finding(rung, missing=missing)
        with tempfile.TemporaryFile() as errors:
            try:
                raw = _attempt_in_worker(rung, errors.fileno())
            except (EOFError, ConnectionError, ProtocolError) as error:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines()
                reason = said[-1] if said else str(error)
                if _is_shortage(reason):
                    raise _Inconclusive(reason) from None
                return Finding(rung, missing=f"its processes do not start ({reason})")
    # On this side: no descriptor, no process, no disk.
    except (OSError, subprocess.SubprocessError) as error:
        raise _Inconclusive(str(error)) from None
    # `weak` isolates from nothing, and does not claim to: it always holds.
    if raw["status"] == "passed" or rung == "weak":
        return Finding(rung)
    if raw["status"] not in ("assertion", "exception"):
        raise _Inconclusive(f"the probe ended in {raw['status']}: {raw['message']}")
    # The message of the first assert that failed is the name of its attempt.
    broken = ATTEMPTS.get(raw["message"], f"not be judged: {raw['message']}")
    return Finding(rung, broken=broken)


def _is_shortage(reason: str) -> bool:
    return any(shortage in reason for shortage in _SHORTAGES)


def _prove_room() -> None:
    """Raise OSError where this process may not open files or start a process now."""
    with contextlib.ExitStack() as opened:
        for _ in range(16):
            opened.enter_context(open(os.devnull, "rb"))
        subprocess.run([interpreter(), "-I", "-S", "-c", ""], check=True)


def _attempt_in_worker(rung: str, errors: int) -> dict:
    worker = Worker(Setup(rung), errors)
    try:
        return _attempt_all(worker)
    finally:
        worker.close()


def _attempt_all(worker: Worker) -> dict:
    """The raw outcome of a program that makes every attempt; an assert for each fails where
    the attempt succeeds."""
    folder = worker.site.folder
    (folder / "private").touch()
    program = _PROGRAM.format(
        outside=str(folder / "escaped"),
        private=str(folder / "private"),
        tasks=str(PACKAGE / "tasks" / "pipelines.py"),
        listener=str(folder / "listener"),
        memory=MEMORY << 20,
    )
    asserts = (f"    assert candidate({name!r}) is False, {name!r}" for name in ATTEMPTS)
    task = {
        "prompt": "",
        "test": "\n".join(("def check(candidate):", *asserts)),
        "entry_point": "attempt",
        "reference": None,
        "globals": (),
    }
    steps = 10**6  # far more than are needed
    job = {
        "task_id": "probe",
        "program": program,
        "early_budget": steps,
        "budget": steps,
        "total_budget": steps,
        "budget_after_failure": steps,
        "processor_seconds": 5,
        "wall_seconds": 5,
        "traced": False,
        "keep_trace": False,
        "trusted": False,
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        with contextlib.suppress(OSError):  # a path too long for a socket is safe from all
            listener.bind(str(folder / "listener"))
        worker.send(Batch(worker.setup, {"probe": pickle.dumps(task)}, [job]), [job])
        return worker.receive(job["wall_seconds"])


def choose_rung(wanted: str) -> str:
    """The rung to use: `wanted`, or for `auto` the strongest that holds.

    Raises IsolationError, naming what to install, where `wanted` does not hold.
    """
    if wanted == "auto":
        return next(rung for rung in RUNGS if rung == "weak" or probe(rung).holds)
    if wanted not in RUNGS:
        raise IsolationError(f"isolation '{wanted}' is none of auto, {', '.join(RUNGS)}")
    finding = probe(wanted)
    if not finding.holds:
        raise IsolationError(f"isolation {finding}")
    return wanted


def refuse_weak(rung: str, wanted: str) -> None:
    """Raise IsolationError where `auto` found nothing better than `weak`.

    Programs from elsewhere run unprotected only if the user asks for `weak` by name.
    """
    if rung == "weak" and wanted != "weak":
        reasons = "; ".join(str(probe(name)) for name in RUNGS if name != "weak")
        raise IsolationError(
            f"no isolation holds here ({reasons}). Install bubblewrap "
            "(apt-get install bubblewrap libseccomp2) or run in a container; "
            "--isolation weak runs the programs unprotected"
        )
