"""The fork server of a worker: one candidate process per program, nothing left behind.

    python -m eta_utils.sandbox.zygote DESCRIPTOR      (started by `pool`, inside a jail)

The zygote keeps one confined candidate waiting.  The examiner talks to it over a socket of
its own.  When the examiner is done, the zygote kills the candidate and everything that it
started, wipes the scratch folder, and forks the next one.

Programs and tests never pass through this process, so no candidate inherits any.
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
from _pickle import loads
from _socket import SCM_RIGHTS, SOL_SOCKET, socket, socketpair
from collections.abc import Callable
from struct import pack

from eta_utils.sandbox import candidate, confine
from eta_utils.sandbox.channel import Channel
from eta_utils.sandbox.cleanup import Scratch

# What the examiner says of a candidate: that it is done, or that the channel is closed.
END, LOST = b"e", b"l"
# What it is told: of the next one, with its channel; and how a lost one ended, as whether
# it was dead already, its exit code, and the seconds of processor time that it used.
NEXT, ENDING = b"n", "<?id"
_GRACE = 0.5  # seconds within which a process whose channel closed should be dead

_FORKS = 20  # attempts, a twentieth of a second apart, where the machine has no room

_libc = ctypes.PyDLL(None, use_errno=True)

# What programs import most.  Loaded once here, they need not be loaded in each candidate.
PRELOAD = ("math re typing collections itertools functools operator random").split()


def fork() -> int:
    """C's fork; waits a second where the machine has no room for a process.

    Instead of Python's, for two reasons.  `os.fork` runs the hooks that modules registered:
    `random` would reseed itself, but every program must start from the same random state.
    The hooks also write to memory pages, a tenth of a candidate's cost.  Skipping them is
    safe here because this process has one thread.

    Raises OSError where it fails.  Its -1 is no process: to signal it is to signal all.
    """
    for _ in range(_FORKS):
        pid = _libc.fork()
        if pid >= 0:
            return pid
        time.sleep(0.05)
    number = ctypes.get_errno()
    raise OSError(number, f"no candidate can be forked: {os.strerror(number)}")


class Zygote:
    """Forks, ends and cleans up after candidates on the examiner's orders."""

    def __init__(self, examiner: socket, orders: dict) -> None:
        self.examiner = examiner
        self._confine_program = _confinement(orders)
        self.scratch = Scratch.of(orders)

    def serve(self) -> None:
        """Fork one candidate after another until the examiner closes its side.

        Each turn hands the examiner the descriptor of the channel to a new candidate.
        Asked how one ended, this process answers at once: what comes next, the clean-up,
        may take long, or fail, by that program's doing.
        """
        while True:
            os.chdir(self.scratch.renew())
            ours, theirs = socketpair()
            # Announced before the fork.  While a candidate lives, the two share their
            # memory pages, and the kernel copies each page that this process writes to.
            passed_on = SOL_SOCKET, SCM_RIGHTS, pack("i", ours.fileno())
            self.examiner.sendmsg([NEXT], [passed_on])
            ours.close()
            channel = Channel(theirs)
            pid = fork()
            if pid == 0:
                # A program must not be able to talk to the examiner in the zygote's name.
                os.close(self.examiner.fileno())
                candidate.run(channel, self._confine_program)
            # Now the candidate holds the only copy of this end: it closes when that dies,
            # which is how the examiner notices.
            channel.close()
            word = self.examiner.recv(1)
            ending = self._end(pid, word == LOST)
            if not word:  # the examiner is gone
                return
            if word == LOST:
                self.examiner.sendall(ending)

    def _end(self, pid: int, channel_lost: bool) -> bytes:
        """Kill and reap the candidate and its processes; return how it ended, as ENDING."""
        # Where the channel was lost, the candidate should be dying by itself.  Killing it
        # at once would hide its exit code, which tells an exit from a crash.
        by_itself = channel_lost and _dies_within(_GRACE, pid)
        if not by_itself:
            os.kill(pid, confine.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        if self.scratch.kill_the_rest():
            _reap_all()
        code = os.waitstatus_to_exitcode(status)
        return pack(ENDING, by_itself, code, usage.ru_utime + usage.ru_stime)


def _dies_within(seconds: float, pid: int) -> bool:
    """Wait for a process to die, without reaping it: `wait4` must still find its usage."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.001)
    return False


def _confinement(orders: dict) -> Callable[[], None]:
    """A function that puts on a candidate what it does not inherit from the zygote."""
    steps = []
    # In a jail the zygote is process 1, whose death ends all others.
    if not orders["jailed"]:
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
    """Load what programs need, confine this process, and serve.

    All that candidates have in common happens here, before the first fork: it is paid for
    once, and each candidate inherits it.
    """
    examiner = socket(fileno=int(sys.argv[1]))
    orders = loads(Channel(examiner).receive())
    for name in PRELOAD:
        importlib.import_module(name)
    # From here on programs import the standard library and numpy, not this package.
    sys.path[:] = orders["path"]
    confine_as_ordered(orders)
    # A search that must fail lists every folder of sys.path.  Python keeps these lists, so
    # that the imports of a program need not read the folders again.
    importlib.util.find_spec("no_such_module")
    if orders["preloads"]:
        _preload(orders["libraries"])
    candidate.prepare()
    random.seed(0)
    # The collector would write into every object it visits, so a candidate would copy their
    # pages.  Frozen objects are never visited again.
    gc.collect()
    gc.freeze()
    Zygote(examiner, orders).serve()


def _preload(names: list[str]) -> None:
    """Import what is there of these modules; numpy's generator starts from one state."""
    for name in names:
        with contextlib.suppress(Exception):  # programs that import it find the same
            importlib.import_module(name)
    candidate.seed_numpy()


def confine_as_ordered(orders: dict) -> None:
    """Put on this process the limits that every process of the sandbox carries.

    Raises OSError where the kernel refuses one of them.
    """
    confine.die_with_parent()
    confine.limit_resources(orders["memory"])
    if orders["landlock"]:
        confine.load_landlock(**orders["landlock"])
    if orders["filter"]:
        confine.seccomp_loader(orders["filter"])()


if __name__ == "__main__":
    main()
