"""Ports of the host, held by sockets that are bound and never used.

What arrives at a published port is translated before any socket is asked for. The socket is there
so that no program of the host takes the port at the same time, and so that a port in use is an
error before anything is made. The supervisor keeps it for as long as the container lives.

A socket that is bound without SO_REUSEADDR excludes all others, but is itself refused for a minute
after a server on the port has closed connections (TIME_WAIT). Then, and only then, the port is
bound with the option, which excludes those that listen or bind without it.
"""

from __future__ import annotations

import _socket
import errno
import os

from knarr.errors import Conflict, Failed, InvalidArgument, PermissionDenied
from knarr.util.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Docker's own, for when the kernel does not tell.
EPHEMERAL = (49153, 65535)

_KINDS = {"tcp": _socket.SOCK_STREAM, "udp": _socket.SOCK_DGRAM, "sctp": _socket.SOCK_STREAM}
_IPPROTO_SCTP = 132


def hold(protocol: str, host_ip: str, port: int) -> int:
    """Return the descriptor of a socket bound to a port of the host.

    Raises: Conflict when the port is in use, PermissionDenied, InvalidArgument, Failed
    """
    try:
        try:
            return _bind(protocol, host_ip, port, reuse=False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or protocol == "udp":
                raise
            return _bind(protocol, host_ip, port, reuse=True)
    except OSError as error:
        where = f"[{host_ip}]:{port}" if ":" in host_ip else f"{host_ip}:{port}"
        reason = (error.strerror or str(error)).lower()
        message = f"failed to bind host port for {where}: {reason}"
        if error.errno == errno.EADDRINUSE:
            hint = f"Another program on the host uses the port: see ss -lnp 'sport = {port}'."
            raise Conflict(message, hint=hint) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "Ports below net.ipv4.ip_unprivileged_port_start are root's."
            raise PermissionDenied(message, hint=hint) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise InvalidArgument(message, hint="No interface has this address.") from error
        raise Failed(message) from error


def is_free(protocol: str, host_ip: str, port: int) -> bool:
    """Tell whether nobody holds or uses a port of the host."""
    try:
        os.close(_bind(protocol, host_ip, port, reuse=False))
    except OSError:
        return False
    return True


def _bind(protocol: str, host_ip: str, port: int, *, reuse: bool) -> int:
    family = _socket.AF_INET6 if ":" in host_ip else _socket.AF_INET
    number = _IPPROTO_SCTP if protocol == "sctp" else 0
    one = _socket.socket(family, _KINDS[protocol] | _socket.SOCK_CLOEXEC, number)
    try:
        if family == _socket.AF_INET6:
            one.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if reuse:
            one.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        one.bind((host_ip, port))
    except OSError:
        one.close()
        raise
    return one.detach()


def free_ports(first: int, last: int, after: int) -> Iterator[int]:
    """Yield the ports from `first` to `last`, beginning behind `after`, each once."""
    size = last - first + 1
    start = after + 1 - first if first <= after < last else 0
    for offset in range(size):
        yield first + (start + offset) % size


def ephemeral_range() -> tuple[int, int]:
    """Return the first and last port that the kernel hands out to whom it does not matter."""
    try:
        low, high = read_file("/proc/sys/net/ipv4/ip_local_port_range").split()
    except (OSError, ValueError):
        return EPHEMERAL
    return int(low), int(high)
