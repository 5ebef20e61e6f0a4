"""Taking back a build whose process was killed: its commands, networks, directories."""

from __future__ import annotations

import os

from knarr.engine.build.steps import control_group
from knarr.engine.build.workplace import builds_dir
from knarr.linux.process import start_time
from knarr.linux.tree import remove_path
from knarr.runtime import cgroups, members
from knarr.util import jsontext
from knarr.util.files import delete_with_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.store.journal import Entry


def finish(engine: Engine, entry: Entry) -> str:
    """Take back what a build was doing, and return what was done in words.

    What its earlier steps resulted in stays: it is in the cache.
    """
    detail = jsontext.loads(entry.detail) if entry.detail else {}
    steps: dict[str, list[int]] = detail.get("steps", {})
    for step_id, process in steps.items():
        if process:
            _end(*process)
        engine.networks.detach(step_id)
        delete_with_files(f"{engine.paths.run}/builds/secrets-{step_id[:12]}")
    group = cgroups.locate(detail.get("group") or control_group(engine.paths, entry.key), entry.key)
    if group.exists():
        members.kill(group)
        members.delete(group)
    if os.path.isdir(builds_dir(engine.paths)):  # else it had none yet, or a power cut took it
        remove_path(f"{builds_dir(engine.paths)}/{entry.key}")
    return "took back a build that was interrupted; its finished steps are kept"


def _end(pid: int, started: int) -> None:
    """Kill the command of a step, if that is what the process still is."""
    from signal import SIGKILL, pidfd_send_signal  # noqa: PLC0415 - only after a crash

    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_time(pid) == started:
            pidfd_send_signal(pidfd, SIGKILL)
            _wait(pidfd)
    except (ProcessLookupError, FileNotFoundError):
        pass
    finally:
        os.close(pidfd)


def _wait(pidfd: int) -> None:
    """Wait until a process that is not our child has ended; its mounts end with it."""
    import select  # noqa: PLC0415 - only after a crash

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(5000)
