"""Reading a container's log: over rotated files, from a point in time, while it is written.

The log is files of json-file entries (`supervise.jsonfile`), the newest at `path`, older ones at
`path.1` and so on. They are opened from the newest to the oldest and recognised by inode: a
rotation in between can only show a file twice, never hide one. An open file stays readable when it
is renamed or removed, so nothing of what was opened is lost.

Following: the directory is watched by inotify(7). A change of any file in it wakes the reader: more
in the log, a rotation (`path` is another inode: the old file is read to its end first), or a new
task.json, which is how the container's end is seen. The log ends with the container.

What does not parse is no entry: half a line that a crash left, or one that is not complete yet,
which waits for its end.
"""

from __future__ import annotations

import os
import select
import time

from knarr.errors import InvalidArgument, Unsupported
from knarr.supervise import jsonfile
from knarr.supervise.messages import STDERR, STDOUT
from knarr.util import jsontext, times
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from knarr.engine.containers import Container

BLOCK = 64 << 10
LOOK_AGAIN = 2.0  # seconds after which a follower looks without being told: nobody tells of a kill
OWN_TIME_LENGTH = len("2026-01-02T15:04:05.123456789Z")
SOURCES = {"stdout": STDOUT, "stderr": STDERR}


class LogOptions(Value):
    """Which part of the log: the last `tail` entries (None: all) between two points in time."""

    tail: int | None = None
    since_ns: int = 0
    until_ns: int | None = None
    follow: bool = False


class Entry:
    """One entry: a line with its line feed, or a part of one without.

    `when` is the time at which it was read from the container, in UTC with nine decimals, so that
    times compare as text.
    """

    __slots__ = ("attributes", "stream", "text", "when")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.stream = SOURCES[fields["stream"]]
        self.text: str = fields["log"]
        self.attributes: dict[str, str] = fields.get("attrs") or {}
        when: str = fields["time"]
        if len(when) != OWN_TIME_LENGTH:  # Docker leaves zeros at the end out
            when = jsonfile.rfc3339(times.parse_rfc3339(when))
        self.when = when


class Renderer:
    """Turns entries into what is shown."""

    def __init__(self, *, timestamps: bool = False, details: bool = False) -> None:
        self._timestamps = timestamps
        self._details = details
        self._unfinished = {STDOUT: False, STDERR: False}

    def render(self, entry: Entry) -> bytes:
        """Return an entry with what is to stand in front of a line, unless it continues one."""
        text = entry.text
        if not self._unfinished[entry.stream]:
            if self._details:
                text = f"{_details(entry.attributes)} {text}"
            if self._timestamps:
                text = f"{entry.when} {text}"
        self._unfinished[entry.stream] = not entry.text.endswith("\n")
        return text.encode("utf-8", "surrogateescape")


def _details(attributes: dict[str, str]) -> str:
    from urllib.parse import quote_plus  # noqa: PLC0415 - for who asks for details

    return ",".join(
        f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(attributes.items())
    )


def read(container: Container, options: LogOptions) -> Iterator[Entry | None]:
    """Yield the entries of a container's log, and None before waiting for more of them.

    Raises: Unsupported (its driver keeps nothing that could be read)
    """
    from knarr.engine.container.orders import log_path  # noqa: PLC0415 - loads much

    log = container.options.log
    path = log_path(container.engine.paths, container.id, log)
    if not path:
        message = "configured logging driver does not support reading"
        raise Unsupported(message, hint=f"The driver of {container.name} is {log.driver}.")
    return read_log(path, options, going=lambda: container.state.active)


def read_log(
    path: str, options: LogOptions, *, going: Callable[[], bool]
) -> Iterator[Entry | None]:
    """Yield the entries of the log at `path`; with `follow` until `going` is false.

    Without it the end is what was there at the beginning: a program may write faster than anybody
    reads. Entries from a time that is still to come were there: the clock was set back since.
    """
    began = jsonfile.rfc3339(time.time_ns())
    watch = _watch_directory(os.path.dirname(path)) if options.follow else None
    reader = Reader(path, options.tail)
    since = jsonfile.rfc3339(options.since_ns) if options.since_ns else ""
    until = None if options.until_ns is None else jsonfile.rfc3339(options.until_ns)
    try:
        while True:
            last = watch is None or not going()  # asked first: what follows misses nothing then
            for line in reader.lines():
                entry = parse(line)
                if entry is None or entry.when < since:
                    continue
                if until is not None and entry.when >= until:
                    return
                if watch is None and began <= entry.when <= jsonfile.rfc3339(time.time_ns()):
                    return
                yield entry
            if watch is None or last or _passed(options.until_ns):
                return
            yield None
            watch.wait(options.until_ns)
    finally:
        reader.close()
        if watch:
            watch.close()


def _passed(moment_ns: int | None) -> bool:
    return moment_ns is not None and time.time_ns() >= moment_ns


def parse(line: bytes) -> Entry | None:
    """Return the entry that a line of the log is, None if it is none."""
    try:
        if line[:1] != b"{":
            return Entry(_local_fields(line))
        return Entry(jsontext.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidArgument):
        return None


