"""`--on-error=shell`: a shell in what a failed step has left, before the build is taken back.

The shell has the step's files, mounts, environment, directory, user and network. On a terminal it
gets one of its own, else our standard streams: then a script can say what to look at. Whatever ends
it, the build fails as it would have; what the shell changed goes with the step.
"""

from __future__ import annotations

import os
import sys
from errno import EIO
from signal import SIGWINCH

from knarr.errors import CommandFailed, InvalidArgument
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.build.worker import Job
    from knarr.runtime.create import Init
    from knarr.ui.progress import Display

SHELL = "shell"
_PIECE = 1 << 16
_END = b"\x04"


def parse_on_error(text: str) -> None:
    """Refuse what is not the one thing that can be done. Raises: InvalidArgument"""
    if text != SHELL:
        message = f"invalid value for --on-error: {text}"
        raise InvalidArgument(message, hint=f"It is {SHELL}.")


def shell_on(display: Display) -> Callable[[Job, CommandFailed], None]:
    """Return what opens a shell when a step fails; `display` makes room for it."""

    def examine(job: Job, error: CommandFailed) -> None:
        from knarr.engine.build.run import RunJob  # noqa: PLC0415 - after a failure

        if not isinstance(job, RunJob):  # the program of a fetch
            return
        display.make_room()
        terminal = os.isatty(0) and os.isatty(1)
        _say(f"{error}\n{job.shell} in the step's file system; leave it to end the build")
        try:
            init = job.enter(job.shell, terminal=terminal)
        except CommandFailed as failure:
            _say(f"no shell can be opened: {failure}")
            return
        try:
            _stay(init)
        finally:
            if init.master_fd >= 0:
                os.close(init.master_fd)
        job.leave()

    return examine


def _say(text: str) -> None:
    sys.stderr.write(f"knarr: {text}\n")
    sys.stderr.flush()


def _stay(init: Init) -> None:
    """Wait for the end of the shell, its terminal joined to ours if it has one."""
    if init.master_fd >= 0:
        from knarr.cli.terminal import Handlers, RawTerminal  # noqa: PLC0415 - for terminals alone

        handlers = Handlers()
        try:
            handlers.set(SIGWINCH, lambda *_: _resize(init.master_fd))
            _resize(init.master_fd)
            with RawTerminal(0):
                _join(init)
        finally:
            handlers.restore()
    os.waitid(os.P_PIDFD, init.pidfd, os.WEXITED)


def _resize(master_fd: int) -> None:
    """Give the shell's terminal the size of ours."""
    from knarr.cli.terminal import window  # noqa: PLC0415 - for terminals alone
    from knarr.linux.tty import set_size  # noqa: PLC0415 - as above

    size = window()
    if size:
        set_size(master_fd, rows=size[0], columns=size[1])


def _join(init: Init) -> None:
    """Pass on what is typed and what is shown, until the shell has ended and all was shown."""
    import select  # noqa: PLC0415 - for terminals alone

    poll = select.poll()
    for descriptor in (0, init.master_fd, init.pidfd):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if init.master_fd in ready:
            data = _read(init.master_fd)
            write_all(1, data)
            if data:
                continue
            poll.unregister(init.master_fd)  # nobody has it open any more
        elif init.pidfd in ready:
            return
        elif 0 in ready:
            data = _read(0)
            write_all(init.master_fd, data or _END)
            if not data:
                poll.unregister(0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except OSError as error:
        if error.errno == EIO:  # how the end of a terminal is told
            return b""
        raise
