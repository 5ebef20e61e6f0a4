"""The event loop: one epoll, a few timers, and the ends of children. Plain calls, no coroutines.

A handler is called with the events of its descriptor. Handlers may forget descriptors, their own
and others, at any time; events already fetched for a forgotten descriptor are dropped. So are those
for a descriptor whose number was given out again meanwhile: the hang-up of a client that has gone
is not that of the one that has just come.

An idle supervisor sleeps in epoll_wait(2) without a timeout.

Signals: SIGCHLD wakes the loop through a pipe. SIGTERM, SIGINT and SIGHUP are received and
forgotten: whoever means the container asks for that, and at a shutdown the container's processes
get a signal of their own. They are handled rather than ignored because a child inherits what is
ignored, but not what is handled. SIGPIPE likewise, which the interpreter starts with ignored.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal  # `signal` is this and an enum for each constant, at 4 ms

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANG_UP = select.EPOLLHUP | select.EPOLLERR

_FORGOTTEN = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE)


class Timer:
    """Something to be done later, unless it is cancelled."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not do it; harmless afterwards."""
        self.callback = None


class Loop:
    """Waits for everything at once."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._fresh: set[int] = set()  # watched since the events at hand were fetched
        self._timers: list[Timer] = []
        self._going = True
        self.on_children: Callable[[], None] = _nothing

    def watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` for `events` of `descriptor`; with 0 for its end alone."""
        self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler
        self._fresh.add(descriptor)

    def change(self, descriptor: int, events: int) -> None:
        """Wait for other events from now on."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop waiting; to be called before the descriptor is closed."""
        if self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, after `seconds`."""
        timer = Timer(time.monotonic() + seconds, callback)
        self._timers.append(timer)
        return timer

    def watch_children(self, handler: Callable[[], None]) -> None:
        """Call `handler` whenever children may have ended, and take all signals in hand."""
        self.on_children = handler
        woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (_signal.SIGCHLD, *_FORGOTTEN):
            _signal.signal(number, _handled)
        self.watch(woken, READ, lambda _: self._woken(woken))

    def _woken(self, descriptor: int) -> None:
        os.read(descriptor, 4096)
        self.on_children()

    def stop(self) -> None:
        """Return from `run` after the handler under way."""
        self._going = False

    def run(self) -> None:
        """Wait and call handlers until `stop`."""
        while self._going:
            arrived = self._epoll.poll(self._timeout())
            self._fresh.clear()
            for descriptor, events in arrived:
                handler = self._handlers.get(descriptor)
                if handler is not None and descriptor not in self._fresh:
                    handler(events)
            if self._timers:
                self._ring()

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(timer.due for timer in self._timers) - time.monotonic())

    def _ring(self) -> None:
        now = time.monotonic()
        due = [timer for timer in self._timers if timer.due <= now]
        self._timers = [timer for timer in self._timers if timer.due > now and timer.callback]
        for timer in due:
            if timer.callback:
                timer.callback()


def _handled(number: int, frame: object) -> None:
    """Do nothing: the wake-up descriptor has the news."""


def _nothing() -> None:
    """Stand for a handler that nobody set."""
