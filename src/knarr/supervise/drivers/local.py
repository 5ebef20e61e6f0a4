"""The codec of the `local` driver: a line a line, with as little as possible in front of it.

    o18b2f0c4d5e6a7b8 a line
    │└ nanoseconds since 1970, 16 hexadecimal digits
    └ o or e: a line of stdout or stderr; O or E: a piece of one that goes on, or has not ended

Bytes stay as they are, whatever their encoding. The same lines as `jsonfile` would make, at a
quarter of its overhead; files are rotated likewise, and compressed once they are two rotations old,
so that whoever follows the log has the younger ones as they were written.
"""

from __future__ import annotations

from knarr.supervise.jsonfile import LINE_LIMIT, cut_line
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


class Encoder:
    """Turns one stream of output into entries, keeping the beginning of an unfinished line."""

    __slots__ = ("_mark", "_pending")

    def __init__(self, stream: int, attributes: tuple[tuple[str, str], ...] = ()) -> None:
        """Encode output of `stream`; this format has no room for attributes."""
        del attributes
        self._mark = b"e" if stream == STDERR else b"o"
        self._pending = b""

    @property
    def pending(self) -> int:
        """Return how many bytes of an unfinished line are kept."""
        return len(self._pending)

    def encode(self, data: bytes, now_ns: int) -> bytes:
        """Return the entries that `data`, read at `now_ns`, completes."""
        data = self._pending + data
        head = self._head(now_ns)
        entries = []
        start = position = 0
        while position < len(data):
            found = data.rfind(b"\n", position, position + LINE_LIMIT)
            if found >= 0:
                position = found + 1
            elif len(data) - position <= LINE_LIMIT:
                break
            else:
                cut = cut_line(data, position + LINE_LIMIT)
                entries += [
                    _lines(data[start:position], head),
                    self._part(data[position:cut], head),
                ]
                start = position = cut
        entries.append(_lines(data[start:position], head))
        self._pending = data[position:]
        return b"".join(entries)

    def flush(self, now_ns: int) -> bytes:
        """Return the unfinished line as an entry of its own, or nothing."""
        pending, self._pending = self._pending, b""
        return self._part(pending, self._head(now_ns)) if pending else b""

    def _head(self, now_ns: int) -> bytes:
        return b"%b%016x " % (self._mark, now_ns)

    @staticmethod
    def _part(data: bytes, head: bytes) -> bytes:
        return b"%b%b\n" % (head.replace(head[:1], head[:1].upper(), 1), data)


def note(text: str, now_ns: int) -> bytes:
    """Return an entry that tells something of the log itself, as a line of stderr."""
    return Encoder(STDERR).encode(text.encode() + b"\n", now_ns)


def _lines(data: bytes, head: bytes) -> bytes:
    if not data:
        return b""
    return b"%b%b\n" % (head, data[:-1].replace(b"\n", b"\n" + head))
