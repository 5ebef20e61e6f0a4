"""What a container's process has for stdin, stdout and stderr, and the supervisor's ends of it.

Without a terminal these are FIFOs in the container's run directory, so that a later supervisor can
open them again by name:

* stdout and stderr: the container has them open for reading and writing. Therefore nobody gets
  SIGPIPE while there is no supervisor: what is written waits in the pipe, up to its 256 KiB, and
  then the writer waits. The supervisor has them open for both, too: the end of the output is the
  end of the process, not that of the pipe.
* stdin, if it is to stay open: the container reads, the supervisor has the one writing end, and a
  `keeper` another, since an end without writers is an end of file. The name is removed when the
  input ends: a later supervisor will not open it again.
* stdin otherwise: /dev/null.

The runtime gives them to the container's user, who may want to open /dev/stdout.

With a terminal the supervisor has its master, and the keeper a copy.
"""

from __future__ import annotations

import fcntl
import os

from knarr.supervise.messages import STDERR, STDOUT
from knarr.util.files import delete_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

PIPE_SIZE = 256 << 10  # measured: 64 KiB is 15 % slower, more is not faster
NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class Ends:
    """Descriptors of one run: `inner` for the container, `outputs` and `input` for us."""

    __slots__ = ("inner", "input", "outputs")

    def __init__(self) -> None:
        self.inner: list[int] = []
        self.outputs: dict[int, int] = {}
        self.input = -1

    def close(self) -> None:
        """Close our ends, too."""
        self.close_inner()
        for descriptor in (*self.outputs.values(), self.input):
            if descriptor >= 0:
                os.close(descriptor)

    def close_inner(self) -> None:
        """Close the container's ends, of which it has copies by now."""
        while self.inner:
            os.close(self.inner.pop())


def open_fifos(directory: str, *, stdin: bool) -> Ends:
    """Make the FIFOs in `directory`, if they are not there, and open both ends."""
    ends = Ends()
    if stdin:
        path = _make(f"{directory}/stdin")
        # The reading end comes first: opening the other one without it would wait, or fail.
        ends.inner.append(_open_blocking(path, os.O_RDONLY))
        ends.input = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        _enlarge(ends.input)
    else:
        ends.inner.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    for stream, name in NAMES.items():
        path = _make(f"{directory}/{name}")
        ends.outputs[stream] = _open_output(path)
        ends.inner.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    return ends


def give_away(
    descriptors: Sequence[int], process: Mapping[str, Any], spec: Mapping[str, Any]
) -> None:
    """Let pipes belong to the user of a process whose users are others than the host's.

    What is in the container cannot do that: their owner is nobody to it. Of the three standard
    streams among `descriptors` the first may be anything.
    """
    user = process["user"]
    owner = []
    for key, number in (("uidMappings", user["uid"]), ("gidMappings", user["gid"])):
        owner += [
            one["hostID"] + number - one["containerID"]
            for one in spec["linux"].get(key, ())
            if one["containerID"] <= number < one["containerID"] + one["size"]
        ]
    if len(owner) == 2:
        for descriptor in descriptors[-len(NAMES) :]:
            os.fchown(descriptor, *owner)


def reopen_fifos(directory: str) -> Ends:
    """Open our ends of the FIFOs that a running container has open."""
    ends = Ends()
    for stream, name in NAMES.items():
        ends.outputs[stream] = _open_output(f"{directory}/{name}")
    try:
        ends.input = os.open(f"{directory}/stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # never there, ended, or nobody reads
        ends.input = -1
    return ends


def end_input(directory: str) -> None:
    """Remember that the input has ended."""
    delete_file(f"{directory}/stdin")


def _make(path: str) -> str:
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    return path


def _open_output(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    _enlarge(descriptor)
    return descriptor


def _enlarge(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    except PermissionError:  # user without root, beyond fs.pipe-user-pages-soft
        pass


def _open_blocking(path: str, flags: int) -> int:
    """Open a FIFO whose other end is not open yet, without waiting, for who expects to wait."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return descriptor
