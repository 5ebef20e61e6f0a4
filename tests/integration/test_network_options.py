"""Options of networks, and settings for all of them, as traffic sees them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.engine import engine_on
from support.netns import HOST, NEIGHBOUR, Host, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

IDLE = ("busybox", "busybox", "sleep", "600")
BRIDGE = "com.docker.network.bridge."


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with engine_on(host, tmp_path) as lent:
        yield lent


@contextlib.contextmanager
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> Iterator[None]:
    file = tmp_path / "knarr.toml"
    file.write_text(text)
    with monkeypatch.context() as patch:
        patch.setenv("KNARR_SETTINGS", str(file))
        yield


def start(knarr: Knarr, name: str, *options: str) -> None:
    knarr("run", "-d", "--name", name, *options, *IDLE)


def serve(knarr: Knarr, name: str, port: int = 80) -> socket.socket:
    with knarr.inside(name):
        return socket.create_server(("", port))


def address_of(knarr: Knarr, name: str, network: str) -> str:
    found = json.loads(knarr("inspect", name))[0]["NetworkSettings"]["Networks"]
    return str(found[network]["IPAddress"])


def reaches(knarr: Knarr, name: str, address: str, port: int = 80) -> bool:
    with knarr.inside(name), contextlib.suppress(OSError):
        socket.create_connection((address, port), 0.5).close()
        return True
    return False


def create(knarr: Knarr, *options: str) -> None:
    words = [word for option in options for word in ("-o", option)]
    knarr("network", "create", "--subnet", "10.9.8.0/24", *words, "net")


@pytest.mark.parametrize("kept_apart", [True, False])
def test_members_of_a_network_are_kept_apart(knarr: Knarr, host: Host, kept_apart: bool) -> None:
    create(knarr, f"{BRIDGE}enable_icc={str(not kept_apart).lower()}")
    start(knarr, "one", "--network", "net")
    start(knarr, "two", "--network", "net", "-p", "8080:80")
    with serve(knarr, "two"), host.neighbour.serve(80):
        assert reaches(knarr, "one", address_of(knarr, "two", "net")) is not kept_apart
        assert reaches(knarr, "one", NEIGHBOUR)
        host.neighbour.connect(HOST, 8080).close()


@pytest.mark.parametrize("module", ["0", "1"])
def test_they_are_kept_apart_whether_or_not_bridges_pass_by_the_rules(
    knarr: Knarr, module: str
) -> None:
    path = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    if not os.path.exists(path):
        pytest.skip("the kernel does not show bridged packets to iptables (br_netfilter)")
    with open(path, "w", encoding="ascii") as file:
        file.write(module)
    create(knarr, f"{BRIDGE}enable_icc=false")
    start(knarr, "one", "--network", "net")
    start(knarr, "two", "--network", "net")
    with serve(knarr, "two"):
        assert not reaches(knarr, "one", address_of(knarr, "two", "net"))


def test_a_bridge_has_the_name_that_was_asked_for(knarr: Knarr, host: Host) -> None:
    create(knarr, f"{BRIDGE}name=own0")
    assert "own0" in host.links()
    said = knarr.fails("network", "create", "-o", f"{BRIDGE}name=own0", "other")
    assert "networks have same bridge name" in said
    said = knarr.fails("network", "create", "-o", f"{BRIDGE}name=much-too-long-name", "other")
    assert "invalid value for" in said
    knarr("network", "rm", "net")
    assert "own0" not in host.links()


def test_without_masquerade_the_outside_sees_the_container(knarr: Knarr, host: Host) -> None:
    create(knarr, f"{BRIDGE}enable_ip_masquerade=false")
    host.route_from_neighbour("10.9.8.0/24")
    start(knarr, "one", "--network", "net")
    with host.neighbour.serve(80) as server, knarr.inside("one"):
        client = socket.create_connection((NEIGHBOUR, 80), 5)
        assert exchange(client, server) == "10.9.8.2"


def test_ports_of_a_network_are_published_where_it_says(knarr: Knarr, host: Host) -> None:
    create(knarr, f"{BRIDGE}host_binding_ipv4=127.0.0.1")
    start(knarr, "one", "--network", "net", "-p", "8080:80")
    assert knarr("port", "one") == "80/tcp -> 127.0.0.1:8080\n"
    with serve(knarr, "one"):
        socket.create_connection(("127.0.0.1", 8080), 5).close()
        with pytest.raises(OSError, match="refused"):
            host.neighbour.connect(HOST, 8080)


def test_mtu_and_names_of_interfaces(knarr: Knarr) -> None:
    create(
        knarr, "com.docker.network.driver.mtu=1300", "com.docker.network.container_iface_prefix=lan"
    )
    start(knarr, "one", "--network", "net")
    with knarr.inside("one"):
        shown = subprocess.run(["ip", "link"], check=True, capture_output=True, text=True).stdout
    assert "lan0@" in shown
    assert "mtu 1300" in shown
    assert "eth0" not in shown


def test_the_host_has_no_address_where_it_is_to_have_none(knarr: Knarr) -> None:
    create(knarr, f"{BRIDGE}inhibit_ipv4=true", f"{BRIDGE}name=own0")
    start(knarr, "one", "--network", "net")
    start(knarr, "two", "--network", "net")
    shown = subprocess.run(["ip", "addr", "show", "own0"], check=True, capture_output=True)
    assert b"10.9.8." not in shown.stdout
    with serve(knarr, "two"):
        assert reaches(knarr, "one", address_of(knarr, "two", "net"))


def test_a_routed_network_translates_nothing(knarr: Knarr, host: Host) -> None:
    create(knarr, f"{BRIDGE}gateway_mode_ipv4=routed")
    host.route_from_neighbour("10.9.8.0/24")
    start(knarr, "one", "--network", "net", "-p", "8080:80")
    start(knarr, "two", "-p", "80:80")  # which is another port
    assert knarr("port", "one") == "80/tcp -> 10.9.8.2:80\n"
    with serve(knarr, "one") as server, serve(knarr, "one", 81):
        assert exchange(host.neighbour.connect("10.9.8.2", 80), server) == NEIGHBOUR
        with pytest.raises(OSError, match="timed out"):
            host.neighbour.connect("10.9.8.2", 81, timeout=0.5)
        with pytest.raises(OSError, match="refused"):
            host.neighbour.connect(HOST, 8080)
    with host.neighbour.serve(80) as server, knarr.inside("one"):
        assert exchange(socket.create_connection((NEIGHBOUR, 80), 5), server) == "10.9.8.2"
    knarr("rm", "-f", "one")
    with serve(knarr, "two"):
        host.neighbour.connect(HOST, 80).close()


def test_an_unprotected_network_is_open_to_who_routes_to_it(knarr: Knarr, host: Host) -> None:
    create(knarr, f"{BRIDGE}gateway_mode_ipv4=nat-unprotected")
    host.route_from_neighbour("10.9.8.0/24")
    start(knarr, "one", "--network", "net")
    with serve(knarr, "one", 81) as server:
        assert exchange(host.neighbour.connect("10.9.8.2", 81), server) == NEIGHBOUR
    with host.neighbour.serve(80) as server, knarr.inside("one"):
        assert exchange(socket.create_connection((NEIGHBOUR, 80), 5), server) == HOST


def test_an_isolated_network_is_without_the_host(knarr: Knarr) -> None:
    option = f"{BRIDGE}gateway_mode_ipv4=isolated"
    said = knarr.fails("network", "create", "-o", option, "net")
    assert "can only be used for an internal network" in said
    assert "unknown gateway mode x" in knarr.fails(
        "network", "create", "-o", f"{BRIDGE}gateway_mode_ipv4=x", "net"
    )
    knarr("network", "create", "--internal", "--subnet", "10.9.8.0/24", "-o", option, "net")
    start(knarr, "one", "--network", "net")
    with socket.create_server(("", 8000)):
        assert not reaches(knarr, "one", "10.9.8.1", 8000)


def test_an_interface_has_the_name_and_settings_that_were_asked_for(knarr: Knarr) -> None:
    create(knarr)
    prefix = "driver-opt=com.docker.network.endpoint."
    asked = f'{prefix}ifname=lan7,"{prefix}sysctls=net.ipv4.conf.IFNAME.log_martians=1"'
    start(knarr, "one", "--network", f"name=net,{asked}")
    setting = "/proc/sys/net/ipv4/conf/lan7/log_martians"
    assert knarr("exec", "one", "busybox", "cat", setting) == "1\n"
    for wrong, said in (
        ("sysctls=kernel.panic=1", "invalid setting of an interface"),
        ("sysctls=net.ipv4.conf.all.forwarding=1", "invalid setting of an interface"),
        ("ifname=far/too/long", "invalid name of an interface"),
    ):
        command = ("run", "--rm", "--network", f"name=net,{prefix}{wrong}", "busybox", "true")
        assert said in knarr.fails(*command, status=125)


# settings


def test_ports_are_published_for_the_host_alone_if_that_is_set(
    knarr: Knarr, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with settings(monkeypatch, tmp_path, '[network]\npublish = "127.0.0.1"\n'):
        start(knarr, "one", "-p", "8080:80", "-p", "0.0.0.0:8081:80")
        assert knarr("port", "one") == "80/tcp -> 0.0.0.0:8081\n80/tcp -> 127.0.0.1:8080\n"
        with serve(knarr, "one"):
            socket.create_connection(("127.0.0.1", 8080), 5).close()
            host.neighbour.connect(HOST, 8081).close()
            with pytest.raises(OSError, match="refused"):
                host.neighbour.connect(HOST, 8080)


def test_subnets_come_from_the_pools_that_are_set(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = """[network]
address_pools = [
    {base = "10.77.0.0/16", size = 24}, {base = "fd12:3456::/48", size = 64},
]
"""
    subprocess.run(["ip", "route", "add", "10.77.0.0/24", "via", NEIGHBOUR], check=True)
    with settings(monkeypatch, tmp_path, text):
        knarr("network", "create", "--ipv6", "net")
        (found,) = json.loads(knarr("network", "inspect", "net"))
        subnets = [pool["Subnet"] for pool in found["IPAM"]["Config"]]
        assert subnets == ["10.77.2.0/24", "fd12:3456::/64"]  # one is routed, one has `bridge`


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('publish = "everywhere"', 'network.publish must be an address, such as "127.0.0.1"'),
        ('address_pools = ["10.0.0.0/8"]', "network.address_pools must be a list of blocks"),
        ('address_pools = [{base = "10.0.0.0/8", size = 4}]', "cannot cut subnets of size 4"),
        ('publsh = "127.0.0.1"', "unknown setting network.publsh"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    knarr: Knarr, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, said: str
) -> None:
    with settings(monkeypatch, tmp_path, f"[network]\n{text}\n"):
        assert said in knarr.fails("network", "create", "net")
