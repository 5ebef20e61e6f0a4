"""Starting the process of a supervisor.

Apart from `control`, and with hardly any import, so that a command can do it before anything else:
the interpreter that is started has as much to load as the command itself, and what it has to do
comes later. A supervisor that is never told what to do ends when its connection closes.

It is executed from behind `runtime.shield`: processes of a container that get hold of it, while it
forks what goes inside, cannot write to the interpreter.
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
    covered, program = _cover()
    pid = os.posix_spawn(program, command, environment, file_actions=actions)
    os.close(passed)
    if covered >= 0:
        os.close(covered)
    return ours, pid


def _cover() -> tuple[int, str]:
    """Return a descriptor of the interpreter behind the shield, and the path to execute it by.

    Who may not mount gets -1 and the interpreter as it is, and enters no container of others.
    """
    from knarr.runtime import shield  # noqa: PLC0415 - many who know this module start nothing

    try:
        covered = shield.open_interpreter()
    except PermissionError:
        return -1, sys.executable
    if covered <= CONNECTION:  # where the child has other things
        import fcntl  # noqa: PLC0415 - for callers with closed standard streams

        low, covered = covered, fcntl.fcntl(covered, fcntl.F_DUPFD_CLOEXEC, CONNECTION + 1)
        os.close(low)
    return covered, shield.executable_path(covered)
