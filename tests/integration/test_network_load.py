"""Many networks, many containers, and what is left when somebody is killed halfway."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from knarr.linux import netlink, sublinks
from knarr.network.model import SandboxOptions
from support.engine import engine_on
from support.netns import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NETWORKS, ENDPOINTS = 200, 500


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with engine_on(host, tmp_path) as lent:
        yield lent


def test_two_hundred_networks_and_five_hundred_endpoints(knarr: Knarr, host: Host) -> None:
    """Counted is the processor's time: what the kernel waits for is no more for the last one."""
    networks = knarr.engine.networks
    begun = time.process_time()
    for number in range(NETWORKS):
        networks.create(f"net-{number}")
    created = time.process_time()
    for number in range(ENDPOINTS):
        networks.prepare(f"{number:064x}", SandboxOptions(f"net-{number % NETWORKS}")).close()
        networks.prepare(f"{number:032x}", SandboxOptions("net-0")).close()
    prepared = time.process_time()
    subnets = {pool.subnet for network in networks.list() for pool in network.pools}
    assert len(subnets) == NETWORKS + 1  # with that of `bridge`
    assert len(networks.members(networks.get("net-0"))) >= ENDPOINTS
    networks.reload()
    assert networks.rules.count_differences() == 0
    assert created - begun < 15, "creating networks got slow"
    assert prepared - created < 15, "joining networks got slow"
    assert len(host.links()) == NETWORKS
    networks.tear_down_all()


def test_fifty_at_once_on_one_network(knarr: Knarr) -> None:
    knarr("network", "create", "back")
    words = ("--network", "back", "busybox", "busybox", "sleep", "600")
    children = [
        subprocess.Popen(
            knarr.command("run", "-d", "--name", f"box-{number}", *words),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(50)
    ]  # fmt: skip
    outcomes = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * 50, outcomes
    members = json.loads(knarr("network", "inspect", "back"))[0]["Containers"].values()
    assert len({member["IPv4Address"] for member in members}) == 50
    assert "10." in knarr("exec", "box-0", "busybox", "nslookup", "box-49")
    knarr("rm", "-f", *(f"box-{number}" for number in range(50)))
    assert knarr.engine.networks.sandboxes.everyone() == []
    knarr("network", "rm", "back")


@pytest.mark.parametrize("options", [(), ("-o", "com.docker.network.bridge.name=own0")])
def test_a_half_made_network_is_taken_back(
    knarr: Knarr, host: Host, options: tuple[str, ...]
) -> None:
    knarr("network", "create", "kept")
    before = host.links()
    trace = "database:before-commit=kill"
    killed = knarr.do("network", "create", *options, "half", trace=trace)
    assert killed.returncode == -signal.SIGKILL
    assert len(host.links()) == len(before) + 1
    said = knarr.do("network", "ls", "--format", "{{.Name}}")
    assert "took back the network half" in said.stderr
    assert "half" not in said.stdout.split()
    assert host.links() == before
    assert knarr.engine.networks.rules.count_differences() == 0


def test_a_half_made_parent_is_taken_back(knarr: Knarr, host: Host) -> None:
    with netlink.Socket(netlink.NETLINK_ROUTE) as kernel:
        if not sublinks.knows(kernel, "macvlan"):
            pytest.skip("the kernel has no macvlan")
    knarr("network", "ls")
    trace = "database:before-commit=kill"
    command = ("network", "create", "-d", "macvlan", "half")
    assert knarr.do(*command, trace=trace).returncode == -signal.SIGKILL
    assert any(name.startswith("dm-") for name in host.links())
    assert "took back the network half" in knarr.do("network", "ls").stderr
    assert host.links() == set()


def test_a_half_removed_network_is_whole_when_it_is_used(knarr: Knarr) -> None:
    knarr("network", "create", "kept")
    killed = knarr.do("network", "rm", "kept", trace="database:before-commit=kill")
    assert killed.returncode == -signal.SIGKILL
    knarr("run", "--rm", "--network", "kept", "busybox", "true")
    assert knarr.engine.networks.rules.count_differences() == 0
    knarr("network", "rm", "kept")