def _local_fields(line: bytes) -> dict[str, Any]:
    """Return the fields of an entry in the form of `supervise.drivers.local`."""
    mark, digits, text = line[:1], line[1:17], line[18:]
    if mark in (b"o", b"e"):
        text += b"\n"
    elif mark not in (b"O", b"E"):
        raise ValueError(line)
    return {
        "stream": "stderr" if mark in (b"e", b"E") else "stdout",
        "log": text.decode("utf-8", "surrogateescape"),
        "time": jsonfile.rfc3339(int(digits, 16)),
    }


class LogFile:
    """One file of the log, read forwards by whole lines."""

    __slots__ = ("_rest", "descriptor", "inode")

    def __init__(self, path: str) -> None:
        """Open the file at `path`, or what it has been compressed to.

        Raises: FileNotFoundError
        """
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            packed = os.open(f"{path}.gz", os.O_RDONLY | os.O_CLOEXEC)
            self.inode = os.fstat(packed).st_ino
            self.descriptor = _unpack(packed)
        else:
            self.inode = os.fstat(self.descriptor).st_ino
        self._rest = b""

    def close(self) -> None:
        os.close(self.descriptor)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that are complete by now; more may come later."""
        while data := os.read(self.descriptor, BLOCK):
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from whole

    def seek_tail(self, count: int) -> int:
        """Go to the beginning of the last `count` whole lines; return how many these are."""
        position = os.fstat(self.descriptor).st_size
        found = -1  # the last line feed ends a line, each one before it begins one, too
        while position:
            start = max(0, position - BLOCK)
            block = os.pread(self.descriptor, position - start, start)
            cut = len(block)
            while (cut := block.rfind(b"\n", 0, cut)) >= 0:
                found += 1
                if found == count:
                    os.lseek(self.descriptor, start + cut + 1, os.SEEK_SET)
                    return found
            position = start
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return found + 1


def _unpack(packed: int) -> int:
    """Return a file in memory with what `packed`, which is closed, holds compressed."""
    import zlib  # noqa: PLC0415 - for few logs

    unpacked = os.memfd_create("log")
    unpacker = zlib.decompressobj(31)
    with open(packed, "rb", buffering=0) as file:
        while data := file.read(BLOCK):
            os.write(unpacked, unpacker.decompress(data))
    os.lseek(unpacked, 0, os.SEEK_SET)
    return unpacked


class Reader:
    """All files of a log as one, also those that appear while it is read."""

    def __init__(self, path: str, tail: int | None) -> None:
        """Begin with the last `tail` lines, or with the first one there is."""
        self._path = path
        self._files = _open_newer(path, than=None)
        if tail is not None:
            self._skip(tail)

    def _skip(self, tail: int) -> None:
        for position, file in enumerate(reversed(self._files)):
            tail -= file.seek_tail(tail)
            if tail <= 0:
                older = self._files[: -position - 1]
                self._files = self._files[-position - 1 :]
                for unwanted in older:
                    unwanted.close()
                return

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that there are by now."""
        while True:
            for file in self._files:
                yield from file.lines()
            newer = self._open_newer()
            if not newer:
                return
            if self._files:  # what was written to the last one before it was rotated
                yield from self._files[-1].lines()
            self.close()
            self._files = newer

    def _open_newer(self) -> list[LogFile]:
        if not self._files:
            return _open_newer(self._path, than=None)
        last = self._files[-1].inode
        try:
            if os.stat(self._path).st_ino == last:
                return []
        except FileNotFoundError:  # gone, or in the middle of a rotation, which will wake us again
            return []
        return _open_newer(self._path, than=last)

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files = []


def _open_newer(path: str, *, than: int | None) -> list[LogFile]:
    """Return the files of the log that are newer than the inode `than`, the oldest first."""
    directory, name = os.path.split(path)
    numbers = [
        entry.removeprefix(f"{name}.").removesuffix(".gz") for entry in os.listdir(directory)
    ]
    highest = max((int(number) for number in numbers if number.isdecimal()), default=0)
    files: list[LogFile] = []
    for number in range(highest + 2):  # one more: a rotation may be under way
        try:
            file = LogFile(f"{path}.{number}" if number else path)
        except FileNotFoundError:
            continue
        if file.inode == than:
            file.close()
            break
        if any(file.inode == other.inode for other in files):
            file.close()
        else:
            files.append(file)
    return files[::-1]


class Watch:
    """Waits for changes of files and directories, told of them by inotify(7)."""

    def __init__(self) -> None:
        from knarr.linux import files  # noqa: PLC0415 - for who follows

        self._add = files.inotify_add_watch
        self._descriptor = files.inotify_init1(files.IN_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def add(self, path: str, mask: int) -> None:
        """Watch what is called `path` now for what is in `mask`, IN_….

        Raises: FileNotFoundError
        """
        self._add(self._descriptor, path, mask)

    def wait(self, until_ns: int | None) -> None:
        """Return after a change, at `until_ns`, or when it is time to look anyway."""
        seconds = LOOK_AGAIN
        if until_ns is not None:
            seconds = max(0.0, min(seconds, (until_ns - time.time_ns()) / 1e9))
        if self._poll.poll(seconds * 1000):
            os.read(self._descriptor, BLOCK)

    def close(self) -> None:
        os.close(self._descriptor)


def _watch_directory(directory: str) -> Watch:
    from knarr.linux import files  # noqa: PLC0415 - for who follows

    watch = Watch()
    changes = files.IN_MODIFY | files.IN_CREATE | files.IN_MOVED_TO | files.IN_DELETE_SELF
    watch.add(directory, changes)
    return watch
