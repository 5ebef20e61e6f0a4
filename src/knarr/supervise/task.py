"""task.json: what is known of a container's process, written by its supervisor alone.

    {"status": "running", "pid": 4711, "pid_started": 123456, "boot_id": "…", …}

`status` is one of

* `created`: the process waits in its namespaces, or it could not be started (`error` says why);
* `running`: written just before the process becomes the program. A process that was not told to
  start ends with its supervisor, so that one which lives without a supervisor runs;
* `restarting`: between two runs; `next_start_ns` says when the next one begins;
* `exited`.

`signal` is what ended the last run, 0 if it ended by itself: an exit code of 137 may be either.

The file is replaced by rename(2), so that a reader sees one state or the next. It is synced at the
exit only, after everybody has been told: of what runs nothing is true after a power cut. On a full
disk it is overwritten in place, for which it is always of the same size: an end has to be recorded.

A reader believes `created` and `running` only as far as `alive` says: in the same boot, while a
process of that ID exists that started at that time.
"""

from __future__ import annotations

import errno
import os

from knarr.util import jsontext
from knarr.util.files import read_file, sync_directory, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CREATED = "created"
RUNNING = "running"
RESTARTING = "restarting"
EXITED = "exited"

SIZE = 1023  # of the file, without its line feed, unless an error's text is very long

FIELDS: dict[str, Any] = {
    "status": CREATED,
    "pid": 0,
    "pid_started": 0,
    "boot_id": "",
    "supervisor_pid": 0,
    "started_ns": 0,
    "finished_ns": 0,
    "exit_code": 0,
    "signal": 0,
    "oom_killed": False,
    "error": "",
    "restart_count": 0,
    "next_start_ns": 0,
    "manually_stopped": False,
    "health": "",
}


class Task:
    """The task of one container, in memory and in its file."""

    def __init__(self, bundle_dir: str) -> None:
        """Begin a new task; `save` puts it in place of an earlier one."""
        self.path = f"{bundle_dir}/task.json"
        self.fields = dict(FIELDS)

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]

    def save(self, **changes: object) -> None:
        """Change fields, and replace the file."""
        self.fields.update(changes)
        data = jsontext.dumps(self.fields).encode().ljust(SIZE) + b"\n"
        try:
            write_atomically(self.path, data, durable=False)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._overwrite(data)

    def _overwrite(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Make what was saved survive a power cut."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(os.path.dirname(self.path))


def read(bundle_dir: str) -> dict[str, Any] | None:
    """Return the fields of a container's task, None if it never had one.

    What a power cut, or a full disk, left of the file may be nothing that can be read: that counts
    as none, so that the container can be started and removed.
    """
    try:
        fields = jsontext.loads(read_file(f"{bundle_dir}/task.json"))
    except (FileNotFoundError, ValueError):
        return None
    return {**FIELDS, **fields} if isinstance(fields, dict) else None


def health_path(bundle_dir: str) -> str:
    """Return where the results of the last probes are kept."""
    return f"{bundle_dir}/health.json"


def read_health(bundle_dir: str) -> dict[str, Any] | None:
    """Return Docker's object State.Health, None if the container was never probed."""
    try:
        document = jsontext.loads(read_file(health_path(bundle_dir)))
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def alive(fields: dict[str, Any]) -> bool:
    """Tell whether the process that `fields` tell of exists."""
    return (
        fields["status"] in (CREATED, RUNNING)
        and fields["boot_id"] == boot_id()
        and fields["pid_started"] == start_time(fields["pid"])
    )


def boot_id() -> str:
    """Return what the kernel calls this boot."""
    return read_file("/proc/sys/kernel/random/boot_id").decode().strip()


def start_time(pid: int) -> int:
    """Return when a process that has not ended started, in clock ticks since boot; 0 without one.

    Man: proc_pid_stat(5), fields 3 and 22
    """
    try:
        text = read_file(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text[text.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
