"""Host ports are held by sockets, on addresses of the loopback network here."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from knarr.errors import Conflict, InvalidArgument
from knarr.network import ports

HERE = "127.0.0.1"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_is_held_until_it_is_let_go(protocol: str) -> None:
    port = free_port()
    held = ports.hold(protocol, HERE, port)
    with pytest.raises(Conflict, match=f"failed to bind host port for {HERE}:{port}: address al"):
        ports.hold(protocol, HERE, port)
    os.close(held)
    os.close(ports.hold(protocol, HERE, port))


def test_a_program_of_the_host_cannot_take_a_port_that_is_held() -> None:
    port = free_port()
    held = ports.hold("tcp", HERE, port)
    with closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            server.bind((HERE, port))
    os.close(held)


def test_closed_connections_of_an_earlier_server_do_not_matter() -> None:
    with closing(socket.create_server((HERE, 0))) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((HERE, port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    os.close(ports.hold("tcp", HERE, port))


def test_a_server_that_listens_keeps_its_port() -> None:
    with closing(socket.create_server((HERE, 0))) as server, pytest.raises(Conflict):
        ports.hold("tcp", HERE, server.getsockname()[1])


def test_an_address_that_no_interface_has_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"192\.0\.2\.77:0: cannot assign"):
        ports.hold("tcp", "192.0.2.77", 0)


def test_descriptors_are_not_inherited() -> None:
    held = ports.hold("tcp", HERE, 0)
    assert not os.get_inheritable(held)
    os.close(held)


@pytest.mark.parametrize(
    ("after", "found"),
    [(-1, [5, 6, 7]), (5, [6, 7, 5]), (6, [7, 5, 6]), (7, [5, 6, 7]), (100, [5, 6, 7])],
)
def test_the_search_for_a_port_goes_on_behind_the_last(after: int, found: list[int]) -> None:
    assert list(ports.free_ports(5, 7, after)) == found


def test_ephemeral_ports_are_those_of_the_kernel() -> None:
    first, last = ports.ephemeral_range()
    assert 1024 <= first < last <= 65535
