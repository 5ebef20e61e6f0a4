"""Names on networks that users make: who knows whom, who asks whom, and what nobody can stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from knarr.network import dns
from support.engine import lent_engine
from support.nameserver import (
    NameServer,
    addresses,
    code,
    question,
    receive,
    serving,
    truncated,
)
from support.netns import NEIGHBOUR, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

IDLE = ("busybox", "sleep", "1000")
SERVER = ("127.0.0.11", 53)
MANY = {"many.example": tuple(f"198.51.{n // 200}.{n % 200 + 1}" for n in range(400))}
WORLD = {"example.org": ("203.0.113.9",), **MANY}


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with lent_engine(tmp_path) as lent:
        lent("network", "create", "--subnet", "10.9.1.0/24", "one")
        yield lent
    assert {name for name in host.links() if not name.startswith("kv")} == set()


def asker(knarr: Knarr, name: str) -> socket.socket:
    with knarr.inside(name):
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.settimeout(10)
    found.connect(SERVER)
    return found


def ask(knarr: Knarr, container: str, name: str, kind: int = dns.A, room: int = 0) -> bytes:
    """Return what a container is told when it asks for a name."""
    with asker(knarr, container) as one:
        one.send(question(name, kind, room=room))
        return one.recv(65535)


def ask_stream(knarr: Knarr, container: str, name: str) -> bytes:
    with knarr.inside(container), socket.create_connection(SERVER, 10) as one:
        message = question(name)
        one.sendall(struct.pack("!H", len(message)) + message)
        return receive(one)


def test_members_find_each_other(knarr: Knarr) -> None:
    for name in ("web", "box"):
        knarr("run", "-d", "--name", name, "--network", "one", "--network-alias", "db", *IDLE)
    short = json.loads(knarr("inspect", "web"))[0]["Id"][:12]
    for name in ("web", "web.one", "WEB", short):
        assert addresses(ask(knarr, "box", name)) == ["10.9.1.2"]
    assert sorted(addresses(ask(knarr, "box", "db"))) == ["10.9.1.2", "10.9.1.3"]
    assert b"\x03web\x03one" in ask(knarr, "box", "2.1.9.10.in-addr.arpa", dns.PTR)
    said = ask(knarr, "box", "web", dns.AAAA)
    assert (addresses(said), code(said)) == ([], dns.NOERROR)
    assert "10.9.1.2" in knarr("exec", "box", "busybox", "nslookup", "web")


def test_changes_are_seen_at_once(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "box", "--network", "one", "--dns", NEIGHBOUR, *IDLE)
    knarr("run", "-d", "--name", "web", "--network", "one", *IDLE)
    with asker(knarr, "box") as one:

        def found(name: str) -> list[str]:
            one.send(question(name))
            return addresses(one.recv(65535))

        assert found("web") == ["10.9.1.3"]
        knarr("rename", "web", "shop")
        assert found("shop") == ["10.9.1.3"]
        knarr("restart", "-t", "0", "shop")
        assert found("shop") == ["10.9.1.4"]


def test_other_networks_are_not_known_until_joined(knarr: Knarr, host: Host) -> None:
    knarr("network", "create", "two")
    with serving(NameServer(WORLD), host.neighbour):
        knarr("run", "-d", "--name", "web", "--network", "one", *IDLE)
        knarr("run", "-d", "--name", "box", "--network", "two", "--dns", NEIGHBOUR, *IDLE)
        assert code(ask(knarr, "box", "web")) == dns.NAME_ERROR
        knarr("network", "connect", "one", "box")
        assert addresses(ask(knarr, "box", "web")) == ["10.9.1.2"]
        knarr("network", "disconnect", "one", "box")
        assert code(ask(knarr, "box", "web")) == dns.NAME_ERROR


def test_the_default_network_gets_names_with_the_first_that_has_them(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "web", "--network", "one", *IDLE)
    knarr("run", "-d", "--name", "box", "--dns", NEIGHBOUR, *IDLE)
    assert knarr("exec", "box", "cat", "/etc/resolv.conf").startswith(f"nameserver {NEIGHBOUR}\n")
    knarr("network", "connect", "one", "box")
    assert knarr("exec", "box", "cat", "/etc/resolv.conf").startswith("nameserver 127.0.0.11\n")
    assert addresses(ask(knarr, "box", "web")) == ["10.9.1.2"]


def test_the_rest_of_the_world_is_asked(knarr: Knarr, host: Host) -> None:
    words = ("run", "-d", "--name", "box", "--network", "one", "--dns", NEIGHBOUR)
    with serving(NameServer(WORLD), host.neighbour) as server:
        knarr(*words, "--dns-search", "example.net", *IDLE)
        assert addresses(ask(knarr, "box", "example.org")) == ["203.0.113.9"]
        assert code(ask(knarr, "box", "nowhere.example")) == dns.NAME_ERROR
        assert truncated(ask(knarr, "box", "many.example"))
        assert len(addresses(ask_stream(knarr, "box", "many.example"))) == 400
        assert addresses(ask_stream(knarr, "box", "box")) == ["10.9.1.2"]
        assert "box" not in server.asked
    text = knarr("exec", "box", "cat", "/etc/resolv.conf")
    assert text == "nameserver 127.0.0.11\nsearch example.net\noptions ndots:0\n"


def test_a_server_that_does_not_answer_holds_up_nobody(knarr: Knarr, host: Host) -> None:
    words = ("run", "-d", "--name", "box", "--network", "one", "--dns", "192.0.2.7")
    with serving(NameServer(WORLD), host.neighbour):
        knarr(*words, "--dns", NEIGHBOUR, *IDLE)
        with asker(knarr, "box") as slow, asker(knarr, "box") as quick:
            slow.send(question("example.org"))
            quick.send(question("box"))
            assert addresses(quick.recv(65535)) == ["10.9.1.2"]
            assert addresses(slow.recv(65535)) == ["203.0.113.9"], "from the second server"


def test_without_a_way_out_nobody_is_asked(knarr: Knarr, host: Host) -> None:
    knarr("network", "create", "--internal", "inner")
    with serving(NameServer(WORLD), host.neighbour) as server:
        for name in ("web", "box"):
            knarr("run", "-d", "--name", name, "--network", "inner", "--dns", NEIGHBOUR, *IDLE)
        assert addresses(ask(knarr, "box", "web"))
        assert code(ask(knarr, "box", "example.org")) == dns.SERVER_FAILURE
        assert server.asked == []


def test_names_survive_the_supervisor(knarr: Knarr) -> None:
    for name in ("web", "box"):
        knarr("run", "-d", "--name", name, "--network", "one", *IDLE)
    task = json.loads((knarr.directory / f"root/containers/{_id(knarr)}/task.json").read_text())
    os.kill(task["supervisor_pid"], signal.SIGKILL)
    knarr.wait_until(lambda: "new supervisor" in knarr.do("ps").stderr)
    assert addresses(ask(knarr, "box", "web")) == ["10.9.1.2"]


def _id(knarr: Knarr) -> str:
    return knarr("inspect", "-f", "{{.Id}}", "box").strip()


def test_nonsense_and_floods_end_nothing(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "box", "--network", "one", "--dns", "192.0.2.7", *IDLE)
    with asker(knarr, "box") as one:
        for message in (b"", b"\0", os.urandom(100), b"\0" * 3000, question("a" * 60 + ".b" * 90)):
            one.send(message)
        for number in range(2000):  # of a server that does not answer
            one.send(question(f"x{number}.example", number=number))
    with knarr.inside("box"):
        idle = [socket.create_connection(SERVER, 10) for _ in range(100)]
    for connection in idle:
        connection.close()

    def still_there() -> bool:
        with asker(knarr, "box") as late:
            late.settimeout(1)
            late.send(question("box"))
            with contextlib.suppress(TimeoutError):
                return addresses(late.recv(65535)) == ["10.9.1.2"]
            return False

    knarr.wait_until(still_there)


def test_no_names_are_left(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "box", "--network", "one", *IDLE)
    directory = knarr.directory / "run/names"
    assert len(list(directory.iterdir())) == 1
    knarr("rm", "-f", "box")
    deadline = time.monotonic() + 5
    while list(directory.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(directory.iterdir()) == []
