"""Which rung of isolation holds on this machine?  Found by trying to break out.

>>> print(probe("weak"))
weak: limits of time and memory alone, no isolation
>>> choose_rung("auto")
'jail'

`probe` starts a real worker on a rung and has a program try the forbidden things.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from eta_utils.sandbox.jail import MEMORY, RUNGS, whats_missing
from eta_utils.sandbox.pool import Batch, Worker

# What the program of the probe tries, and how to name it when it succeeds.
ATTEMPTS = {
    "fork": "start a process",
    "network": "open a socket",
    "write": "write outside its scratch folder",
    "read": "read a file outside its scratch folder",
    "signal": "signal its parent",
    "memory": "use more memory than allowed",
}

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

def signal():
    os.kill(os.getppid(), 0)

def memory():
    bytearray(2 * {memory})

def attempt(name):
    """True if it can be done."""
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
    """What was found of one rung: `missing` where it could not even be tried, `broken`
    where a program could do what it must not; it holds when both are empty."""

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


@functools.cache
def probe(rung: str) -> Finding:
    """Try a rung; the answer is kept for the life of the process."""
    if missing := whats_missing(rung):
        return Finding(rung, missing=missing)
    try:
        worker = Worker(rung)
    except OSError as error:
        return Finding(rung, missing=str(error))
    try:
        raw = _attempt_all(worker)
    except (EOFError, OSError) as error:
        return Finding(rung, missing=f"its processes do not start ({error})")
    finally:
        worker.close()
    if raw["status"] == "passed" or rung == "weak":
        return Finding(rung)
    broken = ATTEMPTS.get(raw["message"], f"not be judged: {raw['message']}")
    return Finding(rung, broken=broken)


def _attempt_all(worker: Worker) -> dict:
    folder = worker.site.folder
    (folder / "private").touch()
    program = _PROGRAM.format(
        outside=str(folder / "escaped"), private=str(folder / "private"), memory=MEMORY
    )
    asserts = (f"    assert candidate({name!r}) is False, {name!r}" for name in ATTEMPTS)
    task = {
        "prompt": "",
        "test": "\n".join(("def check(candidate):", *asserts)),
        "entry_point": "attempt",
        "reference": None,
    }
    job = {"task_id": "probe", "program": program, "budget": 10**6, "total_budget": 10**6}
    job |= {"budget_after_failure": 10**6}
    job |= {"processor_seconds": 5, "wall_seconds": 5, "traced": False, "keep_trace": False}
    job |= {"trusted": False}
    worker.send(Batch(worker.rung, {"probe": task}, [job]), [job])
    return worker.receive(job["wall_seconds"])


def choose_rung(wanted: str) -> str:
    """The rung to use: `wanted`, or for `auto` the first that holds.

    Raises IsolationError when `wanted` does not hold, naming what to install.
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
    """Programs from elsewhere run at `weak` only when the user said so by name."""
    if rung == "weak" and wanted != "weak":
        reasons = "; ".join(str(probe(name)) for name in RUNGS if name != "weak")
        raise IsolationError(
            f"no isolation holds here ({reasons}). Install bubblewrap "
            "(apt-get install bubblewrap libseccomp2) or run in a container; "
            "--isolation weak runs the programs unprotected"
        )
