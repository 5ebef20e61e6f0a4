"""The person's terminal, lent to a process in a container: raw mode, size, signals, detach keys.

    outcome = interact(client, connect, Terms(tty=True, stdin=True))

While a container's terminal is shown in ours, ours is raw: every key goes through, the signals of
the keyboard among them. Its size is followed. Without a terminal, signals that this process gets
are passed on to the container's, `sig_proxy` allowing.

Signal handlers run at any moment, also while output waits for a slow reader, so they talk to the
supervisor over a connection of their own.
"""

from __future__ import annotations

import os
import sys

from knarr.engine.attach import Outcome, Pump
from knarr.errors import KnarrError
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Self

    from knarr.supervise.control import Client
else:
    import _signal

# Those that mean this process, not the container's.
NOT_FORWARDED = (
    _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGWINCH, _signal.SIGURG, _signal.SIGTSTP,
    _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGCONT, _signal.SIGKILL, _signal.SIGSTOP,
    _signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP,
    _signal.SIGABRT,
)  # fmt: skip
# What ends this process, after it has given the terminal back.
_DEADLY = (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT)


def window() -> tuple[int, int] | None:
    """Return (rows, columns) of our terminal, None without one."""
    for descriptor in (1, 0, 2):
        try:
            size = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if size.lines and size.columns:
            return size.lines, size.columns
    return None


class RawTerminal:
    """A terminal that passes every key on as it is, until it is left.

    Man: termios(3), "Raw mode"
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        import termios as t  # noqa: PLC0415 - for terminals alone

        before = t.tcgetattr(self._descriptor)
        mode = [*before[:6], [*before[6]]]
        mode[0] &= ~(
            t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON
        )
        mode[1] &= ~t.OPOST
        mode[2] = mode[2] & ~(t.CSIZE | t.PARENB) | t.CS8
        mode[3] &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
        mode[6][t.VMIN], mode[6][t.VTIME] = 1, 0
        t.tcsetattr(self._descriptor, t.TCSADRAIN, mode)
        self._before = before
        return self

    def __exit__(self, *_: object) -> None:
        import termios as t  # noqa: PLC0415 - as above

        if self._before is not None:
            try:
                t.tcsetattr(self._descriptor, t.TCSADRAIN, self._before)
            except t.error:  # hung up meanwhile
                pass


class Handlers:
    """Signal handlers that are put back as they were."""

    def __init__(self) -> None:
        self._before: list[tuple[int, Any]] = []

    def set(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        """Call `handler` for signal `number`."""
        self._before.append((number, _signal.signal(number, handler)))

    def restore(self) -> None:
        """Put all back."""
        while self._before:
            number, handler = self._before.pop()
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)


class Interaction:
    """What happens beside the pump: sizes and signals, over a connection of their own."""

    def __init__(self, connect: Callable[[], Client], exec_id: str | None) -> None:
        self._connect = connect
        self._exec_id = exec_id
        self._side: Client | None = None

    def resize(self, *_: object) -> None:
        """Give the container's terminal the size of ours."""
        size = window()
        if size:
            self._ask(lambda side: side.resize(*size, self._exec_id))

    def redraw(self) -> None:
        """Change the size and back: programs draw anew for who has just come.

        Docker: "docker attach" does so
        """
        size = window()
        if size:
            rows, columns = size
            self._ask(lambda side: side.resize(rows + 1, columns + 1, self._exec_id))
            self.resize()

    def forward(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on."""
        self._ask(lambda side: side.signal(number, self._exec_id))

    def _ask(self, request: Callable[[Client], None]) -> None:
        try:
            if self._side is None:
                self._side = self._connect()
            request(self._side)
        except (KnarrError, OSError):  # it has ended, as the pump is about to find out
            self.close()

    def close(self) -> None:
        if self._side is not None:
            self._side.close()
            self._side = None


class Terms(Value):
    """How to interact.

    `tty` says that the other side has a terminal, `stdin` that input is to be given; `exec_id`
    names the exec if it is one; `redraw` is for who comes to a terminal that is in use; `unsent` is
    what an earlier interaction could not send. Signals are forwarded without a terminal alone: with
    one, its keys are.
    """

    tty: bool
    stdin: bool
    detach_keys: str = ""
    sig_proxy: bool = False
    exec_id: str | None = None
    redraw: bool = False
    unsent: bytes = b""


def interact(client: Client, connect: Callable[[], Client], terms: Terms) -> Outcome:
    """Join our streams to what `client` is attached to, until it ends or the user leaves.

    `connect` makes a further connection to the same supervisor.

    Raises: InvalidArgument (detach keys)
    """
    tty = terms.tty
    keys = _detach_keys(terms) if tty else b""
    stdin = 0 if terms.stdin else -1
    pump = Pump(client, stdin=stdin, detach_keys=keys, unsent=terms.unsent, on_event=_on_event)
    side = Interaction(connect, terms.exec_id)
    handlers = Handlers()
    raw = RawTerminal(0) if tty and terms.stdin and os.isatty(0) else None
    try:
        if tty:
            handlers.set(_signal.SIGWINCH, side.resize)
            side.redraw() if terms.redraw else side.resize()
        elif terms.sig_proxy:
            for number in _signal.valid_signals() - set(NOT_FORWARDED):
                handlers.set(number, side.forward)
        if raw is None:
            return pump.run()
        for number in _DEADLY:
            handlers.set(number, _end)
        with raw:
            return pump.run()
    finally:
        handlers.restore()
        side.close()


def _detach_keys(terms: Terms) -> bytes:
    """Return what is typed to leave. Raises: InvalidArgument"""
    from knarr.engine.options.detachkeys import DEFAULT_DETACH_KEYS, parse_keys  # noqa: PLC0415

    return parse_keys(terms.detach_keys or DEFAULT_DETACH_KEYS)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _on_event(event: dict[str, Any]) -> None:
    if event.get("event") == "skipped":
        sys.stderr.write(
            f"\r\nknarr: {event['bytes']} bytes of output are not shown: they were read too slowly."
            " 'knarr logs' has them.\r\n"
        )
        sys.stderr.flush()
