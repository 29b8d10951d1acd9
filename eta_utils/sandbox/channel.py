"""Frames of bytes over a stream socket: four bytes of length, then the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # at run time the zygote uses the smaller `_socket`
    import socket

LARGEST_FRAME = 32 << 20  # bytes


class ProtocolError(Exception):
    """The other side sent something that is no frame, or no message."""


class Channel:
    """One end of a conversation.  Owns its socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = b""

    def send(self, payload: bytes) -> None:
        """Send one frame.  Raises OSError when the other side is gone."""
        self.socket.sendall(len(payload).to_bytes(4, "big") + payload)

    def receive(self) -> bytes:
        """One whole frame.

        Raises EOFError, ProtocolError for a frame that is too large, and TimeoutError
        when the socket has a timeout and nothing arrives for so long.
        """
        size = int.from_bytes(self._take(4), "big")
        if size > LARGEST_FRAME:
            raise ProtocolError(f"a frame of {size} bytes")
        return self._take(size)

    def close(self) -> None:
        self.socket.close()

    def _take(self, size: int) -> bytes:
        buffer = self._buffer
        if len(buffer) < size:
            parts, missing = [buffer], size - len(buffer)
            while missing > 0:
                part = self.socket.recv(max(missing, 1 << 16))
                if not part:
                    raise EOFError("the other side closed the channel")
                parts.append(part)
                missing -= len(part)
            buffer = b"".join(parts)
        self._buffer = buffer[size:]
        return buffer[:size]
