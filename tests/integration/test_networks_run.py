"""Containers on networks, by the command line, on a host that is a namespace of our own."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import lent_engine
from support.netns import HOST, NEIGHBOUR, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

SERVE = ("busybox", "busybox", "httpd", "-f", "-p", "80", "-h", "/www")


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with lent_engine(tmp_path) as lent:
        lent.add_image("busybox", files={"www/page": "hello from inside\n"})
        yield lent
    assert {name for name in host.links() if not name.startswith("kv")} == set()


def page(host: Host, port: int = 8080) -> str:
    """Return what a neighbour of the host gets from a published port."""
    with host.neighbour.connect(HOST, port) as connection:
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        received = b""
        while data := connection.recv(1 << 16):
            received += data
    return received.partition(b"\r\n\r\n")[2].decode()


def served(host: Host, port: int = 8080) -> bool:
    try:
        return page(host, port) == "hello from inside\n"
    except ConnectionRefusedError:
        return False


def inspect(knarr: Knarr, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(knarr("inspect", name))[0]["NetworkSettings"]
    return found


def test_a_published_container_is_seen_from_outside(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "-p", "8080:80", "-p", "127.0.0.1:8081:80/tcp", *SERVE)
    knarr.wait_until(lambda: served(host))
    assert knarr("port", "web") == "80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081\n"
    assert knarr("port", "web", "80") == "0.0.0.0:8080\n127.0.0.1:8081\n"
    assert "no public port '81/tcp' published for web" in knarr.fails("port", "web", "81")
    settings = inspect(knarr, "web")
    assert settings["IPAddress"] == "10.208.0.2"
    assert settings["Ports"]["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "8080"}
    (member,) = json.loads(knarr("network", "inspect", "bridge"))[0]["Containers"].values()
    assert (member["Name"], member["IPv4Address"]) == ("web", "10.208.0.2/20")
    knarr("stop", "-t", "0", "web")
    assert knarr("port", "web") == ""
    assert inspect(knarr, "web")["IPAddress"] == ""


def test_containers_reach_each_other_and_the_outside(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "-p", "8080:80", *SERVE)
    knarr.wait_until(lambda: served(host))
    for url in ("http://10.208.0.2/page", f"http://{HOST}:8080/page"):
        out = knarr("run", "--rm", "busybox", "busybox", "wget", "-q", "-O", "-", url)
        assert out == "hello from inside\n"
    with host.neighbour.serve() as server:
        client = knarr.start("run", "--rm", "busybox", "busybox", "nc", NEIGHBOUR, "80")
        server.settimeout(10)
        accepted, (address, _) = server.accept()
        accepted.close()
        client.communicate(timeout=10)
    assert address == HOST


def test_a_container_that_starts_again_keeps_its_port(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "-p", "8080:80", *SERVE)
    for _ in range(3):
        knarr.wait_until(lambda: served(host))
        knarr("restart", "-t", "0", "web")
    knarr.wait_until(lambda: served(host))


def test_a_port_can_be_had_again_at_once(knarr: Knarr, host: Host) -> None:
    for _ in range(4):
        knarr("run", "-d", "--name", "web", "-p", "8080:80", *SERVE)
        knarr.wait_until(lambda: served(host))
        knarr("rm", "-f", "web")
    knarr("run", "--rm", "-p", "8080:80", "busybox", "true")


def test_a_port_in_use_is_a_clear_error(knarr: Knarr, host: Host) -> None:
    knarr("run", "-d", "--name", "web", "-p", "8080:80", *SERVE)
    words = ("run", "--rm", "--name", "other", "-p", "8080:80", "busybox", "true")
    errors = knarr.fails(*words, status=125)
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in errors
    assert knarr("ps", "-a", "--format", "{{.Names}}") == "web\n"
    knarr.wait_until(lambda: served(host))


def test_ten_at_once(knarr: Knarr) -> None:
    words = ("run", "--rm", "busybox", "busybox", "ip", "-4", "-o", "address", "show", "eth0")
    children = [
        subprocess.Popen(knarr.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(10)
    ]
    outcomes = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 10, outcomes
    addresses = [out.split()[3] for out, _ in outcomes]
    assert len(set(addresses)) == 10
    assert knarr.engine.networks.sandboxes.everyone() == []


def test_the_hosts_namespace_can_be_shared(knarr: Knarr) -> None:
    out = knarr("run", "--rm", "--network", "host", "busybox", "busybox", "ip", "-o", "link")
    assert "up0" in out
    out = knarr("run", "--rm", "--network", "host", "busybox", "hostname")
    assert out.strip() == os.uname().nodename


def test_none_has_loopback_alone(knarr: Knarr) -> None:
    out = knarr("run", "--rm", "--network", "none", "busybox", "busybox", "ip", "-o", "link")
    assert "lo: <LOOPBACK,UP,LOWER_UP>" in out
    assert out.count("\n") == 1


def test_names_and_addresses_of_the_container_itself(knarr: Knarr) -> None:
    script = "hostname; cat /etc/hostname; busybox grep box /etc/hosts; cat /etc/resolv.conf"
    out = knarr(
        "run", "--rm", "-h", "box", "--dns", "192.0.2.53", "--dns-search", "lan",
        "--add-host", "gate:host-gateway", "busybox", "sh", "-c", script,
    )  # fmt: skip
    assert out.splitlines() == [
        "box", "box", "10.208.0.2\tbox", "nameserver 192.0.2.53", "search lan",
    ]  # fmt: skip


def test_networks_by_the_command_line(knarr: Knarr) -> None:
    network_id = knarr("network", "create", "--subnet", "10.9.8.0/24", "--label", "a=b", "own")
    assert knarr("network", "ls", "--format", "{{.Name}} {{.Driver}}").splitlines() == [
        "bridge bridge", "host host", "none null", "own bridge",
    ]  # fmt: skip
    assert knarr("network", "ls", "-q", "-f", "label=a").strip() == network_id[:12]
    words = ("run", "-d", "--name", "one", "--network", "own", "--ip", "10.9.8.7", *SERVE)
    knarr(*words)
    assert inspect(knarr, "one")["Networks"]["own"]["IPAddress"] == "10.9.8.7"
    assert "has active endpoints" in knarr.fails("network", "rm", "own")
    knarr("rm", "-f", "one")
    assert knarr("network", "rm", "own") == "own\n"
    assert "network own not found" in knarr.fails("network", "inspect", "own")
    errors = knarr.fails("run", "--rm", "--network", "own", "busybox", "true", status=125)
    assert "network own not found" in errors


def test_pruning_networks_asks_first(knarr: Knarr) -> None:
    knarr("network", "create", "own")
    asked = knarr("network", "prune", stdin=b"n\n")
    assert asked.startswith("WARNING! This will remove all custom networks not used by at least")
    assert knarr("network", "ls", "-q", "-f", "name=own")
    assert knarr("network", "prune", "-f") == "Deleted Networks:\nown\n\n"
