"""Where the server listens: addresses as `-H` has them, and the sockets behind them.

unix:///run/docker.sock      a socket in the file system, with a mode and a group
tcp://127.0.0.1:2376         TLS that asks for the client's certificate, or nothing at all:
                             who reaches the API is root on this host
fd://                        what systemd opened for us (LISTEN_FDS)
"""

from __future__ import annotations

import os
import socket
import ssl
import stat

from knarr.errors import Conflict, InvalidArgument, PermissionDenied
from knarr.util.value import Value

BACKLOG = 1024
FIRST_PASSED = 3  # Man: sd_listen_fds(3)
DEFAULT_PORT = 2375
DEFAULT_TLS_PORT = 2376


class Credentials(Value):
    """Files for TLS: the certificate of the server, its key, and who signs those of clients."""

    certificate: str = ""
    key: str = ""
    authority: str = ""  # empty: clients need no certificate


class Access(Value):
    """Who may reach the server: owner and mode of unix sockets, TLS for the rest.

    `plain_tcp` lets everybody who reaches the port be root on this host.
    """

    mode: int = 0o660
    group: str = ""
    credentials: Credentials | None = None
    plain_tcp: bool = False


class Listener:
    """A socket that accepts; `path` is the file that goes away with it, `tls` wraps clients."""

    def __init__(
        self,
        listening: socket.socket,
        name: str,
        *,
        path: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket = listening
        self.name = name
        self.tls = tls
        self._path = path
        self._identity = _identity(path)

    def close(self) -> None:
        """Stop listening, and take the file away, unless another server has its place by now."""
        self.socket.close()
        if self._path and self._identity == _identity(self._path):
            os.unlink(self._path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def listen(address: str, access: Access) -> list[Listener]:
    """Begin to listen at an address.

    Raises: InvalidArgument, Conflict, PermissionDenied
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = ("unix", address) if address.startswith("/") else ("tcp", address)
    if scheme == "unix":
        return [_listen_unix(rest, access)]
    if scheme == "tcp":
        return [_listen_tcp(rest, access)]
    if scheme == "fd":
        return _take_passed()
    message = f"unable to parse docker host `{address}`"
    raise InvalidArgument(message, hint="It is unix://PATH, tcp://HOST:PORT or fd://.")


def _listen_unix(path: str, access: Access) -> Listener:
    if not path.startswith("/"):
        message = f"a unix socket needs an absolute path: {path}"
        raise InvalidArgument(message)
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    _remove_dead(path)
    group = _group(access.group)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Made without any right, so that nobody gets in before it belongs to whom it shall belong.
    before = os.umask(0o777)
    try:
        listening.bind(path)
    finally:
        os.umask(before)
    os.chown(path, -1, group)
    os.chmod(path, access.mode)
    listening.listen(BACKLOG)
    return Listener(listening, f"unix://{path}", path=path)


def _remove_dead(path: str) -> None:
    """Take away a socket that nobody listens at.

    Raises: Conflict
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            message = f"cannot listen at {path}: it is there and no socket"
            raise Conflict(message)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
    message = f"cannot listen at {path}: another server does"
    raise Conflict(message, hint="Name another socket with -H: servers work beside each other.")


def _group(name: str) -> int:
    """Return the number of a group, -1 for none: the socket stays the server's own.

    Raises: InvalidArgument
    """
    if not name:
        return -1
    if name.isdecimal():
        return int(name)
    import grp  # noqa: PLC0415 - for who names one

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        message = f"no such group: {name}"
        raise InvalidArgument(message) from None


def _listen_tcp(place: str, access: Access) -> Listener:
    verified = access.credentials is not None and access.credentials.authority
    if not verified and not access.plain_tcp:
        message = f"cannot listen at tcp://{place} without TLS that verifies clients"
        hint = (
            "Give --tlsverify with --tlscacert, --tlscert and --tlskey; or --insecure-tcp, if "
            "everybody who reaches the port may be root here."
        )
        raise InvalidArgument(message, hint=hint)
    tls = _context(access.credentials) if access.credentials else None
    host, port = _split(place, DEFAULT_TLS_PORT if tls else DEFAULT_PORT)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        message = f"cannot listen at tcp://{place}: {(error.strerror or str(error)).lower()}"
        raise Conflict(message) from None
    listening.listen(BACKLOG)
    shown, number = listening.getsockname()[:2]
    return Listener(listening, f"tcp://{shown}:{number}", tls=tls)


def _split(place: str, default_port: int) -> tuple[str, int]:
    host, _, port = place.rstrip("/").rpartition(":")
    if not host and not place.startswith(":"):
        host, port = port, str(default_port)
    if not port.isdecimal() or int(port) > 65535:
        message = f"invalid port in tcp://{place}"
        raise InvalidArgument(message)
    return host.strip("[]") or "127.0.0.1", int(port)


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(credentials.certificate, credentials.key)
        if credentials.authority:
            context.load_verify_locations(credentials.authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        message = f"cannot use the certificates for TLS: {error}"
        raise InvalidArgument(message) from None
    return context


def _take_passed() -> list[Listener]:
    """Return the sockets that systemd opened for this process."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        message = "no sockets were passed to this process"
        raise InvalidArgument(message, hint="fd:// is for units with a socket of systemd's.")
    number = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_FDNAMES", None)
    found = []
    for descriptor in range(FIRST_PASSED, FIRST_PASSED + number):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it has no other way
        listening = socket.socket(fileno=descriptor)
        if listening.family != socket.AF_UNIX:
            message = "a socket that was passed is not a unix socket"
            raise PermissionDenied(message, hint="TCP needs TLS: let -H tcp:// open it.")
        listening.settimeout(None)
        found.append(Listener(listening, "fd://"))
    return found
