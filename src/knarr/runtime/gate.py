"""What holds the program back until it is started, and hears why it could not run.

`open_gate` is the other side of both: it starts the program, and while it hears of it, gives the
listener of a seccomp filter to the agent that waits for it.

`Gate` is for a parent that stays: the supervisor, or `knarr-runtime run`. Both directions go over
the channel.

`DoorGate` is for a parent that exits and leaves the start to another process, as `create` and
`start` of the runtime command do. Its meeting point is a socket in the container's state directory:
while init waits, and only then, somebody listens at it; that is what makes a container "created",
whatever happened to the processes around it. Who starts the container connects, and then talks with
init over that connection as the parent would have over the channel. Who connects and hangs up only
wanted to know whether somebody waits.

The parent opens the door before it forks, and lets go of it after. A path may be longer than the
107 bytes that a socket's address has room for, and so is reached through a descriptor of its
directory.

Man: unix(7)
"""

from __future__ import annotations

import errno
import os
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, socket

from knarr.runtime import channel as talk
from knarr.runtime.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping
    from typing import Any, NoReturn

    from knarr.runtime.channel import Message
    from knarr.runtime.filtering.filters import Listener
else:
    import _signal

_DOOR = "start.sock"


class Gate:
    """A gate whose keeper is the parent."""

    def __init__(self, channel: Channel) -> None:
        """Wait on `channel`."""
        self.channel = channel

    def keep(self) -> list[int]:
        """Return the descriptors that must stay open until the program runs."""
        return [self.channel.fileno()]

    def move(self, lowest: int) -> None:
        """Give these descriptors numbers of at least `lowest`."""
        self.channel.move(lowest)

    def wait(self) -> None:
        """Say that all is ready, and return when the program may run."""
        self.channel.send(talk.READY)
        self.channel.wait_for(talk.START)

    def report(self, message: Message, descriptor: int = -1) -> None:
        """Tell whoever listens, the parent or who started the container, most often what failed."""
        self.channel.send(message, descriptor)


class DoorGate(Gate):
    """A gate that another process opens."""

    def __init__(self, channel: Channel, door: socket) -> None:
        """Listen at `door`, which `open_door` made."""
        super().__init__(channel)
        self._door = door

    def keep(self) -> list[int]:
        """Return the descriptors that must stay open until the program runs."""
        return [self.channel.fileno(), self._door.fileno()]

    def move(self, lowest: int) -> None:
        """Give these descriptors numbers of at least `lowest`."""
        self.channel.move(lowest)
        moved = talk.move_descriptor(self._door.detach(), lowest)
        self._door = socket(AF_UNIX, SOCK_SEQPACKET, 0, moved)

    def close(self) -> None:
        """Let go of both."""
        self.channel.close()
        self._door.close()

    def wait(self) -> None:
        """Say that all is ready, let the parent go, and return when somebody starts us."""
        end_on_signals()
        self.channel.send(talk.READY)
        self.channel.close()
        while True:
            descriptor, _ = _accept(self._door)
            self.channel = Channel(socket(AF_UNIX, SOCK_SEQPACKET, 0, descriptor))
            if self.channel.receive()[0] == talk.START:
                break
            self.channel.close()
        self._door.close()


def _accept(door: socket) -> tuple[int, object]:
    accepted: tuple[int, object] = door._accept()  # type: ignore[attr-defined]  # noqa: SLF001
    return accepted


def end_on_signals() -> None:
    """Let this process end when asked to, which process 1 of a namespace does not by itself."""
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, _end)


def _end(number: int, _: object) -> NoReturn:
    os._exit(128 + number)


def open_door(state_dir: str) -> socket:
    """Return what a `DoorGate` in `state_dir` listens at."""
    return _reach(state_dir, listen=True)


def _reach(state_dir: str, *, listen: bool) -> socket:
    """Return a socket that listens at the door of `state_dir`, or is connected with it."""
    kind = SOCK_SEQPACKET | SOCK_CLOEXEC
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    directory_fd = os.open(state_dir, flags)
    end = socket(AF_UNIX, kind if listen else kind | SOCK_NONBLOCK)
    try:
        address = f"/proc/self/fd/{directory_fd}/{_DOOR}"
        if listen:
            end.bind(address)
            end.listen(8)
        else:
            end.connect(address)
    except BaseException:
        end.close()
        raise
    finally:
        os.close(directory_fd)
    return end


def is_waiting(state_dir: str) -> bool:
    """Tell whether an init waits behind the gate."""
    try:
        _reach(state_dir, listen=False).close()
    except BlockingIOError:  # many others ask at this moment
        return True
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            raise
        return False
    return True


def knock(state_dir: str) -> Channel | None:
    """Return a channel to the init behind the gate, which starts at START; None if none waits."""
    try:
        end = _reach(state_dir, listen=False)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
            raise
        return None
    end.setblocking(True)  # noqa: FBT003 - the standard library's signature
    return Channel(end)


def open_gate(
    channel: Channel, pid: int, *, listener: Listener | None = None, state: Mapping[str, Any]
) -> None:
    """Let the program run whose init, the process `pid`, is behind `channel`; close the channel.

    With a `listener` the agent gets the descriptor for the filter's questions, with the container's
    `state`. It is connected with before anything runs; who cannot be told must not be started.

    Raises: CommandFailed, Failed
    """
    agent = None
    if listener is not None:
        from knarr.runtime.filtering import listeners  # noqa: PLC0415 - for few filters

        agent = listeners.connect(listener.path)
    channel.send(talk.START)
    message, taken_fd = channel.receive()
    if message[:1] == (talk.LISTENER,) and agent is not None and listener is not None:
        listeners.hand_over(agent, listener, (pid, int(message[1]), taken_fd), state)
        agent.close()
        message, _ = channel.receive()
    channel.close()
    if message:
        talk.raise_error(message)
