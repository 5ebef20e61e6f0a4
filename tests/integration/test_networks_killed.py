"""Many at once, and killed at any point: addresses and ports are had once, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.engine.engine import Engine
from knarr.linux.nfnetlink import Nftables
from knarr.network import firewall
from knarr.network.model import PortMapping, SandboxOptions
from support.netns import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

TESTS = str(Path(__file__).parents[1])

# Prepares, attaches and, when its standard input ends, detaches; says what it got.
SANDBOX = f"""
import sys
sys.path.insert(0, {TESTS!r})
from knarr.engine.engine import Engine
from knarr.network.model import PortMapping, SandboxOptions
from support.netns import Netns
root, name, port = sys.argv[1:]
networks = Engine(root, root + "-run", recover=False).networks
ports = (PortMapping(80, host_port=int(port)),) if port else ()
prepared = networks.prepare(name, SandboxOptions(ports=ports))
networks.attach(prepared, Netns().pid)
print(prepared.endpoints[0].address, flush=True)
sys.stdin.read()
prepared.close()
networks.detach(name)
"""


@pytest.fixture
def engine(host: Host, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(str(tmp_path / "root"), str(tmp_path / "root-run"))
    yield made
    made.networks.tear_down_all()
    made.close()


def start(engine: Engine, name: str, port: str = "", *, trace: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SANDBOX, engine.paths.root, name, port],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "KNARR_TRACE": trace},
    )  # fmt: skip


def finish(child: subprocess.Popen[str]) -> str:
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    return out.strip()


def assert_consistent(engine: Engine) -> None:
    """Assert that the kernel's table, if it was made, is what the records say."""
    networks = engine.networks
    table = networks.rules.table
    plan = firewall.plan(
        networks.bridges.realm,
        [network for network in networks.recorded() if network.interface],
        networks.leads(),
    )
    with Nftables() as kernel:
        if kernel.find_table(table.family, table.name) is not None:
            assert firewall.difference(kernel, plan) == []


def test_ten_at_once_get_an_address_each(engine: Engine, host: Host) -> None:
    children = [start(engine, f"{number:064d}", "") for number in range(10)]
    addresses = [finish(child) for child in children]
    assert len(set(addresses)) == 10
    assert len([name for name in host.links() if name.startswith("kn")]) == 1
    assert engine.networks.sandboxes.everyone() == []


def test_ten_at_once_that_want_one_port(engine: Engine) -> None:
    children = [start(engine, f"{number:064d}", "8080") for number in range(10)]
    assert any(child.stdout and child.stdout.readline() for child in children)
    outcomes = [child.communicate(timeout=60)[1] for child in children]
    assert sum(child.returncode == 0 for child in children) >= 1
    for child, errors in zip(children, outcomes, strict=True):
        assert child.returncode == 0 or "port is already allocated" in errors
    assert engine.networks.published() == {}
    assert_consistent(engine)


def wait_for_no_interface(host: Host) -> None:
    """Wait until the kernel has got rid of a namespace that nobody is in."""
    deadline = time.monotonic() + 10
    while any(name.startswith("kv") for name in host.links()):
        assert time.monotonic() < deadline, "an interface is still there"
        time.sleep(0.01)


POINTS = [
    "networks:prepared", "networks:connected", "networks:attached", "networks:unpublished",
    "database:before-commit", "database:after-commit",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_the_next_one_gets_what_a_killed_one_had(engine: Engine, host: Host, point: str) -> None:
    engine.networks.ensure_default()
    killed = start(engine, "a" * 64, "8080", trace=f"{point}=kill")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    wait_for_no_interface(host)
    finish(start(engine, "b" * 64, "8080"))
    prepared = engine.networks.prepare(
        "c" * 64, SandboxOptions(ports=(PortMapping(80, "tcp", "", 8080),))
    )
    prepared.close()
    engine.networks.detach("c" * 64)
    assert engine.networks.published() == {}


@pytest.mark.parametrize("point", POINTS)
def test_what_a_killed_one_left_is_released(engine: Engine, point: str) -> None:
    engine.networks.ensure_default()
    start(engine, "a" * 64, "8080", trace=f"{point}=kill").communicate(timeout=60)
    engine.networks.release_dead(lambda _: False)
    assert engine.networks.sandboxes.everyone() == []
    assert engine.networks.published() == {}
    assert_consistent(engine)


def test_a_living_one_keeps_what_it_has(engine: Engine) -> None:
    child = start(engine, "a" * 64, "8080")
    assert child.stdout
    assert child.stdout.readline()
    options = SandboxOptions(ports=(PortMapping(80, host_port=8080),))
    with pytest.raises(Exception, match="port is already allocated"):
        engine.networks.prepare("b" * 64, options)
    finish(child)
