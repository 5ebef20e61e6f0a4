"""Signs of unfinished work, looked for at every start: a few system calls when there are none.

Whoever works holds a lock: an operation of several steps the file of its journal entry, a
supervisor the lock in its container's run directory. A file that nobody holds was left behind by
a process that was killed. Another boot ID means that everything was.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.paths import Paths

SUPERVISOR_LOCK = "supervisor.lock"


def suspected(paths: Paths) -> bool:
    """Tell whether something may be left of a process that was killed, or of an earlier boot."""
    return (
        recorded_boot(paths) != boot_id()
        or any(not held(f"{paths.journal_dir}/{name}") for name in os.listdir(paths.journal_dir))
        or bool(abandoned_tasks(paths))
    )


def abandoned_tasks(paths: Paths) -> list[str]:
    """Return the IDs of containers that have a run directory but no living supervisor."""
    return [
        name
        for name in os.listdir(paths.tasks_dir)
        if not held(f"{paths.tasks_dir}/{name}/{SUPERVISOR_LOCK}")
    ]


def held(path: str) -> bool:
    """Tell whether a living process holds the flock(2) on the file at `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def boot_id() -> str:
    """Return what the kernel calls this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def recorded_boot(paths: Paths) -> str:
    """Return the boot in which the last look for leftovers was made, or an empty string."""
    try:
        with open(paths.boot_id_path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
