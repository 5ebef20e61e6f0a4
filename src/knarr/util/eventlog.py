"""What happened, in the order in which it happened: one file of events for everybody.

`<root>/events.log` is appended to by every process of knarr, a JSON object a line, in Docker's form
less what can be told from the rest. Whoever writes holds the file's lock, and takes the time under
it: the order of lines is that of times. A file that has grown to its size is renamed to `….1`, that
to `….2`, and so on; a writer that then holds the lock of a renamed file opens the new one.

Nothing is synced, and nothing ever fails for it: on a full disk events are lost. One costs 10 µs.
"""

from __future__ import annotations

import fcntl
import os
import time

from knarr.util.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "events.log"
LIMIT = 4 << 20
KEPT = 4  # files in all


def append(
    root: str, kind: str, action: str, actor: str, attributes: Mapping[str, str] | None = None
) -> None:
    """Note that `action` happened to `actor`, an ID or a name of a `kind` like "container"."""
    try:
        descriptor = _open_locked(f"{root}/{NAME}")
        try:
            _write(descriptor, [kind, action, actor, dict(attributes or {})])
        finally:
            os.close(descriptor)
    except OSError:  # a full disk, or a root that is not ours to write: not the deed's problem
        return


def _open_locked(path: str) -> int:
    """Return the descriptor of the newest file, with its lock held."""
    while True:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            own = os.fstat(descriptor)
            if own.st_size >= LIMIT:
                _rotate(path, own.st_ino)
            elif os.stat(path).st_ino == own.st_ino:
                return descriptor
        except FileNotFoundError:  # renamed a moment ago
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _rotate(path: str, inode: int) -> None:
    """Rename the files, unless somebody did before the lock was had."""
    if os.stat(path).st_ino != inode:
        return
    for number in range(KEPT - 1, 0, -1):
        try:
            os.rename(f"{path}.{number - 1}" if number > 1 else path, f"{path}.{number}")
        except FileNotFoundError:
            continue


def _write(descriptor: int, event: list[object]) -> None:
    size = os.fstat(descriptor).st_size
    line = dumps([time.time_ns(), *event]).encode() + b"\n"
    try:
        complete = os.write(descriptor, line) == len(line)
    except OSError:
        complete = False
    if not complete:
        os.ftruncate(descriptor, size)
