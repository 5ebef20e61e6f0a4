"""knarr system dial-stdio."""

from __future__ import annotations

import os

from knarr.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from knarr.cli.command import Context, Options

PIECE = 64 << 10

COMMAND = Command(
    short="Let a client at the other end of standard input and output use the API",
    usage="",
    long="Joins standard input and output to the socket of `knarr serve`; where no server runs, "
    "this process serves that one client itself. A docker command line with the host ssh://… calls "
    "`docker system dial-stdio` at the other end: a script of that name that calls this is all "
    "that the other host needs.",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from threading import Thread  # noqa: PLC0415 - not for --help

    from knarr.engine.supplies.apisocket import SOCKET  # noqa: PLC0415
    from knarr.util.files import write_all  # noqa: PLC0415

    connection = _dial(f"{context.engine.paths.run}/{SOCKET}") or _serve_here(context)
    Thread(target=_send, args=(connection,), daemon=True).start()
    while data := connection.recv(PIECE):
        write_all(1, data)
    return 0


def _dial(path: str) -> socket.socket | None:
    """Return a connection to the server, None if there is none."""
    import socket  # noqa: PLC0415 - as above

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _serve_here(context: Context) -> socket.socket:
    """Return a connection to a server that this process is."""
    import socket  # noqa: PLC0415 - as above
    from threading import Thread  # noqa: PLC0415

    from knarr.api.connection import Connection  # noqa: PLC0415 - where nobody else serves
    from knarr.api.server import Server  # noqa: PLC0415

    paths = context.engine.paths
    ours, theirs = socket.socketpair()
    connection = Connection(Server(paths.root, paths.run, (), debug=context.debug), theirs)
    Thread(target=connection.serve, daemon=True).start()
    return ours


def _send(connection: socket.socket) -> None:
    import socket  # noqa: PLC0415 - loaded by then

    while data := os.read(0, PIECE):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
