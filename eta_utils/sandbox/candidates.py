"""The zygote as the examiner sees it: a source of fresh candidates, and how they ended."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Callable
from typing import TypeVar

from eta_utils.sandbox.candidate import CHANNEL_LOST, OUT_OF_MEMORY
from eta_utils.sandbox.channel import Channel
from eta_utils.sandbox.zygote import END, ENDING, LOST, NEXT

ENDED_BY_EXIT = "os._exit"
Received = TypeVar("Received")


class Lost(BaseException):
    """The zygote or a candidate is gone, and not by the program's doing: our failure.

    No `Exception`, so that no `except Exception` of a test swallows it.
    """


class Candidates:
    """Hands out candidates one at a time.

    `sealed` says that programs cannot send signals, not even to themselves.

    The zygote announces the next candidate as soon as the last one has ended.  So it is
    forked while the examiner still reports on the last.
    """

    def __init__(self, zygote: socket.socket, sealed: bool = True) -> None:
        self.sealed = sealed
        self._zygote = zygote
        self._running = False
        self._descriptor: int | None = None  # of the next candidate's channel, once known

    def next(self) -> Channel:
        """The channel of a candidate that has run nothing yet.

        Like the other methods, raises Lost where the zygote is gone.
        """
        self.await_next()
        channel = Channel(socket.socket(fileno=self._descriptor))
        self._descriptor, self._running = None, True
        return channel

    def end(self) -> None:
        """Have the current candidate killed, unless it has ended already."""
        if self._running:
            self._running = False
            self._tell(END)

    def how_ended(self) -> dict:
        """Ask how a candidate ended whose channel closed by itself.

        `by_itself`: whether it was dead already; `code`: its exit code, or minus the number
        of the signal that killed it; `processor_seconds`: what it used.
        """
        self._running = False
        self._tell(LOST)
        names = "by_itself", "code", "processor_seconds"
        size = struct.calcsize(ENDING)
        ending = self._receive(lambda: self._zygote.recv(size, socket.MSG_WAITALL))
        if len(ending) < size:
            raise Lost("the zygote is gone")
        return dict(zip(names, struct.unpack(ENDING, ending), strict=True))

    def await_next(self) -> None:
        """Wait until there is a candidate for `next`: until the last one is cleaned up."""
        if self._descriptor is None:
            message, descriptors, _, _ = self._receive(
                lambda: socket.recv_fds(self._zygote, len(NEXT), 1)
            )
            if not (message and descriptors):
                raise Lost("the zygote is gone")
            self._descriptor = descriptors[0]

    def _tell(self, word: bytes) -> None:
        try:
            self._zygote.sendall(word)
        except OSError as error:
            raise Lost(f"the zygote is gone ({error})") from None

    def _receive(self, receive: Callable[[], Received]) -> Received:
        try:
            return receive()
        except OSError as error:
            raise Lost(f"the zygote is gone ({error})") from None


def status_of_end(
    ending: dict, processor_seconds: int, sealed: bool = True
) -> tuple[str, str]:
    """(Status, exception) for a candidate whose channel closed.

    `processor_seconds` is the limit that it ran under.  Raises Lost where something outside
    killed it, as the kernel does when the machine runs out of memory.
    """
    code = ending["code"]
    # A living process that closed its channel, or one that found it closed: the program
    # closed our descriptor.
    if not ending["by_itself"] or code == CHANNEL_LOST:
        return "exception", "ChannelClosed"
    if code == OUT_OF_MEMORY:
        return "memory", "MemoryError"
    if code >= 0:
        return "exit", ENDED_BY_EXIT
    # The kernel kills by its ticks, which on busy cores run ahead of the time it reports:
    # hence not the whole limit.
    used_up = ending["processor_seconds"] >= 0.8 * processor_seconds
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and used_up):
        return "timeout", ""
    if -code == signal.SIGKILL and sealed:
        raise Lost("a candidate was killed from outside")
    return "crash", signal.Signals(-code).name
