"""Containers in several networks: at the start, by `network connect`, and after `disconnect`."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from knarr.linux import nftables
from knarr.linux.nfnetlink import Nftables
from support.engine import lent_engine
from support.netns import HOST, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

SERVE = ("busybox", "busybox", "httpd", "-f", "-p", "80", "-h", "/www")
IDLE = ("busybox", "sleep", "1000")


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with lent_engine(tmp_path) as lent:
        lent.add_image("busybox", files={"www/page": "hello\n"})
        lent("network", "create", "--subnet", "10.9.1.0/24", "one")
        lent("network", "create", "--subnet", "10.9.2.0/24", "two")
        yield lent
    assert {name for name in host.links() if not name.startswith("kv")} == set()


def networks(knarr: Knarr, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(knarr("inspect", name))[0]["NetworkSettings"]["Networks"]
    return found


def default_route(knarr: Knarr, name: str) -> str:
    routes = knarr("exec", name, "ip", "route").splitlines()
    return next((line for line in routes if line.startswith("default")), "").strip()


def answers(host: Host, port: int = 8080) -> bool:
    try:
        with host.neighbour.connect(HOST, port) as connection:
            connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            return b"hello" in connection.recv(1 << 16) + connection.recv(1 << 16)
    except OSError:
        return False


def test_a_container_starts_in_several_networks(knarr: Knarr) -> None:
    places = ("--network", "one", "--network", "name=two,ip=10.9.2.77,alias=db,gw-priority=7")
    knarr("run", "-d", "--name", "box", *places, *IDLE)
    found = networks(knarr, "box")
    assert found["one"]["IPAddress"] == "10.9.1.2"
    assert found["two"]["IPAddress"] == "10.9.2.77"
    assert (found["two"]["Aliases"], found["two"]["GwPriority"]) == (["db"], 7)
    assert default_route(knarr, "box") == "default via 10.9.2.1 dev eth1"
    hosts = knarr("exec", "box", "cat", "/etc/hosts")
    assert "10.9.1.2\t" in hosts
    assert "10.9.2.77\t" in hosts


def test_link_local_addresses_come_beside_the_others(knarr: Knarr) -> None:
    words = ("--network", "one", "--link-local-ip", "169.254.7.7")
    knarr("run", "-d", "--name", "box", *words, *IDLE)
    knarr("network", "connect", "--link-local-ip", "169.254.9.9", "two", "box")
    shown = knarr("exec", "box", "ip", "addr")
    assert "inet 169.254.7.7/16" in shown
    assert "inet 169.254.9.9/16" in shown
    assert networks(knarr, "box")["one"]["IPAMConfig"] == {"LinkLocalIPs": ["169.254.7.7"]}
    said = knarr.fails("run", "--link-local-ip", "10.1.2.3", *words[:2], "busybox", status=125)
    assert "invalid link-local address: 10.1.2.3" in said


def test_without_priorities_the_first_name_is_the_way_out(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "box", "--network", "two", "--network", "one", *IDLE)
    assert default_route(knarr, "box") == "default via 10.9.1.1 dev eth1"


def test_connect_and_disconnect_a_running_container(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "--network", "one", "-p", "8080:80", *SERVE)
    knarr("run", "-d", "--name", "box", "--network", "two", *IDLE)
    knarr.wait_until(lambda: answers(host))
    reach = ("exec", "box", "wget", "-qO-", "http://10.9.2.9/page")
    knarr("network", "connect", "--ip", "10.9.2.9", "--alias", "db", "two", "web")
    assert knarr(*reach) == "hello\n"
    assert networks(knarr, "web")["two"]["Aliases"] == ["db"]
    assert "10.9.2.9\t" in knarr("exec", "web", "cat", "/etc/hosts")
    knarr("network", "disconnect", "one", "web")
    assert default_route(knarr, "web") == "default via 10.9.2.1 dev eth1"
    assert answers(host), "the port follows the way out"
    assert "10.9.1." not in knarr("exec", "web", "cat", "/etc/hosts")
    assert list(networks(knarr, "web")) == ["two"]
    knarr("restart", "-t", "0", "web")
    knarr.wait_until(lambda: answers(host))
    assert networks(knarr, "web")["two"]["IPAddress"] == "10.9.2.9"


def test_a_port_leads_nowhere_without_a_way_out_and_comes_back(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "--network", "one", "-p", "8080:80", *SERVE)
    knarr.wait_until(lambda: answers(host))
    knarr("network", "disconnect", "one", "web")
    assert networks(knarr, "web") == {}
    assert not answers(host)
    knarr("network", "connect", "two", "web")
    assert answers(host)


def test_connect_to_a_stopped_container_counts_at_its_start(knarr: Knarr) -> None:
    knarr("create", "--name", "box", "--network", "one", *IDLE)
    knarr("network", "connect", "two", "box")
    assert set(networks(knarr, "box")) == {"one", "two"}
    knarr("start", "box")
    assert networks(knarr, "box")["two"]["IPAddress"] == "10.9.2.2"


def test_what_does_not_go_is_refused_in_words(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "box", "--network", "one", *IDLE)
    knarr("run", "-d", "--name", "hosted", "--network", "host", *IDLE)
    knarr("run", "-d", "--name", "joined", "--network", "container:box", *IDLE)
    said = knarr.fails("network", "connect", "one", "box")
    assert "endpoint with name box already exists in network one" in said
    assert "is not connected to network two" in knarr.fails("network", "disconnect", "two", "box")
    assert "host network" in knarr.fails("network", "connect", "one", "hosted")
    assert "sharing network namespace" in knarr.fails("network", "connect", "one", "joined")
    said = knarr.fails("network", "connect", "--ip", "10.9.9.9", "two", "box")
    assert "no configured subnet contains IP address 10.9.9.9" in said
    assert list(networks(knarr, "box")) == ["one"], "what failed is taken back"
    assert "network three not found" in knarr.fails("network", "connect", "three", "box")
    both = ("run", "--network", "one", "--network", "host", "busybox", "true")
    assert "cannot attach both" in knarr.fails(*both, status=125)


def test_who_left_its_only_network_may_come_back(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "web", "--network", "one", *IDLE)
    knarr("network", "disconnect", "one", "web")
    assert networks(knarr, "web") == {}
    assert "not connected" in knarr.fails("network", "disconnect", "one", "web")
    knarr("network", "connect", "--ip", "10.9.1.77", "one", "web")
    assert networks(knarr, "web")["one"]["IPAddress"] == "10.9.1.77"
    knarr("network", "disconnect", "one", "web")
    knarr("restart", "-t", "0", "web")
    assert list(networks(knarr, "web")) == ["one"]


def test_events_tell_of_it(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "box", "--network", "one", *IDLE)
    knarr("network", "connect", "two", "box")
    knarr("network", "disconnect", "one", "box")
    words = ("events", "--since", "1m", "--until", "0s", "--filter", "type=network")
    seen = knarr(*words, "--format", "{{.Action}} {{.Actor.Attributes.name}}").splitlines()
    assert seen[-3:] == ["connect one", "connect two", "disconnect one"]


def test_ipv6_gets_an_address_of_the_roots_own_block(knarr: Knarr) -> None:
    knarr("network", "create", "--ipv6", "six")
    four, six = json.loads(knarr("network", "inspect", "six"))[0]["IPAM"]["Config"]
    assert (four["Subnet"][:3], six["Subnet"][:2], six["Subnet"][-3:]) == ("10.", "fd", "/64")
    knarr("run", "-d", "--name", "web", "--network", "six", *SERVE)
    knarr("run", "-d", "--name", "box", "--network", "six", *IDLE)
    address = networks(knarr, "web")["six"]["GlobalIPv6Address"]
    assert address == six["Subnet"].removesuffix("/64") + "2"
    page = f"http://[{address}]/page"
    knarr.wait_until(lambda: knarr.do("exec", "box", "wget", "-qO-", page).stdout == "hello\n")
    assert "default via" in knarr("exec", "box", "ip", "-6", "route")


def test_the_ipv6_loopback_address_of_the_host_refuses_at_once(knarr: Knarr, host: Host) -> None:
    knarr("network", "create", "--ipv6", "six")
    knarr("run", "-d", "--name", "web", "--network", "six", "-p", "8080:80", *SERVE)
    knarr.wait_until(lambda: answers(host))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", 8080), timeout=10)
    said = knarr.fails("run", "--network", "six", "-p", "[::1]:81:80", *SERVE, status=125)
    assert said.startswith("knarr: cannot publish port 80 on [::1]\n")


def test_a_network_of_ipv6_alone(knarr: Knarr) -> None:
    knarr("network", "create", "--ipv4=false", "--subnet", "fd00:9::/64", "--ipv6", "six")
    knarr("run", "-d", "--name", "box", "--network", "six", "--ip6", "fd00:9::77", *IDLE)
    found = networks(knarr, "box")["six"]
    assert (found["IPAddress"], found["GlobalIPv6Address"]) == ("", "fd00:9::77")
    assert "fd00:9::77\t" in knarr("exec", "box", "cat", "/etc/hosts")
    assert "inet 10." not in knarr("exec", "box", "ip", "addr")


def test_reload_makes_what_somebody_flushed(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "--network", "one", "-p", "8080:80", *SERVE)
    knarr.wait_until(lambda: answers(host))
    table = knarr.engine.networks.rules.table
    with Nftables() as kernel:
        kernel.apply([nftables.delete_table(table)])
    assert not answers(host)
    assert knarr("network", "reload") == ""
    assert answers(host)
