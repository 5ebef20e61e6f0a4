"""What the steps of builds printed: with times, as long as it can be of use.

It is kept whole, but for steps that print without end: their logs would fill the disk.

A log is called `<build>.<number>` while its step runs, and if it failed; when its result enters the
cache it gets the name of the cache key. So it lives as long as the result can be used: a step that
is found in a cache has the log of the time when it was done, and whoever prunes the result prunes
the log. That of a failed step goes with the record of its build.

The lines of the file are JSON arrays: `["step", number, name, started_ns]`, then for each piece of
output `[milliseconds, stream, text]`, at last `["end", ended_ns, error]`. Bytes that are not UTF-8
are kept as surrogates.
"""

from __future__ import annotations

import os
import time

from knarr.engine.build.workplace import builds_dir
from knarr.util import jsontext
from knarr.util.files import write_all
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.paths import Paths

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_APPEND
_PIECE = 1 << 16
MOST = 64 << 20  # bytes of a log
_REST = b"\n[the log has %d MiB: what the step printed after this is not kept]\n"


class Piece(Value):
    """Output of a step: its stream, when it came, in seconds from the step's begin."""

    stream: int
    seconds: float
    data: bytes


def logs_dir(paths: Paths) -> str:
    """Return where logs are."""
    return f"{builds_dir(paths)}/history/logs"


def name_of_key(key: str) -> str:
    """Return the name of the log of a step whose result has the cache key."""
    return key.rpartition(":")[2]


class StepLog:
    """The log of a step that runs."""

    def __init__(self, directory: str, build_id: str, number: int, name: str) -> None:
        """Begin the log of step `number` of a build."""
        self._directory = directory
        self._name = f"{build_id}.{number}"
        self._started = time.monotonic()
        self._room = MOST
        path = f"{directory}/{self._name}"
        try:
            self._descriptor = os.open(path, _FLAGS, 0o600)
        except FileNotFoundError:
            os.makedirs(directory, 0o700, exist_ok=True)
            self._descriptor = os.open(path, _FLAGS, 0o600)
        self._put(["step", number, name, time.time_ns()])

    def write(self, stream: int, data: bytes) -> None:
        """Add output."""
        if self._room <= 0:
            return
        passed = round((time.monotonic() - self._started) * 1000)
        self._put([passed, stream, data.decode("utf-8", "surrogateescape")])
        if self._room <= 0:
            self._put([passed, stream, (_REST % (MOST >> 20)).decode()])

    def end(self, error: str, key: str) -> None:
        """End the log; it becomes that of the cached result if there is a key."""
        self._put(["end", time.time_ns(), error])
        os.close(self._descriptor)
        if key and not error:
            os.rename(f"{self._directory}/{self._name}", f"{self._directory}/{name_of_key(key)}")

    def _put(self, row: list[object]) -> None:
        line = f"{jsontext.dumps(row)}\n".encode()
        self._room -= len(line)
        write_all(self._descriptor, line)


class LogReader:
    """Reads a log, which may still grow. `name` is that of its step; `ended`: it is complete."""

    def __init__(self, path: str) -> None:
        """Open a log. FileNotFoundError if there is none."""
        self.name = ""
        self.ended = False
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - read little by little
        self._rest = b""

    def take(self) -> Iterator[Piece]:
        """Yield the output that came since it was asked for the last time."""
        while data := self._file.read(_PIECE):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                row = jsontext.loads(line.decode())
                if row[0] == "step":
                    self.name = row[2]
                elif row[0] == "end":
                    self.ended = True
                else:
                    data = row[2].encode("utf-8", "surrogateescape")
                    yield Piece(row[1], row[0] / 1000, data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def sweep(paths: Paths, keys: frozenset[str], builds: frozenset[str]) -> None:
    """Remove the logs of which neither the cache key nor the build is known any more."""
    directory = logs_dir(paths)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    known = {name_of_key(key) for key in keys}
    for name in names:
        build_id, dot, _ = name.partition(".")
        if (build_id not in builds) if dot else (name not in known):
            os.unlink(f"{directory}/{name}")
