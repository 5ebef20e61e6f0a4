"""Frames: an 8-byte header (stream, three zeros, length) and that many bytes. No input, no output.

The header is Docker's for attached containers without a terminal, so that frames of output can be
handed to a client of Docker's API as they are.

A reader takes bytes as they come and never holds more than one control frame: the payload of stdin
is handed on in pieces, however long the frame says it is. What does not look like a frame raises
`ValueError`, after which the connection is beyond rescue.
"""

from __future__ import annotations

from knarr.supervise.messages import CONTROL, STDERR, STDIN, STDOUT
from knarr.util.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HEADER_SIZE = 8
MAXIMUM_CONTROL = 4 << 20  # an exec's environment may be this long; nothing else comes near
STREAMS = (STDIN, STDOUT, STDERR, CONTROL)
_BEGINNINGS = [bytes((stream, 0, 0, 0)) for stream in (STDIN, STDOUT, STDERR)]


def header(stream: int, length: int) -> bytes:
    """Return the header of a frame."""
    return bytes((stream, 0, 0, 0)) + length.to_bytes(4, "big")


def frame(stream: int, payload: bytes) -> bytes:
    """Return a whole frame."""
    return header(stream, len(payload)) + payload


def control(message: dict[str, Any]) -> bytes:
    """Return the frame of a control message."""
    return frame(CONTROL, dumps(message).encode())


class FrameReader:
    """Turns the bytes of a connection into pieces of frames."""

    __slots__ = ("_buffer", "_left", "_stream")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stream = STDIN
        self._left = 0  # of the payload under way; only streams other than CONTROL come in pieces

    def feed(self, data: bytes) -> Iterator[tuple[int, Any]]:
        """Yield (stream, bytes) for input and output and (CONTROL, object) for messages.

        An empty payload is yielded too: on stdin it means the end.

        Raises: ValueError
        """
        buffer = self._buffer
        if not buffer and data:
            data, piece = self._pass(data)
            if piece:
                yield self._stream, piece
        buffer += data
        while True:
            if self._left:
                if not buffer:
                    return
                with memoryview(buffer) as view:
                    piece = bytes(view[: self._left])
                del buffer[: len(piece)]
                self._left -= len(piece)
                yield self._stream, piece
                continue
            if len(buffer) < HEADER_SIZE:
                return
            stream, length = self._header()
            if stream != CONTROL:
                del buffer[:HEADER_SIZE]
                self._stream, self._left = stream, length
                if not length:
                    yield stream, b""
            elif len(buffer) < HEADER_SIZE + length:
                return
            else:
                payload = bytes(buffer[HEADER_SIZE : HEADER_SIZE + length])
                del buffer[: HEADER_SIZE + length]
                yield CONTROL, _message(payload)

    def _pass(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what is left of `data`, and what of it is payload, without another copy of that.

        Most of what passes is large payloads, of which each byte that is moved once more costs.
        """
        if self._left:
            piece = data[: self._left]
            self._left -= len(piece)
            return data[len(piece) :], piece
        there = len(data) - HEADER_SIZE
        length = int.from_bytes(data[4:HEADER_SIZE], "big")
        if data[:4] not in _BEGINNINGS or not 0 < there <= length:
            return data, b""
        self._stream, self._left = data[0], length - there
        return b"", data[HEADER_SIZE:]

    def _header(self) -> tuple[int, int]:
        buffer = self._buffer
        stream, length = buffer[0], int.from_bytes(buffer[4:HEADER_SIZE], "big")
        if stream not in STREAMS or buffer[1:4] != b"\0\0\0":
            message = f"not a frame: {bytes(buffer[:HEADER_SIZE])!r}"
            raise ValueError(message)
        if stream == CONTROL and length > MAXIMUM_CONTROL:
            message = f"a control frame of {length} bytes"
            raise ValueError(message)
        return stream, length


def _message(payload: bytes) -> dict[str, Any]:
    message = loads(payload)
    if not isinstance(message, dict):
        text = "a control frame that is not an object"
        raise ValueError(text)
    return message
