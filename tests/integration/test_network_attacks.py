"""What neighbours of the host and containers try on the network, with packets made by hand."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from support.engine import engine_on
from support.netns import HOST, NEIGHBOUR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr
    from support.netns import Host

pytestmark = pytest.mark.root

ETH_P_IP = 0x0800
TCP = 6
SYN, SYN_ACK = 0x02, 0x12
PORT, INSIDE = 8080, 80
SERVE = ("busybox", "httpd", "-f", "-p", str(INSIDE))
PATIENCE = 0.5


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with engine_on(host, tmp_path) as lent:
        yield lent


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def opening(source: str, target: str, port: int) -> bytes:
    """Return the packet that asks for a connection over TCP."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack(">HHIIBBHHH", 4444, port, 1, 0, 5 << 4, SYN, 8192, 0, 0)
    proof = checksum(ends + struct.pack(">HH", TCP, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", proof) + tcp[18:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, TCP, 0)
    return head[:10] + struct.pack(">H", checksum(head + ends)) + ends + tcp


def answered(host: Host, source: str, target: str, port: int) -> bool:
    """Ask the host's interface for a connection from the wire; tell whether it is granted."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as here:
        here.bind(("up0", 0))
        to = here.getsockname()[4]
    with host.neighbour.inside():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        wire.bind(("w0", ETH_P_IP))
    wanted = socket.inet_aton(target) + socket.inet_aton(source) + struct.pack(">HH", port, 4444)
    with wire:
        wire.settimeout(PATIENCE)
        wire.sendto(opening(source, target, port), ("w0", ETH_P_IP, 0, 1, to))
        try:
            while (reply := wire.recv(2048))[12:24] != wanted or reply[33] != SYN_ACK:
                pass
        except TimeoutError:
            return False
        return True


@pytest.mark.parametrize("target", ["127.0.0.1", "127.9.9.9"])
def test_ports_of_loopback_are_not_reached_from_the_wire(
    knarr: Knarr, host: Host, target: str
) -> None:
    """A neighbour may send what is for 127.0.0.1 to the host's interface."""
    ports = ("-p", f"{target}:{PORT}:{INSIDE}", "-p", f"{HOST}:{PORT}:{INSIDE}")
    knarr("run", "-d", *ports, "busybox", *SERVE)
    knarr.wait_until(lambda: answered(host, NEIGHBOUR, HOST, PORT))
    assert not answered(host, NEIGHBOUR, target, PORT)
    socket.create_connection((target, PORT), 5).close()  # from the host itself


def test_ports_of_loopback_are_not_reached_by_a_confined_container(
    knarr: Knarr, host: Host
) -> None:
    """Its interface is no port of the bridge."""
    knarr("run", "-d", "-p", f"127.0.0.1:{PORT}:{INSIDE}", "busybox", *SERVE)
    socket.create_connection(("127.0.0.1", PORT), 5).close()
    script = f"""
        ip addr del 127.0.0.1/8 dev lo
        ip route add 127.0.0.1 via 10.208.0.1
        echo | timeout 2 nc 127.0.0.1 {PORT} && echo reached
    """
    words = ("--egress", "*", "--privileged", "busybox", "sh", "-c", script)
    assert "reached" not in knarr.do("run", "--rm", *words).stdout


def test_ports_that_are_not_published_are_not_reached_by_a_route(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "-p", f"{HOST}:{PORT}:{INSIDE}", "busybox", *SERVE)
    knarr.wait_until(lambda: answered(host, NEIGHBOUR, HOST, PORT))
    assert not answered(host, NEIGHBOUR, "10.208.0.2", INSIDE)
    assert not answered(host, "10.208.0.9", "10.208.0.2", INSIDE)  # as if it were one of them
