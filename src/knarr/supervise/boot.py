"""The beginning and the end of a supervisor's process."""

from __future__ import annotations

import _socket
import gc
import os
import sys

from knarr.linux import process
from knarr.runtime import shield
from knarr.supervise.frames import HEADER_SIZE
from knarr.supervise.loop import Loop
from knarr.supervise.messages import Order
from knarr.supervise.supervisor import Supervisor

ORDERING = 3
_PIECE = 64 << 10
_RIGHTS = 256 * 4


def main() -> None:
    """Be the supervisor that the order on descriptor 3 asks for."""
    order = receive_order()
    if order is None:
        return
    try:
        process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)
        shield.name_process("knarr-supervise")
        loop = Loop()
        supervisor = Supervisor(loop, order)
        gc.freeze()  # what is here stays, and a forked keeper shares it
        gc.enable()
        supervisor.begin(ORDERING)
        loop.run()
    except BaseException:  # noqa: BLE001 - the top of this process
        # A bug. The container goes on, and the next command adopts it.
        _leave_last_words(f"{order.bundle_dir}/supervisor.log")
        os._exit(1)
    os._exit(0)


def receive_order() -> Order | None:
    """Return the order, None if whoever started us thought better of it.

    The descriptors that come with it are kept open by nothing but their numbers.
    """
    connection = _socket.socket(fileno=os.dup(ORDERING))
    data = bytearray()
    length = HEADER_SIZE
    while len(data) < length:
        piece, _, _, _ = connection.recvmsg(
            min(_PIECE, length - len(data)), _socket.CMSG_LEN(_RIGHTS), _socket.MSG_CMSG_CLOEXEC
        )
        if not piece:
            return None
        data += piece
        if len(data) == HEADER_SIZE:
            length += int.from_bytes(data[4:HEADER_SIZE], "big")
    connection.close()
    return Order.decode(bytes(data[HEADER_SIZE:]))


def _leave_last_words(path: str) -> None:
    import traceback  # noqa: PLC0415 - a bug has time

    with open(path, "a", encoding="utf-8") as file:
        file.write(f"knarr supervisor {os.getpid()}, Python {sys.version}\n")
        traceback.print_exc(file=file)
