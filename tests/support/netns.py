"""Network namespaces for tests: a host, a neighbour of that host, sandboxes; no process needed.

A thread can be in a namespace of its own, and a socket stays where it was made. So everything here
happens in the test's process: `Netns` parks a thread in a new namespace (its thread ID is what the
kernel wants where it says process ID), and `inside` takes the calling thread there for a while.

`Host` is a whole little world: the thread that makes it moves into a namespace that plays the host,
with an interface `up0` (192.0.2.2, MTU 1400) to a neighbour (192.0.2.1) by whom the default route
goes. All of it is gone when the last thread and descriptor are.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

from knarr.linux import namespaces, netlink, rtnetlink
from knarr.linux.rtnetlink import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "192.0.2.2"
NEIGHBOUR = "192.0.2.1"
MTU = 1400
TIMEOUT = 5.0
DROPPED = 0.3


class Netns:
    """A network namespace with a thread in it, whose ID is `pid`."""

    def __init__(self) -> None:
        self._end = threading.Event()
        ready = threading.Event()
        self.pid = 0

        def park() -> None:
            namespaces.unshare(namespaces.CLONE_NEWNET)
            self.pid = threading.get_native_id()
            ready.set()
            self._end.wait()

        self._thread = threading.Thread(target=park, daemon=True)
        self._thread.start()
        assert ready.wait(TIMEOUT)
        self.descriptor = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Leave the namespace; it is gone when nothing else is in it."""
        self._end.set()
        self._thread.join(TIMEOUT)
        os.close(self.descriptor)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the namespace with this thread."""
        with entered(self.descriptor):
            yield

    def serve(self, port: int = 80) -> socket.socket:
        """Return a TCP socket that listens inside."""
        with self.inside():
            return socket.create_server(("", port))

    def udp(self, port: int = 0) -> socket.socket:
        """Return a UDP socket inside."""
        with self.inside():
            return datagrams(port)

    def connect(self, address: str, port: int, *, timeout: float = TIMEOUT) -> socket.socket:
        """Return a connection made from inside."""
        with self.inside():
            return socket.create_connection((address, port), timeout)


@contextlib.contextmanager
def entered(descriptor: int) -> Iterator[None]:
    """Be in the network namespace `descriptor` with this thread."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.setns(descriptor, namespaces.CLONE_NEWNET)
        try:
            yield
        finally:
            namespaces.setns(home, namespaces.CLONE_NEWNET)
    finally:
        os.close(home)


class Host:
    """A namespace that plays the host, in which the calling thread is until `close`."""

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.unshare(namespaces.CLONE_NEWNET)
        self.neighbour = Netns()
        self.sandboxes: list[Netns] = []
        with netlink.Socket(netlink.NETLINK_ROUTE) as here:
            # The kernel takes an interface with the number of its other end for a plain one, and
            # takes a second to notice that it is up: let the numbers differ.
            here.request(rtnetlink.new_bridge("spare", mac="02:42:00:00:00:01", up=False))
            here.request(
                rtnetlink.delete_link("spare"),
                rtnetlink.set_link("lo up", 1, up=True),
                rtnetlink.new_veth("up0", Peer("w0", netns_fd=self.neighbour.descriptor), mtu=MTU),
            )
            uplink = rtnetlink.find_link(here, "up0")
            assert uplink is not None
            here.request(rtnetlink.add_address(uplink.index, HOST, 24))
            with self.neighbour.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as there:
                far = rtnetlink.find_link(there, "w0")
                assert far is not None
                there.request(
                    rtnetlink.set_link("lo up", 1, up=True),
                    rtnetlink.set_link("w0 up", far.index, up=True),
                    rtnetlink.add_address(far.index, NEIGHBOUR, 24),
                )
            here.request(rtnetlink.add_route(NEIGHBOUR, uplink.index))
        self._far = far.index

    def sandbox(self) -> Netns:
        """Return a new namespace, which `close` closes."""
        self.sandboxes.append(Netns())
        return self.sandboxes[-1]

    def route_from_neighbour(self, subnet: str) -> None:
        """Let the neighbour send what is for `subnet` to this host."""
        base, _, prefix = subnet.partition("/")
        request = rtnetlink.add_route(HOST, self._far, destination=base, prefix=int(prefix))
        with self.neighbour.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as there:
            there.request(request)

    def links(self) -> set[str]:
        """Return the names of the host's interfaces, but for those that this class made."""
        with netlink.Socket(netlink.NETLINK_ROUTE) as here:
            return {link.name for link in rtnetlink.links(here)} - {"lo", "up0"}

    def close(self) -> None:
        """Go home."""
        for netns in (*self.sandboxes, self.neighbour):
            netns.close()
        namespaces.setns(self._home, namespaces.CLONE_NEWNET)
        os.close(self._home)


def datagrams(port: int = 0) -> socket.socket:
    """Return a UDP socket in the namespace of this thread."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(TIMEOUT)
    made.bind(("", port))
    return made


def exchange(client: socket.socket, server: socket.socket, data: bytes = b"hello") -> str:
    """Send data over a new connection and back, and return what address the server saw."""
    server.settimeout(TIMEOUT)
    with client, server.accept()[0] as accepted:
        client.settimeout(TIMEOUT)
        accepted.settimeout(TIMEOUT)
        sender = threading.Thread(target=_send, args=(client, data))
        sender.start()
        received = b""
        while len(received) < len(data):
            received += accepted.recv(1 << 16)
        sender.join()
        assert received == data
        accepted.sendall(b"thanks")
        assert client.recv(16) == b"thanks"
        address: str = accepted.getpeername()[0]
        return address


def _send(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
