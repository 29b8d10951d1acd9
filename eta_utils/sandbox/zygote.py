"""The fork server of a worker: one candidate process per program, nothing left behind.

    python -m eta_utils.sandbox.zygote DESCRIPTOR      (started by `pool`, inside a jail)

It keeps one confined candidate waiting.  The examiner speaks with it over a socket of its
own; when the examiner is done, the zygote kills it and everything it started, reaps,
wipes the scratch folder, and forks the next.  Tests and programs never pass through this
process, so no candidate inherits any.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import random
import sys
import time
from _pickle import dumps, loads
from _socket import SCM_RIGHTS, SOL_SOCKET, socket, socketpair
from collections.abc import Callable
from struct import pack

from eta_utils.sandbox import candidate, confine
from eta_utils.sandbox.channel import Channel
from eta_utils.sandbox.cleanup import Scratch

END, LOST = b"e", b"l"  # the examiner is done; the channel closed by itself
_GRACE = 0.5  # seconds for a process whose channel closed to be dead

# C's fork instead of Python's.  `os.fork` wakes what registered for it, as `random` did to
# seed itself anew, where every program is to start from the same state; and it touches
# pages, a tenth of a candidate's cost.  It is safe in a process with one thread.
_fork = ctypes.PyDLL(None).fork

# What programs import most; loading a module here saves loading it in each candidate.
PRELOAD = ("math re typing collections itertools functools operator random").split()


class Zygote:
    """Forks, ends and cleans up after candidates on the examiner's orders."""

    def __init__(self, examiner: socket, orders: dict) -> None:
        self.examiner = examiner
        self._confine_program = _confinement(orders)
        self.scratch = Scratch(
            orders["scratch"], orders["marker"], orders["secret"], orders["jailed"]
        )

    def serve(self) -> None:
        """Until the examiner closes its side.  Each turn announces the new candidate,
        with how the previous one ended and the descriptor to talk to the new one."""
        ending = {}
        while True:
            os.chdir(self.scratch.renew())
            ours, theirs = socketpair()
            # Announced before the fork: while a candidate lives, each page that this
            # process writes to has to be copied.
            self._announce(ours, ending)
            ours.close()
            channel = Channel(theirs)
            pid = _fork()
            if pid == 0:
                os.close(self.examiner.fileno())
                candidate.run(channel, self._confine_program)
            channel.close()  # a channel closes when its candidate dies
            word = self.examiner.recv(1)
            ending = self._end(pid, word == LOST)
            if not word:
                return

    def _announce(self, channel: socket, ending: dict) -> None:
        passed_on = SOL_SOCKET, SCM_RIGHTS, pack("i", channel.fileno())
        self.examiner.sendmsg([dumps(ending)], [passed_on])

    def _end(self, pid: int, channel_lost: bool) -> dict:
        """Kill and reap the candidate and whatever it left; how it ended by itself."""
        by_itself = channel_lost and _dies_within(_GRACE, pid)
        if not by_itself:
            os.kill(pid, confine.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        if self.scratch.kill_the_rest():
            _reap_all()
        return {
            "by_itself": by_itself,
            "code": os.waitstatus_to_exitcode(status),
            "processor_seconds": usage.ru_utime + usage.ru_stime,
        }


def _dies_within(seconds: float, pid: int) -> bool:
    """Wait for a process to be dead, without reaping it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.001)
    return False


def _confinement(orders: dict) -> Callable[[], None]:
    """What a candidate puts on itself beyond what it inherits."""
    steps = []
    if not orders["jailed"]:  # a jail dies as a whole
        steps.append(confine.die_with_parent)
    if orders["program_filter"]:
        steps.append(confine.seccomp_loader(orders["program_filter"]))

    def apply() -> None:
        for step in steps:
            step()

    return apply


def _reap_all() -> None:
    with contextlib.suppress(ChildProcessError):  # none are left
        while True:
            os.waitpid(-1, 0)


def main() -> None:
    """Confine, load what programs need, and serve."""
    examiner = socket(fileno=int(sys.argv[1]))
    orders = loads(Channel(examiner).receive())
    for name in PRELOAD:
        importlib.import_module(name)
    sys.path[:] = orders["path"]
    confine_as_ordered(orders)
    importlib.util.find_spec("no_such_module")  # lists the folders of sys.path, once
    candidate.prepare()
    random.seed(0)
    gc.collect()
    gc.freeze()
    Zygote(examiner, orders).serve()


def confine_as_ordered(orders: dict) -> None:
    """Put the limits that every process of the sandbox carries on this one."""
    confine.die_with_parent()
    confine.limit_resources(orders["memory"])
    if orders["landlock"]:
        confine.load_landlock(**orders["landlock"])
    if orders["jail_filter"]:
        confine.seccomp_loader(orders["jail_filter"])()


if __name__ == "__main__":
    main()
