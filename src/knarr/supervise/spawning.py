"""Starting the process of a supervisor.

Apart from `control`, and with hardly any import, so that a command can do it before anything else:
the interpreter that is started has as much to load as the command itself, and what it has to do
comes later. A supervisor that is never told what to do ends when its connection closes.
"""

from __future__ import annotations

import _socket
import os
import sys

CONNECTION = 3  # its descriptor in the supervisor
_MAIN = f"{os.path.dirname(__file__)}/__main__.py"


def spawn(*, child: bool = False) -> tuple[_socket.socket, int]:
    """Start a supervisor; return our end of its connection, and the process to be waited for.

    As a `child` it is that process itself, which is for commands that end soon: else it is nobody's
    child, and the process ends at once.
    """
    ours, theirs = _socket.socketpair()
    passed = theirs.detach()
    if passed == CONNECTION:
        # dup2(2) onto itself would leave it to be closed by the exec.
        passed = os.dup(CONNECTION)
        os.close(CONNECTION)
    null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
    actions = [null, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    actions.append((os.POSIX_SPAWN_DUP2, passed, CONNECTION))
    environment = {name: os.environ[name] for name in ("PATH", "KNARR_TRACE") if name in os.environ}
    command = [sys.executable, "-I", "-S", _MAIN, *(["child"] if child else [])]
    pid = os.posix_spawn(command[0], command, environment, file_actions=actions)
    os.close(passed)
    return ours, pid
