"""The codec of the `local` driver: a line a line, with as little as possible in front of it.

    o18b2f0c4d5e6a7b8 a line
    │└ nanoseconds since 1970, 16 hexadecimal digits
    └ o or e: a line of stdout or stderr; O or E: a piece of one that goes on, or has not ended

Bytes stay as they are, whatever their encoding. The same lines as `jsonfile` would make, at a
quarter of its overhead; files are rotated likewise, and compressed once they are two rotations old,
so that whoever follows the log has the younger ones as they were written.
"""

from __future__ import annotations

from knarr.supervise.jsonfile import Cutter
from knarr.supervise.messages import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.logs import Log
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import LogOptions


def open_log(options: LogOptions, loop: Loop) -> Log:
    """Return the log that `options` ask for."""
    from knarr.supervise.logs import JsonFile  # noqa: PLC0415 - which loads this module

    del loop
    return JsonFile(options, Encoder, note)


class Encoder(Cutter):
    """Turns one stream of output into entries."""

    __slots__ = ("_mark",)

    def __init__(self, stream: int, attributes: tuple[tuple[str, str], ...] = ()) -> None:
        """Encode output of `stream`; this format has no room for attributes."""
        super().__init__()
        del attributes
        self._mark = b"e" if stream == STDERR else b"o"

    def encode(self, data: bytes, now_ns: int) -> bytes:
        """Return the entries that `data`, read at `now_ns`, completes."""
        head = self._head(now_ns)
        return b"".join(
            _lines(piece, head) if whole else _part(piece, head) for piece, whole in self.cut(data)
        )

    def flush(self, now_ns: int) -> bytes:
        """Return the unfinished line as an entry of its own, or nothing."""
        pending = self.rest()
        return _part(pending, self._head(now_ns)) if pending else b""

    def _head(self, now_ns: int) -> bytes:
        return b"%b%016x " % (self._mark, now_ns)


def note(text: str, now_ns: int) -> bytes:
    """Return an entry that tells something of the log itself, as a line of stderr."""
    return Encoder(STDERR).encode(text.encode() + b"\n", now_ns)


def _lines(data: bytes, head: bytes) -> bytes:
    return b"%b%b\n" % (head, data[:-1].replace(b"\n", b"\n" + head))


def _part(data: bytes, head: bytes) -> bytes:
    return b"%b%b\n" % (head.replace(head[:1], head[:1].upper(), 1), data)
