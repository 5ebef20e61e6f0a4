"""What crosses between a parent and its init: messages, descriptors, errors, last words."""

from __future__ import annotations

import errno
import os

import pytest

from knarr.errors import CommandFailed, Failed, InvalidArgument, NotFound, PermissionDenied
from knarr.linux import mount
from knarr.runtime import channel


def test_messages_and_descriptors_cross() -> None:
    ours, theirs = channel.open_channel()
    reading, writing = os.pipe()
    theirs.send(channel.TERMINAL, writing)
    theirs.send(channel.READY)
    message, descriptor = ours.receive()
    assert message == channel.TERMINAL
    os.write(descriptor, b"x")
    assert os.read(reading, 1) == b"x"
    assert not os.get_inheritable(descriptor)
    assert ours.receive() == (channel.READY, -1)
    theirs.close()
    assert ours.receive() == ((), -1)
    ours.close()
    for each in (reading, writing, descriptor):
        os.close(each)


def test_last_words_arrive_though_something_was_left_unread() -> None:
    ours, theirs = channel.open_channel()
    ours.send(channel.PLACED)
    theirs.send(("error", "Failed", "0", "words", ""))
    theirs.close()
    ours.send(channel.GO)
    assert ours.receive()[0][3] == "words"
    assert ours.receive() == ((), -1)
    ours.close()


def test_channel_moves() -> None:
    ours, theirs = channel.open_channel()
    theirs.move(50)
    assert theirs.fileno() >= 50
    theirs.send(channel.READY)
    assert ours.receive()[0] == channel.READY
    ours.close()
    theirs.close()


def crossed(error: BaseException) -> BaseException:
    with pytest.raises(type(error) if not isinstance(error, OSError) else Exception) as caught:
        channel.raise_error(channel.describe(error, "doing it"))
    return caught.value


def test_errors_of_ours_cross_as_they_are() -> None:
    error = crossed(CommandFailed("exec: no", status=127, hint="why"))
    assert isinstance(error, CommandFailed)
    assert (error.message, error.status, error.hint) == ("exec: no", 127, "why")
    assert isinstance(crossed(InvalidArgument("wrong")), InvalidArgument)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, PermissionDenied),
        (errno.ENOENT, NotFound),
        (errno.EINVAL, InvalidArgument),
        (errno.EIO, Failed),
    ],
)
def test_errnos_get_their_meaning(number: int, kind: type[Exception]) -> None:
    error = crossed(OSError(number, os.strerror(number)))
    assert isinstance(error, kind)
    assert str(error) == f"doing it: {os.strerror(number).lower()}"


def test_errors_of_the_kernel_tell_the_call() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        mount.fsmount(-1)
    error = crossed(caught.value)
    assert any(note.startswith("fsmount(-1") for note in error.__notes__)


def test_bugs_tell_where() -> None:
    error = channel.describe(ZeroDivisionError("x"), "counting")
    assert error[3] == "counting: ZeroDivisionError: x"
    with pytest.raises(RuntimeError, match="counting: ZeroDivisionError"):
        channel.raise_error(error)
