"""Frames of bytes over a stream socket: four bytes of length, then the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # at run time the zygote uses the smaller `_socket`
    import socket

HEADER = 4  # bytes that say how many follow
# In bytes.  Without a limit, a forged header would have the reader wait for gigabytes.
LARGEST_FRAME = 32 << 20
# The same where the sender is the judge: a batch may have large tasks and long programs.
LARGEST_TRUSTED_FRAME = 2**32 - 1


class ProtocolError(Exception):
    """The other side sent something that is no frame, or no message."""


class Channel:
    """One end of a conversation.  Owns its socket."""

    def __init__(self, sock: socket.socket, largest: int = LARGEST_FRAME) -> None:
        self.socket, self.largest = sock, largest
        self._buffer = b""

    def send(self, payload: bytes) -> None:
        """Send one frame.  Raises OSError when the other side is gone."""
        self.socket.sendall(len(payload).to_bytes(HEADER, "big") + payload)

    def receive(self) -> bytes:
        """Wait for one whole frame and return its payload.

        Raises EOFError when the other side is gone, and ProtocolError for a frame that is
        too large.  Raises TimeoutError when the socket has a timeout and it runs out.
        """
        buffer = self._buffer
        if len(buffer) < HEADER:
            buffer = self._read_until(HEADER, buffer)
        end = HEADER + int.from_bytes(buffer[:HEADER], "big")
        if end > self.largest:
            raise ProtocolError(f"a frame of {end} bytes")
        if len(buffer) < end:
            buffer = self._read_until(end, buffer)
        self._buffer = buffer[end:]  # may hold the beginning of the next frame
        return buffer[HEADER:end]

    def close(self) -> None:
        """Close the socket; the other side then receives EOFError."""
        self.socket.close()

    def _read_until(self, size: int, buffer: bytes) -> bytes:
        """`buffer` and what arrives after it, until there are at least `size` bytes."""
        parts, missing = [buffer], size - len(buffer)
        while missing > 0:
            part = self.socket.recv(max(missing, 1 << 16))
            if not part:
                raise EOFError("the other side closed the channel")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
