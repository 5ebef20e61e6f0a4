"""What a parent and its container's init say to each other before the program runs.

A pair of sockets that keep message boundaries (SOCK_SEQPACKET). Messages are tuples of strings,
named here; the first string says of what kind. Every talk goes

    init                          parent
      (waits)            <- MAPPED      the user namespace has its mappings; only with new ones
                         <- PLACED      the cgroups are there to be entered
      MAP_MOUNT + number, fd  ->        a mount to be mapped, and its place in the plan
                         <- MOUNT_MAPPED
      OPEN_MOUNT + number  ->           a mount that init may not go to, wanted
                         <- MOUNT_OPENED + fd
      MOUNTED            ->             nothing is pivoted yet
                         <- GO          the hooks of the host's side have run
      TERMINAL + fd      ->             the master of the container's terminal
      READY              ->             the program was found; nothing is left but to run it
                         <- START
      LISTENER + number, fd  ->         what the seccomp filter's listener will be; see `listeners`
      (end of file)      ->             the program runs: exec(2) closed the socket

At any point init may send NOTE, a level and a text for the log, or send ERROR and exit. If the
parent is gone, init reads end of file and exits.

An error crosses as its kind, a number, the message and a hint, and is raised on the parent's side
as if it had happened there.
"""

from __future__ import annotations

import fcntl
import os
from _socket import (
    AF_UNIX,
    CMSG_LEN,
    MSG_CMSG_CLOEXEC,
    MSG_NOSIGNAL,
    SCM_RIGHTS,
    SOCK_CLOEXEC,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)

from knarr.errors import (
    CommandFailed,
    Failed,
    InvalidArgument,
    KnarrError,
    NotFound,
    PermissionDenied,
    Unsupported,
)
from knarr.runtime.failures import from_errno
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    Message = tuple[str, ...]
    Note = Callable[[str, str], None]

MAPPED = ("mapped",)
PLACED = ("placed",)
MAP_MOUNT = "map mount"
MOUNT_MAPPED = ("mount mapped",)
OPEN_MOUNT = "open mount"
MOUNT_OPENED = ("mount opened",)
MOUNTED = ("mounted",)
GO = ("go",)
TERMINAL = ("terminal",)
LISTENER = "listener"
READY = ("ready",)
START = ("start",)
ERROR = "error"
NOTE = "note"

_LIMIT = 65536
_CLASSES = {
    kind.__name__: kind
    for kind in (Failed, InvalidArgument, NotFound, PermissionDenied, Unsupported)
}


def ignore(_: str, __: str) -> None:
    """Be the `Note` of who keeps no log: takes a level (debug, warning) and a text."""


class Channel:
    """One end of the talk."""

    __slots__ = ("_socket",)

    def __init__(self, end: socket) -> None:
        """Take over the socket `end`."""
        self._socket = end

    def fileno(self) -> int:
        """Return the descriptor, to wait for a message with poll(2)."""
        return self._socket.fileno()

    def send(self, message: Message, descriptor: int = -1) -> None:
        """Send `message`, and a copy of `descriptor` with it if it is one.

        If the other side has gone, nothing is sent: why it went is the next thing received.
        """
        rights = []
        if descriptor >= 0:
            rights.append((SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, "little")))
        try:
            self._socket.sendmsg([jsontext.dumps(message).encode()], rights, MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def receive(self) -> tuple[Message, int]:
        """Return the next message and the descriptor that came with it, or -1.

        At end of file (the other side exited, or executed a program) the message is empty.
        """
        try:
            data, rights, _, _ = self._socket.recvmsg(_LIMIT, CMSG_LEN(4), MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # it left something unread; its last words come after that
            data, rights, _, _ = self._socket.recvmsg(_LIMIT, CMSG_LEN(4), MSG_CMSG_CLOEXEC)
        descriptor = int.from_bytes(rights[0][2][:4], "little") if rights else -1
        return tuple(jsontext.loads(data)) if data else (), descriptor

    def receive_noting(self, note: Note) -> tuple[Message, int]:
        """Return what `receive` does, once all that was sent for the log is noted."""
        while True:
            message, descriptor = self.receive()
            if message[:1] != (NOTE,):
                return message, descriptor
            note(message[1], message[2])

    def wait_for(self, message: Message) -> None:
        """Wait for `message`; the process ends if the other side is gone or says anything else."""
        if self.receive()[0] != message:
            os._exit(1)

    def move(self, lowest: int) -> None:
        """Give the socket a descriptor of at least `lowest`."""
        moved = move_descriptor(self._socket.detach(), lowest)
        self._socket = socket(AF_UNIX, SOCK_SEQPACKET, 0, moved)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def move_descriptor(descriptor: int, lowest: int) -> int:
    """Return a close-on-exec copy of `descriptor` of at least `lowest`; the original is closed."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(descriptor)
    return moved


def open_channel() -> tuple[Channel, Channel]:
    """Return both ends of a new channel."""
    one, other = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC)
    return Channel(one), Channel(other)


def describe(error: BaseException, doing: str) -> Message:
    """Return `error`, which happened while `doing` something, as the message that carries it."""
    if isinstance(error, CommandFailed):
        return (ERROR, "CommandFailed", str(error.status), error.message, error.hint)
    if isinstance(error, KnarrError):
        return (ERROR, type(error).__name__, "0", error.message, error.hint)
    if isinstance(error, OSError):
        call = "; ".join(getattr(error, "__notes__", ()))
        reason = (error.strerror or str(error)).lower()
        return (ERROR, "OSError", str(error.errno), f"{doing}: {reason}", call)
    return (ERROR, "bug", "0", f"{doing}: {type(error).__name__}: {error}", _where(error))


def _where(error: BaseException) -> str:
    """Return the innermost place of the code that `error` passed, without importing anything."""
    place = error.__traceback__
    lines = []
    while place:
        code = place.tb_frame.f_code
        lines.append(f"{code.co_filename}:{place.tb_lineno} in {code.co_name}")
        place = place.tb_next
    return "\n".join(lines)


def raise_error(message: Message) -> NoReturn:
    """Raise the error that `message` carries."""
    _, kind, number, text, hint = message
    if kind == "CommandFailed":
        raise CommandFailed(text, status=int(number), hint=hint)
    if kind == "OSError":
        raise from_errno(int(number), text, call=hint)
    if kind == "bug":
        failure = RuntimeError(text)
        failure.add_note(hint)
        raise failure
    raise _CLASSES.get(kind, Failed)(text, hint=hint)
