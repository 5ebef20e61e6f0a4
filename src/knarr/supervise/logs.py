"""Where a container's output is kept: the drivers `json-file` and `none`.

`JsonFile` appends to `<id>-json.log`. When the file has reached its size, it becomes `….1`, the
one that was `….1` becomes `….2`, and so on; the oldest is overwritten. Readers recognise files by
inode.

A full disk does not stop the container. What cannot be written is counted, a torn line is cut off
again, and each later batch is a new attempt; the first that succeeds begins with a line (stream
stderr, attribute knarr=note) that says how much is missing.

An unfinished line is held back until it ends or becomes too long, as Docker does, but `streams`
does not let it wait longer than a second: a prompt is seen in the log, and a killed supervisor
takes little with it.
"""

from __future__ import annotations

import os
import time

from knarr.supervise import jsonfile
from knarr.supervise.messages import STDERR, STDOUT
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from knarr.supervise.messages import LogOptions
else:
    Protocol = object

_BLOCK = 64 << 10
_CHUNK = 32 << 10  # encoded at once: short lines become forty times as long


class Log(Protocol):
    """What keeps a container's output."""

    def write(self, stream: int, data: bytes) -> None:
        """Keep `data`, read just now."""

    def pending(self) -> bool:
        """Tell whether something is held back that `flush` would keep."""

    def flush(self) -> None:
        """Keep what is held back."""

    def close(self) -> None:
        """Keep what is held back, and end."""


def open_log(options: LogOptions) -> Log:
    """Return the log that `options` ask for."""
    return Nothing() if options.driver == "none" else JsonFile(options)


class Nothing:
    """The driver `none`."""

    def write(self, stream: int, data: bytes) -> None:
        """Forget `data`."""

    def pending(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class JsonFile:
    """The driver `json-file`."""

    def __init__(self, options: LogOptions) -> None:
        """Continue the file of `options`, without the half entry that a crash may have left."""
        self._options = options
        self._encoders = {
            stream: jsonfile.Encoder(stream, options.attributes) for stream in (STDOUT, STDERR)
        }
        self._lost = 0
        self._reason = ""
        self._descriptor = _open(options.path)
        self._size = os.fstat(self._descriptor).st_size
        self._mend()

    def _mend(self) -> None:
        """Cut the file after its last whole entry."""
        position = self._size
        while position:
            start = max(0, position - _BLOCK)
            found = os.pread(self._descriptor, position - start, start).rfind(b"\n")
            position = start + found + 1 if found >= 0 else start
            if found >= 0:
                break
        if position != self._size:
            os.ftruncate(self._descriptor, position)
            self._size = position

    def write(self, stream: int, data: bytes) -> None:
        encoder, now_ns = self._encoders[stream], time.time_ns()
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            entries = encoder.encode(chunk, now_ns)
            if entries:
                self._append(entries, len(chunk))

    def pending(self) -> bool:
        return any(encoder.pending for encoder in self._encoders.values())

    def flush(self) -> None:
        for encoder in self._encoders.values():
            size = encoder.pending
            if size:
                self._append(encoder.flush(time.time_ns()), size)

    def close(self) -> None:
        self.flush()
        if self._lost:
            self._append(b"", 0)
        os.close(self._descriptor)

    def _append(self, entries: bytes, represented: int) -> None:
        """Write `entries`, which stand for `represented` bytes of output, or count them as lost."""
        if self._lost:
            text = f"knarr: up to {self._lost} bytes of output are missing here: {self._reason}"
            entries = jsonfile.note(text, time.time_ns()) + entries
        try:
            trace("log:write")
            while entries:
                entries = entries[self._write_some(entries) :]
        except OSError as error:
            # Not the container's fault, and no reason to stop it: the log says so when it can.
            self._lost += represented
            self._reason = os.strerror(error.errno or 0)
            os.ftruncate(self._descriptor, self._size)
        else:
            self._lost = 0

    def _write_some(self, entries: bytes) -> int:
        """Write whole entries up to where the file is full; return how many bytes that was."""
        limit = self._options.max_size
        if 0 < limit <= self._size:
            self._rotate()
        room = limit - self._size
        end = entries.find(b"\n", room - 1) + 1 if 0 < room < len(entries) else len(entries)
        view = memoryview(entries)[:end]
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._size += end
        return end

    def _rotate(self) -> None:
        """Begin a new file; change nothing if there is no room for one."""
        path = self._options.path
        aside = f"{path}.new"
        descriptor = _open(aside)
        for number in range(self._options.max_file - 1, 0, -1):
            try:
                os.rename(f"{path}.{number - 1}" if number > 1 else path, f"{path}.{number}")
            except FileNotFoundError:
                continue
        trace("log:rotating")
        os.rename(aside, path)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = 0


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
