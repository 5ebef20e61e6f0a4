"""Named points in the code where a test can interfere.

`trace("blobs.commit:before-rename")` does nothing in production. With `KNARR_TRACE=point=action`
(several separated by commas) the process does `action` when it comes by:

* `kill`: SIGKILL to itself, as a power cut or the OOM killer would;
* `stop`: SIGSTOP to itself, so that a test can look at the state in the middle;
* `enospc`: raise the error of a full disk.
"""

from __future__ import annotations

import os

_actions = dict(
    entry.rsplit("=", 1) for entry in os.environ.get("KNARR_TRACE", "").split(",") if "=" in entry
)


def trace(point: str) -> None:
    """Do what the environment asks for at `point`; nothing unless a test asked."""
    if _actions:
        _act(_actions.get(point))


def _act(action: str | None) -> None:
    if action is None:
        return
    import errno  # noqa: PLC0415 - only tests come here
    import signal  # noqa: PLC0415

    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
