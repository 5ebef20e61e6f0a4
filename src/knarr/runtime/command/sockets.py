"""What is handed to whoever called: terminals and processes as descriptors, process IDs in files.

--console-socket   gets the master of the terminal, with its name in the message
--pidfd-socket     gets the pidfd of the process
--pid-file         gets the process ID, all at once: who waits for the file never reads half
"""

from __future__ import annotations

import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET, socket

from knarr.errors import Failed, InvalidArgument
from knarr.linux import tty
from knarr.runtime.failures import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.command.arguments import Options


def check_console(options: Options, *, terminal: bool, detached: bool) -> None:
    """Refuse combinations in which nobody would hold the terminal's master.

    Raises: InvalidArgument
    """
    console = options.text("console-socket")
    if detached and terminal and not console:
        message = "cannot allocate tty if the runtime will detach without a console socket"
        raise InvalidArgument(message, hint="Give --console-socket, or set process.terminal false.")
    if console and not (detached and terminal):
        message = "cannot use a console socket if the runtime will not detach or allocate tty"
        raise InvalidArgument(message)


def hand_out(options: Options, pid: int, pidfd: int, master_fd: int) -> None:
    """Send descriptors where the options say, and write the process ID.

    Raises: Failed
    """
    console = options.text("console-socket")
    if console and master_fd >= 0:
        name = f"/dev/pts/{tty.number(master_fd)}"
        send_descriptor(console, master_fd, name)
        os.close(master_fd)
    if options.text("pidfd-socket"):
        send_descriptor(options.text("pidfd-socket"), pidfd, "pidfd")
    path = options.text("pid-file")
    if path:
        aside = f"{os.path.dirname(path) or '.'}/.{os.path.basename(path)}.{os.getpid()}"
        with open(aside, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.rename(aside, path)


def send_descriptor(path: str, descriptor: int, name: str) -> None:
    """Send `descriptor` to the socket at `path`, with `name` as the message.

    Raises: Failed
    """
    end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        end.connect(path)
        rights = (SOL_SOCKET, SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))
        end.sendmsg([name.encode()], [rights])
    except OSError as error:
        message = f"sending a descriptor to {path}: {reason(error)}"
        raise Failed(message) from error
    finally:
        end.close()


def warn(text: str) -> None:
    """Say something that stops nothing."""
    sys.stderr.write(f"knarr-runtime: {text}\n")
