"""Where a container's output is kept: the drivers `json-file` and `none`; others in `drivers`.

`JsonFile` appends to `<id>-json.log`. When the file has reached its size, it becomes `….1`, the
one that was `….1` becomes `….2`, and so on; the oldest is overwritten. Readers recognise files by
inode. With `compress` a child makes `….2.gz` of what has become `….2`: who follows the log is
hardly so far behind. A rotation waits for the child of the one before.

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
    from collections.abc import Callable
    from typing import Any, Protocol

    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import LogOptions
else:
    Protocol = object

_BLOCK = 64 << 10
_CHUNK = 32 << 10  # encoded at once: short lines become forty times as long


class Log(Protocol):
    """What keeps a container's output."""

    @property
    def full(self) -> bool:
        """Tell whether the container had better wait; `remote` tells when it need not any more."""

    def begin(self) -> None:
        """Do what may fail before the container is made.

        Raises: KnarrError
        """

    def write(self, stream: int, data: bytes) -> None:
        """Keep `data`, read just now."""

    def pending(self) -> bool:
        """Tell whether something is held back that `flush` would keep."""

    def flush(self) -> None:
        """Keep what is held back."""

    def close(self) -> None:
        """Keep what is held back, and end."""


def open_log(options: LogOptions, loop: Loop) -> Log:
    """Return the log that `options` ask for."""
    name = options.driver
    if name == "none":
        return Nothing()
    if name not in ("json-file", "local"):
        return _open_remote(name, options, loop)
    log = _open_file(name, options, loop)
    if options.nonblocking:
        from knarr.supervise.drivers.ring import Ring  # noqa: PLC0415 - for few containers

        return Ring(log, options.buffer_size, loop)
    return log


def _open_file(name: str, options: LogOptions, loop: Loop) -> Log:
    if name == "json-file":
        return JsonFile(options)
    log: Log = _driver(name).open_log(options, loop)
    return log


def _open_remote(name: str, options: LogOptions, loop: Loop) -> Log:
    """Return a log that sends messages, and keeps what it sends if there is a file for it."""
    from knarr.supervise.drivers.shipper import Both  # noqa: PLC0415 - for few containers

    log: Any = _driver(name).open_log(options, loop)
    kept: Log = _open_file("local", options, loop) if options.path else Nothing()
    return Both(log, kept)


def _driver(name: str) -> Any:
    return __import__(f"knarr.supervise.drivers.{name}", fromlist=["open_log"])


class Nothing:
    """The driver `none`."""

    full = False

    def begin(self) -> None:
        """Do nothing."""

    def write(self, stream: int, data: bytes) -> None:
        """Forget `data`."""

    def pending(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class JsonFile:
    """The driver `json-file`, and with another codec than `jsonfile` the driver `local`."""

    full = False

    def __init__(
        self,
        options: LogOptions,
        encoder: Callable[..., Any] = jsonfile.Encoder,
        note: Callable[[str, int], bytes] = jsonfile.note,
    ) -> None:
        """Continue the file of `options`, without the half entry that a crash may have left."""
        self._options = options
        self._encoders = {
            stream: encoder(stream, options.attributes) for stream in (STDOUT, STDERR)
        }
        self._note = note
        self._compressor = 0
        self._lost = 0
        self._reason = ""
        self._descriptor = _open(options.path)
        self._size = os.fstat(self._descriptor).st_size
        self._mend()

    def begin(self) -> None:
        """Do nothing: the file is open."""

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
            entries = self._note(text, time.time_ns()) + entries
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
        self._await_compressor()
        for number in range(self._options.max_file - 1, 0, -1):
            before = f"{path}.{number - 1}" if number > 1 else path
            _rename(before, f"{path}.{number}")
            if self._options.compress:
                _rename(f"{before}.gz", f"{path}.{number}.gz")
        trace("log:rotating")
        os.rename(aside, path)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = 0
        if self._options.compress:
            self._compressor = _compress(f"{path}.2")

    def _await_compressor(self) -> None:
        if self._compressor:
            try:
                os.waitpid(self._compressor, 0)
            except ChildProcessError:  # it was reaped with the others
                pass
            self._compressor = 0


def _rename(before: str, after: str) -> None:
    try:
        os.rename(before, after)
    except FileNotFoundError:
        pass


def _compress(path: str) -> int:
    """Have a child compress the file at `path`; return its process ID, 0 if there is no file."""
    if not os.path.exists(path):
        return 0
    pid = os.fork()
    if pid == 0:
        try:
            from knarr.supervise.drivers.packing import pack  # noqa: PLC0415 - for this child

            pack(path)
        finally:
            os._exit(1)
    return pid


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
