"""The engine's clean-up in a process of its own, and the supervisor's own log.

The supervisor knows nothing of networks and records, and stays small. When nobody else cleans up
after an exit, it starts `engine.container.cleanup` with the root, the run directory and the ID.

`supervisor.log` beside task.json has what nobody could be told: the words of a clean-up that
failed, and remarks of the supervisor. It does not exist as long as there are none.
"""

from __future__ import annotations

import os
import sys
import time

from knarr.supervise.jsonfile import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.messages import Order

PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    "from knarr.engine.container.cleanup import main; main(sys.argv[1:])"
)


def log_path(order: Order) -> str:
    """Return where remarks are kept."""
    return f"{order.bundle_dir}/supervisor.log"


def remark(order: Order, text: str) -> None:
    """Note something that nobody can be told, and that stops nothing."""
    with open(log_path(order), "ab", buffering=0) as file:
        file.write(f"{rfc3339(time.time_ns())} {text}\n".encode())


def start(order: Order) -> int:
    """Start the clean-up and return its process ID.

    Also when the container's directory is gone: who took it aside may have been killed since.
    """
    arguments = ["-I", "-S", "-c", _PROGRAM, PACKAGES, order.root, order.run, order.id]
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    log = log_path(order) if os.path.isdir(order.bundle_dir) else os.devnull
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 2, log, flags, 0o600)],
    )


def finish(order: Order) -> bool:
    """Remove the log if the clean-up said nothing; return whether the container is removed."""
    try:
        if not os.stat(log_path(order)).st_size:
            os.unlink(log_path(order))
    except FileNotFoundError:
        pass
    return not os.path.exists(order.bundle_dir)
