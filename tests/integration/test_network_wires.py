"""Networks of macvlan and ipvlan: containers as machines on a wire beside the host."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.linux import netlink, rtnetlink, sublinks
from knarr.linux.rtnetlink import Peer
from support.engine import engine_on
from support.netns import HOST, NEIGHBOUR, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

IDLE = ("busybox", "busybox", "sleep", "600")
WIRE = ("--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.64/26", "--gateway", NEIGHBOUR)


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with engine_on(host, tmp_path) as lent:
        yield lent


def need(kind: str) -> None:
    """Skip where the kernel has no links of a kind."""
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        if not sublinks.knows(socket, kind):
            pytest.skip(f"the kernel has no {kind}")


def answers(knarr: Knarr, name: str, address: str, port: int = 80) -> bool:
    """Tell whether a container gets a connection."""
    words = ("exec", name, "busybox", "nc", "-w", "1", address, str(port))
    return knarr.do(*words).returncode == 0


def listens(knarr: Knarr, name: str, port: int) -> bool:
    """Tell whether somebody in a container waits for connections."""
    files = ("/proc/net/tcp", "/proc/net/tcp6")
    return f":{port:04X} " in knarr("exec", name, "busybox", "cat", *files)


def test_containers_are_machines_on_the_wire(knarr: Knarr, host: Host) -> None:
    need("macvlan")
    knarr("network", "create", "-d", "macvlan", "-o", "parent=up0", *WIRE, "wire")
    knarr("run", "-d", "--name", "one", "--network", "wire", "-p", "8080:80", *IDLE)
    knarr("run", "-d", "--name", "two", "--network", "wire", "--ip", "192.0.2.99", *IDLE)
    with host.neighbour.serve(80) as server:
        start = knarr.start("exec", "one", "busybox", "nc", "-w", "3", NEIGHBOUR, "80")
        server.settimeout(5)
        with server.accept()[0] as accepted:
            assert accepted.getpeername()[0] == "192.0.2.64"
        start.communicate()
    knarr("exec", "-d", "two", "busybox", "nc", "-l", "-p", "81", "-e", "busybox", "cat")
    knarr.wait_until(lambda: listens(knarr, "two", 81))
    with host.neighbour.connect("192.0.2.99", 81) as connection:
        connection.sendall(b"hello")
        assert connection.recv(16) == b"hello"
    knarr("exec", "-d", "two", "busybox", "nc", "-l", "-p", "82")
    knarr.wait_until(lambda: listens(knarr, "two", 82))
    assert answers(knarr, "one", "two", 82)  # by its name
    assert not answers(knarr, "one", HOST)
    found = json.loads(knarr("inspect", "one"))[0]["NetworkSettings"]
    assert found["Ports"] == {}
    assert found["Networks"]["wire"]["Gateway"] == NEIGHBOUR
    (network,) = json.loads(knarr("network", "inspect", "wire"))
    assert (network["Driver"], network["Options"]) == ("macvlan", {"parent": "up0"})


def test_the_interface_comes_and_goes_while_the_container_runs(knarr: Knarr) -> None:
    need("macvlan")
    knarr("network", "create", "-d", "macvlan", "-o", "parent=up0", *WIRE, "wire")
    knarr("run", "-d", "--name", "one", *IDLE)
    knarr("network", "connect", "wire", "one")
    assert "192.0.2.64" in knarr("exec", "one", "busybox", "ip", "addr")
    assert "has active endpoints" in knarr.fails("network", "rm", "wire")
    knarr("network", "disconnect", "wire", "one")
    shown = knarr("exec", "one", "busybox", "ip", "addr")
    assert "192.0.2.64" not in shown
    assert "eth1" not in shown
    knarr("network", "rm", "wire")


def test_without_a_parent_members_reach_each_other_alone(knarr: Knarr, host: Host) -> None:
    need("macvlan")
    if all(not can_make(kind) for kind in sublinks.SINKS):
        pytest.skip("the kernel has neither dummy nor ifb")
    knarr("network", "create", "-d", "macvlan", "--subnet", "10.9.8.0/24", "alone")
    (sink,) = host.links()
    assert sink.startswith("dm-")
    knarr("run", "-d", "--name", "one", "--network", "alone", *IDLE)
    knarr("run", "-d", "--name", "two", "--network", "alone", *IDLE)
    knarr("exec", "-d", "two", "busybox", "nc", "-l", "-p", "80")
    knarr.wait_until(lambda: listens(knarr, "two", 80))
    assert answers(knarr, "one", "two")
    assert "default" not in knarr("exec", "one", "busybox", "ip", "route")
    (network,) = json.loads(knarr("network", "inspect", "alone"))
    assert network["Internal"] is True
    subprocess.run(["ip", "link", "del", sink], check=True)  # as a reboot does
    knarr("rm", "-f", "one", "two")
    knarr("run", "--rm", "--network", "alone", "busybox", "true")
    assert host.links() == {sink}
    knarr("network", "rm", "alone")
    assert host.links() == set()


def can_make(kind: str) -> bool:
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket, contextlib.suppress(OSError):
        socket.request(sublinks.new_sink("probe0", kind), rtnetlink.delete_link("probe0"))
        return True
    return False


@pytest.mark.parametrize("mode", ["private", "vepa"])
def test_members_of_a_private_wire_do_not_reach_each_other(knarr: Knarr, mode: str) -> None:
    need("macvlan")
    options = ("-o", "parent=up0", "-o", f"macvlan_mode={mode}")
    knarr("network", "create", "-d", "macvlan", *options, *WIRE, "wire")
    knarr("run", "-d", "--name", "one", "--network", "wire", *IDLE)
    knarr("run", "-d", "--name", "two", "--network", "wire", *IDLE)
    assert not answers(knarr, "one", "two")


def test_passthru_is_for_one_container(knarr: Knarr) -> None:
    need("macvlan")
    options = ("-o", "parent=up0", "-o", "macvlan_mode=passthru")
    knarr("network", "create", "-d", "macvlan", *options, *WIRE, "wire")
    knarr("run", "-d", "--name", "one", "--network", "wire", *IDLE)
    said = knarr.fails("run", "--rm", "--network", "wire", "busybox", "true", status=125)
    assert "cannot set up the container's network" in said


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_shares_the_address_of_the_parent(knarr: Knarr, host: Host, mode: str) -> None:
    need("ipvlan")
    options = ("-o", "parent=up0", "-o", f"ipvlan_mode={mode}")
    routed = mode != "l2"  # nobody answers for such an address: it is routed to the host
    subnet, address = ("10.9.8.0/24", "10.9.8.2") if routed else ("192.0.2.0/24", "192.0.2.64")
    knarr(
        "network", "create", "-d", "ipvlan", *options,
        *(("--subnet", subnet) if routed else WIRE), "wire",
    )  # fmt: skip
    if routed:
        host.route_from_neighbour(subnet)
    knarr("run", "-d", "--name", "one", "--network", "wire", *IDLE)
    with host.neighbour.serve(80) as server:
        waiting = knarr.start("exec", "one", "busybox", "nc", "-w", "3", NEIGHBOUR, "80")
        server.settimeout(5)
        with server.accept()[0] as accepted:
            assert accepted.getpeername()[0] == address
        waiting.communicate()
    route = knarr("exec", "one", "busybox", "ip", "route")
    assert ("default dev eth0" in route) == routed
    assert (
        json.loads(knarr("inspect", "one"))[0]["NetworkSettings"]["Networks"]["wire"]["MacAddress"]
        == ""
    )


def test_ipvlan_has_no_hardware_addresses_to_give(knarr: Knarr) -> None:
    need("ipvlan")
    knarr("network", "create", "-d", "ipvlan", "-o", "parent=up0", *WIRE, "wire")
    said = knarr.fails(
        "run", "--network", "wire", "--mac-address", "02:00:00:00:00:01", "busybox", "true",
        status=125,
    )  # fmt: skip
    assert "do not support custom mac address" in said


def test_a_vlan_is_made_and_removed(knarr: Knarr, host: Host) -> None:
    need("macvlan")
    if not can_vlan():
        pytest.skip("the kernel has no VLANs (8021q)")
    subnet = ("--subnet", "10.9.8.0/24", "--gateway", "10.9.8.1")
    knarr("network", "create", "-d", "macvlan", "-o", "parent=up0.10", *subnet, "tagged")
    assert host.links() == {"up0.10"}
    with host.neighbour.inside():
        subprocess.run(
            "ip link add link w0 name w0.10 type vlan id 10 && ip link set w0.10 up && "
            "ip addr add 10.9.8.1/24 dev w0.10",
            shell=True, check=True,
        )  # fmt: skip
    knarr("run", "-d", "--name", "one", "--network", "tagged", *IDLE)
    with host.neighbour.serve(80) as server:
        waiting = knarr.start("exec", "one", "busybox", "nc", "-w", "3", "10.9.8.1", "80")
        server.settimeout(5)
        with server.accept()[0] as accepted:
            assert accepted.getpeername()[0] == "10.9.8.2"
        waiting.communicate()
    knarr("rm", "-f", "one")
    knarr("network", "rm", "tagged")
    assert host.links() == set()


def can_vlan() -> bool:
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        link = rtnetlink.find_link(socket, "up0")
        assert link is not None
        with contextlib.suppress(OSError):
            request = sublinks.new_vlan("up0.99", link.index, 99)
            socket.request(request, rtnetlink.delete_link("up0.99"))
            return True
    return False


def test_an_interface_of_the_host_stays_when_its_network_goes(knarr: Knarr, host: Host) -> None:
    need("macvlan")
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        socket.request(rtnetlink.new_veth("own0", Peer("own1"), mtu=1500))
    knarr("network", "create", "-d", "macvlan", "-o", "parent=own0", "--subnet", "10.9.8.0/24", "x")
    knarr("network", "rm", "x")
    assert "own0" in host.links()
    subprocess.run(["ip", "link", "del", "own0"], check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "parent=nope"), "invalid subinterface vlan name nope, example formatting"),
        (("-o", "parent=nope.10"), "parent interface was not found on the host: nope"),
        (("-o", "parent=up0.5000"), "vlan id must be between 1-4094, received: 5000"),
        (("-o", "parent=up0.a"), "unable to parse a valid vlan id from: a"),
        (("-o", "parent=lo"), "loopback interface is not a valid macvlan parent link"),
        (("-o", "macvlan_mode=x"), "requested macvlan mode 'x' is not valid, 'bridge' mode"),
    ],
)
def test_what_cannot_be_a_parent_is_refused(
    knarr: Knarr, words: tuple[str, ...], said: str
) -> None:
    need("macvlan")
    command = ("network", "create", "-d", "macvlan", "--subnet", "10.9.8.0/24", *words, "x")
    assert said in knarr.fails(*command)
    assert "x" not in knarr("network", "ls", "--format", "{{.Name}}").split()


def test_a_parent_has_one_network(knarr: Knarr) -> None:
    need("macvlan")
    knarr("network", "create", "-d", "macvlan", "-o", "parent=up0", *WIRE, "one")
    command = ("network", "create", "-d", "macvlan", "-o", "parent=up0", "two")
    assert "network one is already using parent interface up0" in knarr.fails(*command)


def test_what_only_a_swarm_has_is_refused(knarr: Knarr) -> None:
    for words, said in (
        (("--scope", "swarm"), "cannot create a swarm scoped network when swarm is not active"),
        (("--scope", "global"), "not a swarm manager"),
        (("-d", "overlay"), "not a swarm manager"),
        (("--ingress",), "Ingress network can only be global scope network"),
        (("--config-only",), "configuration alone"),
        (("--ipam-driver", "dhcp"), 'plugin "dhcp" not found'),
    ):
        assert said in knarr.fails("network", "create", *words, "x")
    knarr("network", "create", "--scope", "local", "--ipam-driver", "default",
          "--ipam-opt", "a=b", "x")  # fmt: skip
    (network,) = json.loads(knarr("network", "inspect", "x"))
    assert network["IPAM"]["Options"] == {"a": "b"}
