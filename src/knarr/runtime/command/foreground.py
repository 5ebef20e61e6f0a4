"""A process in the foreground: `run` and `exec` without --detach wait for it, and stand in for it.

Signals that reach this process are passed on. A terminal of the process is joined to ours, which
is put into raw mode meanwhile, and follows its size. Orphans of the container come to us (we are a
subreaper), and are reaped.

One loop waits for all of that: for signals by the descriptor that the interpreter's C handler
writes their numbers to, for the process by its pidfd.
"""

from __future__ import annotations

import errno
import os
import select

from knarr.linux import process, tty
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

_NOT_PASSED_ON = (_signal.SIGCHLD, _signal.SIGURG, _signal.SIGPIPE, _signal.SIGWINCH)


class Foreground:
    """Waits for one process."""

    def __init__(self, *, subreaper: bool) -> None:
        """Begin to catch signals; before the process exists, so that none is lost."""
        if subreaper:
            process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in sorted(_signal.valid_signals()):
            if number not in (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGPIPE) and number < 32:
                _signal.signal(number, _nothing)

    def wait(self, pid: int, pidfd: int, master_fd: int = -1) -> int:
        """Return the exit status of the process: 128 + n if signal n killed it."""
        terminal = Terminal(master_fd) if master_fd >= 0 else None
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        if terminal:
            terminal.resize()
            terminal.register(poll)
        try:
            while True:
                for descriptor, _ in poll.poll():
                    if descriptor == self._woken:
                        self._pass_on(pid, terminal)
                    elif descriptor == pidfd:
                        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
                        assert ended is not None
                        if terminal:
                            terminal.drain()
                        killed = ended.si_code != os.CLD_EXITED
                        return ended.si_status + (128 if killed else 0)
                    elif terminal:
                        terminal.copy(descriptor, poll)
        finally:
            if terminal:
                terminal.restore()

    def _pass_on(self, pid: int, terminal: Terminal | None) -> None:
        for number in os.read(self._woken, 512):
            if number == _signal.SIGCHLD:
                self._reap(pid)
            elif number == _signal.SIGWINCH and terminal:
                terminal.resize()
            elif number not in _NOT_PASSED_ON:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue

    @staticmethod
    def _reap(pid: int) -> None:
        """Reap what is not the process itself."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid == pid:
                return
            os.waitid(os.P_PID, ended.si_pid, os.WEXITED)


def _nothing(*_: object) -> None:
    """Handle a signal: its number is in the pipe."""


class Terminal:
    """Our terminal, joined to the process's.

    Ours goes on to turn line feeds into line ends, and the process's was told not to before it was
    started: what it writes thus comes out of a pipe as it was written. (Docker attaches by itself
    and does neither.)
    """

    def __init__(self, master_fd: int) -> None:
        """Join `master_fd` to our stdin and stdout; raw mode if stdin is a terminal."""
        self._master = master_fd
        self._before: list[object] | None = None
        if os.isatty(0):
            import termios  # noqa: PLC0415 - only with a terminal

            self._before = termios.tcgetattr(0)
            raw = termios.tcgetattr(0)
            raw[0] &= ~(
                termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON
            )
            raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
            raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
            termios.tcsetattr(0, termios.TCSAFLUSH, raw)

    def restore(self) -> None:
        """Put our terminal back as it was."""
        if self._before is not None:
            import termios  # noqa: PLC0415 - only with a terminal

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def register(self, poll: select.poll) -> None:
        """Wait for input from both sides."""
        poll.register(0, select.POLLIN)
        poll.register(self._master, select.POLLIN)

    def resize(self) -> None:
        """Give the process's terminal the size of ours."""
        try:
            rows, columns = tty.size(0)
        except OSError:
            return
        tty.set_size(self._master, rows=rows, columns=columns)

    def copy(self, descriptor: int, poll: select.poll) -> None:
        """Copy what came from one side to the other."""
        source, target = (0, self._master) if descriptor == 0 else (self._master, 1)
        data = _read(source)
        if not data:
            poll.unregister(source)
            if source == 0:
                write_all(self._master, b"\x04")
            return
        write_all(target, data)

    def drain(self) -> None:
        """Copy what the process wrote before its end."""
        os.set_blocking(self._master, False)
        while data := _read(self._master):
            write_all(1, data)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError as error:
        if error.errno in (errno.EIO, errno.EAGAIN):  # nobody has the terminal open; nothing there
            return b""
        raise
