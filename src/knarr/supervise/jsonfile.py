"""The codec of Docker's json-file log: a JSON object a line. No input, no output.

    {"log":"a line\\n","stream":"stdout","time":"2025-06-01T12:00:00.123456789Z"}

A line of output is an entry whose "log" ends in a line feed. A line of more than 16 KiB is cut into
several entries, of which only the last ends so; output that ends without a line feed makes an entry
without one. The "log" fields of a stream, put together, are the stream, except that bytes that are
not UTF-8 become U+FFFD, as with Docker.

Encoding is the hot spot of the supervisor: a program that writes 100 MB/s writes a million lines a
second. Therefore nothing is done line by line. A batch is one string; its line feeds are replaced
by a character that JSON does not escape, the whole is escaped by the accelerator of `json`, and
then that character is replaced by the end of one entry and the beginning of the next: five passes
in C, 450 MB/s for lines of 80 bytes. All lines of a batch have the time at which it was read.
"""

from __future__ import annotations

import time

from knarr.util.jsontext import dumps

try:
    from _json import encode_basestring as _quote
except ImportError:  # pragma: no cover - another implementation of Python
    from json.encoder import encode_basestring as _quote

LINE_LIMIT = 16 << 10
NAMES = {1: "stdout", 2: "stderr"}


class Cutter:
    """Cuts one stream of output into whole lines and pieces of long ones, keeping a beginning."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        """Begin without anything."""
        self._pending = b""

    @property
    def pending(self) -> int:
        """Return how many bytes of an unfinished line are kept."""
        return len(self._pending)

    def cut(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Return what `data` completes: whole lines, many at once (true), or a piece of one."""
        if self._pending:
            data = self._pending + data
        found = []
        start = 0  # of whole lines not yet returned
        position = 0
        while position < len(data):
            # One search for each 16 KiB, not for each line.
            end = data.rfind(b"\n", position, position + LINE_LIMIT)
            if end >= 0:
                position = end + 1
            elif len(data) - position <= LINE_LIMIT:
                break
            else:
                limit = _last_character(data, position + LINE_LIMIT)
                if start < position:
                    found.append((data[start:position], True))
                found.append((data[position:limit], False))
                start = position = limit
        if start < position:
            found.append((data[start:position], True))
        self._pending = data[position:]
        return found

    def rest(self) -> bytes:
        """Return the unfinished line, and forget it."""
        pending, self._pending = self._pending, b""
        return pending


class Encoder(Cutter):
    """Turns one stream of output into entries."""

    __slots__ = ("_fields",)

    def __init__(self, stream: int, attributes: tuple[tuple[str, str], ...] = ()) -> None:
        """Encode output of `stream`, STDOUT or STDERR, with `attributes` in every entry."""
        super().__init__()
        extra = f',"attrs":{dumps(dict(attributes))}' if attributes else ""
        self._fields = f',"stream":"{NAMES[stream]}"{extra},"time":"'

    def encode(self, data: bytes, now_ns: int) -> bytes:
        """Return the entries that `data`, read at `now_ns`, completes."""
        end = f'{self._fields}{rfc3339(now_ns)}"}}\n'
        return b"".join(
            _lines(piece, end) if whole else _part(piece, end) for piece, whole in self.cut(data)
        )

    def flush(self, now_ns: int) -> bytes:
        """Return the unfinished line as an entry without line feed, or nothing."""
        pending = self.rest()
        return _part(pending, f'{self._fields}{rfc3339(now_ns)}"}}\n') if pending else b""


def note(text: str, now_ns: int) -> bytes:
    """Return an entry that tells something of the log itself, as a line of stderr."""
    encoder = Encoder(2, (("knarr", "note"),))
    return encoder.encode(text.encode() + b"\n", now_ns)


def _lines(data: bytes, end: str) -> bytes:
    """Return the entries of whole lines."""
    between = f'\\n"{end}{{"log":"'
    text = data.decode("utf-8", "replace")
    # Neither is escaped in JSON. The second never comes out of decoding, but doubles the memory.
    mark = "\x7f" if "\x7f" not in text else "\udc0a"
    # What ends with the mark and the closing quote ends with the last entry's text.
    quoted = _quote(text.replace("\n", mark))[:-2]
    return f'{{"log":{quoted.replace(mark, between)}\\n"{end}'.encode()


def _part(data: bytes, end: str) -> bytes:
    """Return the entry of a piece of a line."""
    return f'{{"log":{_quote(data.decode("utf-8", "replace"))}{end}'.encode()


def _last_character(data: bytes, limit: int) -> int:
    """Return where to cut, `limit` or up to three bytes before, so that no character is hurt."""
    for position in range(limit, limit - 4, -1):
        if data[position] & 0xC0 != 0x80:
            return position
    return limit


_second = (-1, "")


def rfc3339(now_ns: int) -> str:
    """Return a time in UTC with all nine digits, so that times can be compared as text."""
    global _second  # noqa: PLW0603 - a thousand lines a second share it
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    if _second[0] != seconds:
        _second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return f"{_second[1]}.{nanoseconds:09d}Z"
