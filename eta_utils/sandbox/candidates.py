"""The zygote as the examiner sees it: a fresh candidate each time it asks."""

from __future__ import annotations

import pickle
import socket

from eta_utils.sandbox.channel import Channel
from eta_utils.sandbox.zygote import END, LOST


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
