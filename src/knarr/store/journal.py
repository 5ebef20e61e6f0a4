"""The journal: which operations of several steps are under way, or were when their process died.

    <root>/journal/<random>         {"kind":"load","key":"…","detail":"…","needs":["sha256:…"]}
    <root>/journal/.new-<random>    the same, before it is complete
    <root>/journal.lock             the gate

An operation holds a flock(2) on the file of its entry; the kernel drops it with the process,
however that ends. So an entry that nobody holds is unfinished work: whoever finds one takes the
lock, finishes it or takes it back, and clears the entry. Two processes never do that at once for
the same entry. An entry is written and locked aside and becomes visible by a rename, so that nobody
takes a new entry for an abandoned one.

What an operation *needs* is a lease: garbage collection spares those blobs and layers though no
record names them yet. Against the race of the two there is the gate. Who collects holds it from
reading the leases until everything unneeded has lost its record and its name. Who takes a lease
passes the gate once after the entry is visible: from then on, what is there stays there, and what
is not has no half-deleted remains.
"""

from __future__ import annotations

import fcntl
import os

from knarr.errors import Corrupt
from knarr.util import jsontext
from knarr.util.files import FileLock, read_file, write_all
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Self

_NEW = ".new-"
EVERYTHING = "*"
UNKNOWN = "operation of which nothing is known"


class Entry(Value):
    """An operation: its `kind`, what it works on, and what finishing it needs to know.

    `needs` are the digests of blobs and layers that it will refer to; EVERYTHING spares all.
    """

    kind: str
    key: str
    detail: str
    needs: tuple[str, ...]
    path: str
    descriptor: int = -1


class Journal:
    """The entries in `directory`."""

    def __init__(self, directory: str) -> None:
        """Remember where."""
        self.directory = directory

    def begin(
        self, kind: str, key: str, detail: str = "", *, needs: Iterable[str] = ()
    ) -> Operation:
        """Write down that an operation begins; leave the context when it is complete.

        Leaving with an error clears the entry too: who fails takes back what he did. Only a
        process that dies leaves its entry.
        """
        return Operation(self, {"kind": kind, "key": key, "detail": detail, "needs": list(needs)})

    def gate(self) -> FileLock:
        """Return the lock that who collects garbage holds."""
        return FileLock(f"{self.directory}.lock")

    def living(self) -> list[Entry]:
        """Return the operations whose process is at work."""
        found = []
        for path in self._paths():
            descriptor = _lock(path)
            if descriptor >= 0:
                os.close(descriptor)
            elif descriptor == _HELD and (entry := _read(path)):
                found.append(entry)
        return found

    def abandoned(self) -> list[tuple[str, Entry | None]]:
        """Return the names of entries whose process is gone with what they say, if it is legible.

        They are not locked: this is for who only looks.
        """
        found: list[tuple[str, Entry | None]] = []
        for path in self._paths():
            descriptor = _lock(path)
            if descriptor < 0:
                continue
            os.close(descriptor)
            try:
                found.append((os.path.basename(path), _read(path)))
            except Corrupt:
                found.append((os.path.basename(path), None))
        return found

    def unfinished(self) -> list[Entry]:
        """Return the operations whose process is gone, each locked for us until `clear`ed.

        Entries are not synced: what a power cut left of one may say nothing. It is UNKNOWN then.
        """
        self._sweep_new()
        found = []
        for path in self._paths():
            descriptor = _lock(path)
            if descriptor < 0:
                continue
            try:
                entry = _read(path)
            except Corrupt:
                entry = Entry(UNKNOWN, os.path.basename(path), "", (), path)
            if entry is None:
                os.close(descriptor)
            else:
                found.append(entry.replace(descriptor=descriptor))
        return found

    def clear(self, entry: Entry) -> None:
        """Forget an entry that `unfinished` returned: its operation is finished or taken back."""
        os.unlink(entry.path)
        os.close(entry.descriptor)

    def release(self, entry: Entry) -> None:
        """Leave an entry that `unfinished` returned to whoever looks next."""
        os.close(entry.descriptor)

    def _paths(self, *, new: bool = False) -> list[str]:
        try:
            names = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []
        return [f"{self.directory}/{name}" for name in names if name.startswith(_NEW) == new]

    def _sweep_new(self) -> None:
        for path in self._paths(new=True):
            descriptor = _lock(path)
            if descriptor >= 0:
                os.unlink(path)
                os.close(descriptor)


class Operation:
    """An operation under way, from entering the context to leaving it."""

    def __init__(self, journal: Journal, value: dict[str, Any]) -> None:
        """Prepare the entry."""
        self._journal = journal
        self._value = value
        self._name = os.urandom(8).hex()
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Make the entry."""
        self._publish()
        if self._value["needs"]:
            self._pass_gate()
        trace("journal:begun")
        return self

    def note(self, detail: str) -> None:
        """Replace the detail of the entry."""
        self._value["detail"] = detail
        self._publish()

    def need(self, digests: Iterable[str]) -> None:
        """Add to what must be spared; what is not there on return is not there at all."""
        self._value["needs"] += digests
        self._publish()
        self._pass_gate()

    def _publish(self) -> None:
        """Write the entry aside, lock it, and put it in the place of the one before."""
        path = f"{self._journal.directory}/{self._name}"
        new = f"{self._journal.directory}/{_NEW}{self._name}"
        descriptor = _create(new)
        try:
            write_all(descriptor, jsontext.dumps(self._value).encode())
            os.rename(new, path)
        except BaseException:  # a full disk, most likely
            os.unlink(new)
            os.close(descriptor)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _pass_gate(self) -> None:
        gate = self._journal.gate()
        gate.acquire(shared=True)
        gate.release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Clear the entry."""
        trace("journal:ending")
        os.unlink(f"{self._journal.directory}/{self._name}")
        os.close(self._descriptor)
        self._descriptor = -1


_HELD = -2
_GONE = -1


def _create(path: str) -> int:
    """Return a new, locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # taken for abandoned between the two calls


def _lock(path: str) -> int:
    """Return a locked descriptor of the file, _HELD if another has it, _GONE if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _GONE
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return _HELD
    if os.fstat(descriptor).st_nlink:
        return descriptor
    os.close(descriptor)
    return _GONE


def _read(path: str) -> Entry | None:
    """Return the entry in the file, None if it is gone by now."""
    try:
        data = read_file(path)
    except FileNotFoundError:
        return None
    try:
        value = jsontext.loads(data)
        return Entry(value["kind"], value["key"], value["detail"], tuple(value["needs"]), path)
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is no journal entry: {error}"
        raise Corrupt(message, hint="Delete it if nothing of knarr runs.") from error
