"""The zygote as the examiner sees it: fresh candidates, and how they ended."""

from __future__ import annotations

import pickle
import signal
import socket

from eta_utils.sandbox.candidate import CHANNEL_LOST, OUT_OF_MEMORY
from eta_utils.sandbox.channel import Channel
from eta_utils.sandbox.zygote import END, LOST

ENDED_BY_EXIT = "os._exit"


class Candidates:
    """Hands out candidates one at a time; the next is forked while the last is reported."""

    def __init__(self, zygote: socket.socket) -> None:
        self._zygote = zygote
        self._running = False
        self._descriptor: int | None = None

    def next(self) -> Channel:
        """The channel of a candidate that has run nothing yet.  EOFError: no zygote."""
        if self._descriptor is None:
            self._await()
        channel = Channel(socket.socket(fileno=self._descriptor))
        self._descriptor, self._running = None, True
        return channel

    def end(self) -> None:
        """Have the current candidate killed, unless it has ended already."""
        if self._running:
            self._running = False
            self._zygote.sendall(END)

    def how_ended(self) -> dict:
        """The channel closed without our doing: have the candidate ended and ask how.

        `by_itself`: whether it was dead already; `code`: exit code, or minus the signal;
        `processor_seconds`: what it used.
        """
        self._running = False
        self._zygote.sendall(LOST)
        return self._await()

    def _await(self) -> dict:
        message, descriptors, _, _ = socket.recv_fds(self._zygote, 4096, 1)
        if not message:
            raise EOFError("the zygote is gone")
        self._descriptor = descriptors[0]
        return pickle.loads(message)


def status_of_end(ending: dict, processor_seconds: int) -> tuple[str, str]:
    """(Status, exception) for a candidate whose channel closed."""
    code = ending["code"]
    if not ending["by_itself"] or code == CHANNEL_LOST:
        return "exception", "ChannelClosed"
    if code == OUT_OF_MEMORY:
        return "memory", "MemoryError"
    if code >= 0:
        return "exit", ENDED_BY_EXIT
    # On busy cores the kernel's ticks, by which it kills, run ahead of what it reports.
    used_up = ending["processor_seconds"] >= 0.8 * processor_seconds
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and used_up):
        return "timeout", ""
    return "crash", signal.Signals(-code).name
