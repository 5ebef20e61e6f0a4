"""What holds the program back until it is started, and hears why it could not run.

`Gate` is for a parent that stays: the supervisor, or `knarr-runtime run`. Both directions go over
the channel.

`FifoGate` is for a parent that exits and leaves the start to another process, as `create` and
`start` of the runtime command do. Its meeting point is two FIFOs in the container's state
directory:

    start.fifo    init reads it; who starts the container writes a byte. While init waits, and only
                  then, opening it for writing without blocking succeeds: that is what makes a
                  container "created", whatever happened to the processes around it
    result.fifo   init holds it open for writing until exec closes it; who starts the container
                  reads what went wrong, or the end of the file

Init opens both by name before it leaves the host's files behind.
"""

from __future__ import annotations

import errno
import os

from knarr.runtime import channel as talk
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.channel import Channel, Message

_START = "start.fifo"
_RESULT = "result.fifo"


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

    def report(self, message: Message) -> None:
        """Tell whoever listens what went wrong."""
        self.channel.send(message)


class FifoGate(Gate):
    """A gate that another process opens."""

    def __init__(self, channel: Channel, state_dir: str) -> None:
        """Open the FIFOs in `state_dir`."""
        super().__init__(channel)
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        # For reading and writing: opening then waits for nobody, and reading never sees an end.
        self._start_fd = os.open(f"{state_dir}/{_START}", os.O_RDWR | flags)
        both = os.open(f"{state_dir}/{_RESULT}", os.O_RDWR | flags)
        self._result_fd = os.open(f"{state_dir}/{_RESULT}", os.O_WRONLY | flags)
        os.close(both)
        self._started = False

    def keep(self) -> list[int]:
        """Return the descriptors that must stay open until the program runs."""
        return [self.channel.fileno(), self._start_fd, self._result_fd]

    def move(self, lowest: int) -> None:
        """Give these descriptors numbers of at least `lowest`."""
        self.channel.move(lowest)
        self._start_fd = talk.move_descriptor(self._start_fd, lowest)
        self._result_fd = talk.move_descriptor(self._result_fd, lowest)

    def wait(self) -> None:
        """Say that all is ready, let the parent go, and return when somebody starts us."""
        self.channel.send(talk.READY)
        self.channel.close()
        os.read(self._start_fd, 1)
        os.close(self._start_fd)
        self._started = True

    def report(self, message: Message) -> None:
        """Tell the parent, or after the start who started us, what went wrong."""
        if self._started:
            os.write(self._result_fd, jsontext.dumps(message).encode())
        else:
            self.channel.send(message)


def make_fifos(state_dir: str) -> None:
    """Make what a `FifoGate` opens."""
    for name in (_START, _RESULT):
        os.mkfifo(f"{state_dir}/{name}", 0o600)


def is_waiting(state_dir: str) -> bool:
    """Tell whether an init waits behind the gate."""
    descriptor = _open_start(state_dir)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def _open_start(state_dir: str) -> int:
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(f"{state_dir}/{_START}", flags)
    except FileNotFoundError:
        return -1
    except OSError as error:
        if error.errno != errno.ENXIO:  # nobody reads
            raise
        return -1


def open_gate(state_dir: str) -> Message | None:
    """Let the init behind the gate run its program; None if no init waits.

    The message returned is empty, or says what kept the program from running.
    """
    start_fd = _open_start(state_dir)
    if start_fd < 0:
        return None
    # Without blocking, since the writer is there already; reading then waits.
    result_fd = os.open(f"{state_dir}/{_RESULT}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(result_fd, True)
    try:
        os.write(start_fd, b"1")
        data = b""
        while part := os.read(result_fd, 65536):
            data += part
    finally:
        os.close(start_fd)
        os.close(result_fd)
    return tuple(jsontext.loads(data)) if data else ()
