"""`knarr explain network`: each thing that can be wrong on the way, made wrong from outside."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from knarr.linux import netlink, sublinks
from support.engine import engine_on
from support.nameserver import NameServer, serving
from support.netns import HOST, NEIGHBOUR, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

IDLE = ("busybox", "busybox", "sleep", "600")


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with engine_on(host, tmp_path) as lent:
        yield lent


def explain(knarr: Knarr, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(knarr("explain", "-f", "json", "network", *names))
    plain = knarr("explain", "network", *names)
    assert plain == "\n".join(filter(None, (found["Sentence"], found["Fix"]))) + "\n"
    return found


def cause(knarr: Knarr, *names: str) -> str:
    return str(explain(knarr, *names)["Cause"])


def start(knarr: Knarr, name: str, *options: str) -> None:
    knarr("run", "-d", "--name", name, "--dns", NEIGHBOUR, *options, *IDLE)


def listen(knarr: Knarr, name: str, port: int, address: str = "") -> socket.socket:
    with knarr.inside(name):
        return socket.create_server((address, port))


def run(words: str) -> None:
    subprocess.run(words.split(), check=True)


def test_the_way_is_free(knarr: Knarr, host: Host) -> None:
    knarr("network", "create", "back")
    start(knarr, "box", "--network", "back")
    start(knarr, "web", "--network", "back", "-p", "8080:80")
    with listen(knarr, "web", 80):
        assert cause(knarr, "box", "web") == "reached"
        found = explain(knarr, "box", "web:80")
        assert (found["Cause"], found["Reached"]) == ("reached", True)
        assert found["Sentence"].startswith("box reaches web port 80 at 10.")
        assert "0.0.0.0:8080 of the host" in explain(knarr, "web")["Sentence"]
        assert cause(knarr, "box") == "connected"
    with host.neighbour.serve(80):
        assert cause(knarr, "box", f"{NEIGHBOUR}:80") == "reached"


def test_somebody_does_not_run(knarr: Knarr) -> None:
    start(knarr, "box")
    knarr("create", "--name", "web", *IDLE)
    assert cause(knarr, "web") == "not-running"
    assert cause(knarr, "box", "web") == "target-not-running"
    assert "knarr start web" in explain(knarr, "box", "web")["Fix"]


def test_the_port_is_another_s(knarr: Knarr) -> None:
    with socket.create_server(("", 8080)):
        knarr.do("run", "-d", "--name", "web", "-p", "8080:80", *IDLE)
        found = explain(knarr, "web")
    assert found["Cause"] == "port-taken"
    assert "8080" in found["Sentence"]


def test_there_is_no_network(knarr: Knarr) -> None:
    start(knarr, "box", "--network", "none")
    start(knarr, "web")
    assert cause(knarr, "box", "web") == "no-network"
    assert cause(knarr, "web", "box") == "target-without-network"
    knarr("network", "disconnect", "bridge", "web")
    assert cause(knarr, "web") == "left-all-networks"


def test_the_networks_are_different(knarr: Knarr) -> None:
    for name in ("one", "two"):
        knarr("network", "create", name)
        start(knarr, f"in-{name}", "--network", name)
    found = explain(knarr, "in-one", "in-two:80")
    assert found["Cause"] == "no-common-network"
    assert found["Fix"].endswith("knarr network connect two in-one")
    knarr("network", "connect", "two", "in-one")
    with listen(knarr, "in-two", 80):
        assert cause(knarr, "in-one", "in-two:80") == "reached"


def test_members_are_kept_apart(knarr: Knarr) -> None:
    knarr("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart")
    start(knarr, "box", "--network", "apart")
    start(knarr, "web", "--network", "apart")
    assert cause(knarr, "box", "web") == "members-kept-apart"


def test_the_bridge_has_no_names(knarr: Knarr) -> None:
    start(knarr, "box")
    start(knarr, "web")
    found = explain(knarr, "box", "web")
    assert found["Cause"] == "no-names"
    assert found["Reached"] is True


def test_it_listens_on_loopback_or_not_at_all(knarr: Knarr) -> None:
    knarr("network", "create", "back")
    start(knarr, "box", "--network", "back")
    start(knarr, "web", "--network", "back", "-p", "8080:80")
    assert cause(knarr, "box", "web:80") == "nothing-listens"
    assert cause(knarr, "web") == "port-deaf"
    with listen(knarr, "web", 80, "127.0.0.1"):
        assert cause(knarr, "box", "web:80") == "listens-on-loopback"
        assert cause(knarr, "web") == "port-on-loopback"
    with listen(knarr, "web", 80):
        found = explain(knarr, "box", "web:8080")
        assert found["Cause"] == "host-port-inside"
        assert found["Fix"] == "Connect to port 80."


def test_localhost_is_not_the_host(knarr: Knarr) -> None:
    start(knarr, "box")
    with socket.create_server(("", 5432)):
        assert cause(knarr, "box", "localhost:5432") == "localhost-is-itself"
        gateway = knarr(
            "inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "box"
        ).strip()
        assert cause(knarr, "box", f"{gateway}:5432") == "reached"
    with socket.create_server(("127.0.0.1", 5432)):
        assert cause(knarr, "box", f"{HOST}:5432") == "host-listens-on-loopback"


def test_the_allowlist_does_not_have_it(knarr: Knarr, host: Host) -> None:
    start(knarr, "box", "--egress", f"{NEIGHBOUR}:80")
    with host.neighbour.serve(80):
        assert cause(knarr, "box", f"{NEIGHBOUR}:80") == "reached"
    with knarr.inside("box"), pytest.raises(OSError, match=r"host|unreach"):
        socket.create_connection((NEIGHBOUR, 443), 3)
    found = explain(knarr, "box", f"{NEIGHBOUR}:443")
    assert found["Cause"] == "egress"
    assert "1 packets were refused" in found["Sentence"]
    assert cause(knarr, "box", "example.org:443") == "egress"


def test_an_allowed_name_is_reached(knarr: Knarr, host: Host) -> None:
    start(knarr, "box", "--egress", "example.org:80")
    server = NameServer({"example.org": (NEIGHBOUR,)})
    with serving(server, host.neighbour), host.neighbour.serve(80):
        assert cause(knarr, "box", "example.org:80") == "reached"
        assert cause(knarr, "box", "example.org:81") == "egress"


def test_an_internal_network_has_no_way_out(knarr: Knarr) -> None:
    knarr("network", "create", "--internal", "closed")
    start(knarr, "box", "--network", "closed", "-p", "8080:80")
    assert cause(knarr, "box", f"{NEIGHBOUR}:80") == "internal-network"
    assert cause(knarr, "box") == "published-nowhere"


def test_names_are_unknown_or_nobody_answers(knarr: Knarr, host: Host) -> None:
    start(knarr, "box")
    with serving(NameServer({"example.org": (NEIGHBOUR,)}), host.neighbour):
        with host.neighbour.serve(80):
            assert cause(knarr, "box", "example.org:80") == "reached"
        found = explain(knarr, "box", "exmaple.org:80")
        assert found["Cause"] == "name-unknown"
        assert NEIGHBOUR in found["Sentence"]
    assert cause(knarr, "box", "example.org:80") == "name-servers-silent"


def test_there_is_no_route(knarr: Knarr) -> None:
    start(knarr, "box")
    assert cause(knarr, "box", "[2001:db8::1]:80") == "no-route"
    with knarr.inside("box"):
        run("ip route del default")
    assert cause(knarr, "box", f"{NEIGHBOUR}:80") == "no-route"


def test_the_host_does_not_forward(knarr: Knarr) -> None:
    start(knarr, "box")
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
        file.write("0")
    assert cause(knarr, "box", f"{NEIGHBOUR}:80") == "host-does-not-forward"


def test_the_host_drops_what_is_forwarded(knarr: Knarr) -> None:
    start(knarr, "box")
    run("nft add table inet strict")
    subprocess.run(
        ["nft", "add chain inet strict wall { type filter hook forward priority 0; policy drop; }"],
        check=True,
    )
    found = explain(knarr, "box", f"{NEIGHBOUR}:80")
    assert found["Cause"] == "host-drops-forwarded"
    assert "wall of the table strict" in found["Sentence"]


def test_the_other_side_refuses_or_is_silent(knarr: Knarr, host: Host) -> None:
    start(knarr, "box")
    assert cause(knarr, "box", f"{NEIGHBOUR}:81") == "refused"
    with host.neighbour.inside():
        run("nft add table inet quiet")
        subprocess.run(
            ["nft", "add chain inet quiet in { type filter hook input priority 0; policy drop; }"],
            check=True,
        )
    assert cause(knarr, "box", f"{NEIGHBOUR}:81") == "no-answer"
    assert cause(knarr, "box", "192.0.2.77:81") == "unreachable"


def test_something_of_the_kernel_s_is_gone(knarr: Knarr) -> None:
    start(knarr, "box")
    with knarr.inside("box"):
        run("ip link set eth0 down")
    assert cause(knarr, "box") == "interface-down"
    with knarr.inside("box"):
        run("ip link del eth0")
    assert cause(knarr, "box") == "interface-gone"
    knarr("restart", "-t", "0", "box")
    run(f"nft delete table inet {knarr.engine.networks.rules.table.name}")
    assert cause(knarr, "box") == "rules-gone"
    knarr("network", "reload")
    assert cause(knarr, "box") == "connected"
    (bridge,) = knarr.engine.networks.get("bridge").interface.split()
    run(f"ip link set {bridge} down")
    assert cause(knarr, "box") == "bridge-gone"


def test_its_packets_are_too_large(knarr: Knarr) -> None:
    knarr("network", "create", "-o", "com.docker.network.driver.mtu=1500", "wide")
    start(knarr, "box", "--network", "wide")
    found = explain(knarr, "box")
    assert found["Cause"] == "packets-too-large"
    assert "1500 bytes, the host's way out takes 1400" in found["Sentence"]


def test_it_is_published_for_the_host_alone(knarr: Knarr) -> None:
    start(knarr, "web", "-p", "127.0.0.1:8080:80")
    with listen(knarr, "web", 80):
        assert cause(knarr, "web") == "local-port"


def test_the_network_is_the_host_s(knarr: Knarr) -> None:
    start(knarr, "box", "--network", "host")
    assert cause(knarr, "box") == "shares-the-host"


def test_a_wire_does_not_lead_to_the_host(knarr: Knarr) -> None:
    with netlink.Socket(netlink.NETLINK_ROUTE) as kernel:
        if not sublinks.knows(kernel, "macvlan"):
            pytest.skip("the kernel has no macvlan")
    subnet = ("--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.64/26", "--gateway", NEIGHBOUR)
    knarr("network", "create", "-d", "macvlan", "-o", "parent=up0", *subnet, "wire")
    start(knarr, "box", "--network", "wire")
    assert cause(knarr, "box", f"{HOST}:80") == "wire-beside-the-host"


def test_what_is_no_target_is_refused(knarr: Knarr) -> None:
    start(knarr, "box")
    assert "invalid target" in knarr.fails("explain", "network", "box", "web:http")
    assert "no such container: nobody" in knarr.fails("explain", "network", "nobody").lower()
