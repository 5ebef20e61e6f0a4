"""Asking and connecting as a container does: from inside its network namespace."""

from __future__ import annotations

import _socket
import errno
import os
import select
import time

from knarr.engine.explaining.reach.facts import (
    FOUND,
    MADE,
    REFUSED,
    SILENT,
    UNKNOWN,
    UNREACHABLE,
)
from knarr.linux import namespaces
from knarr.network import dns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 2.5  # seconds for a name server, longer than the container's own waits for one
TIMEOUT = 3.5  # and longer than the kernel looks for a neighbour
_NUMBER = 0x6B6E


def ask(netns_fd: int, servers: Iterable[str], name: str) -> tuple[str, tuple[str, ...]]:
    """Return what name servers say of a name, and its addresses, IPv4 first."""
    outcome = SILENT
    for server in servers:
        found: list[str] = []
        for kind in (dns.A, dns.AAAA):
            said = _ask(netns_fd, server, name, kind)
            if said is None:
                break
            outcome = UNKNOWN
            _, addresses = dns.parse_addresses(said)
            found += [_render(raw) for raw, _ in addresses]
        if found:
            return FOUND, tuple(found)
        if outcome == UNKNOWN:
            break
    return outcome, ()


def _ask(netns_fd: int, server: str, name: str, kind: int) -> bytes | None:
    message = dns.header.pack(_NUMBER, 0x0100, 1, 0, 0, 0) + dns.encode_name(name)
    message += dns.question.pack(kind, dns.IN)
    with namespaces.InNetwork(netns_fd):
        asker = _socket.socket(_family(server), _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        asker.settimeout(PATIENCE)
        asker.connect((server.partition("%")[0], 53))
        asker.send(message)
        return asker.recv(4096)
    except OSError:  # nobody there, or nobody who answers
        return None
    finally:
        asker.close()


def connect(netns_fd: int, address: str, port: int) -> str:
    """Return what becomes of a connection to a port."""
    with namespaces.InNetwork(netns_fd):
        flags = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        one = _socket.socket(_family(address), flags)
    try:
        return _wait(one, one.connect_ex((address, port)))
    finally:
        one.close()


def _wait(one: _socket.socket, error: int) -> str:
    deadline = time.monotonic() + TIMEOUT
    if error == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(one.fileno(), select.POLLOUT)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return SILENT
        error = one.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if not error:
        return MADE
    if error == errno.ECONNREFUSED:
        return REFUSED
    return SILENT if error == errno.ETIMEDOUT else UNREACHABLE


def open_network(pid: int) -> int:
    """Return a descriptor of the network namespace of a process.

    Raises: OSError
    """
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _family(address: str) -> int:
    return int(_socket.AF_INET6 if ":" in address else _socket.AF_INET)


def _render(raw: bytes) -> str:
    return _socket.inet_ntop(_socket.AF_INET if len(raw) == 4 else _socket.AF_INET6, raw)
