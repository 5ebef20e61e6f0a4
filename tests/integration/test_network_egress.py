"""`--egress`: a container connects to what it may connect to, and to nothing else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from knarr.network import dns
from support.engine import lent_engine
from support.nameserver import NameServer, addresses, code, question, serving
from support.netns import HOST, NEIGHBOUR, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

IDLE = ("busybox", "busybox", "sleep", "600")
GOOD, BAD, DEEP = "203.0.113.10", "203.0.113.20", "203.0.113.30"
GOOD6 = "2001:db8:1::10"
WORLD = {
    "good.example": (GOOD, GOOD6),
    "bad.example": (BAD,),
    "deep.down.example": (DEEP,),
    "loop.example": ("127.0.0.1", "169.254.169.254"),
}
NOT_THERE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES)


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    for words in (
        "addr add 2001:db8::2/64 dev up0 nodad", "route add default via 2001:db8::1"
    ):  # fmt: skip
        subprocess.run(["ip", "-6", *words.split()], check=True)
    with made.neighbour.inside():
        for words in (
            *(f"addr add {address}/32 dev lo" for address in (GOOD, BAD, DEEP)),
            f"addr add {GOOD6}/128 dev lo", "addr add 2001:db8::1/64 dev w0 nodad",
            "route add default via 2001:db8::2", "route add default via 192.0.2.2",
        ):  # fmt: skip
            version = "-6" if "2001" in words else "-4"
            subprocess.run(["ip", version, *words.split()], check=True)
    yield made
    made.close()


@pytest.fixture
def knarr(host: Host, tmp_path: Path) -> Iterator[Knarr]:
    with lent_engine(tmp_path) as lent:
        lent.add_image("busybox")
        yield lent
    assert {name for name in host.links() if not name.startswith("kv")} == set()


@pytest.fixture
def world(host: Host) -> Iterator[NameServer]:
    """Servers at every address of the neighbour, on port 80 and 443, and one for names."""
    with serving(NameServer(WORLD), host.neighbour) as server, contextlib.ExitStack() as stack:
        for port in (80, 443):
            with host.neighbour.inside():
                listener = socket.create_server(
                    ("::", port), family=socket.AF_INET6, dualstack_ipv6=True
                )
            stack.enter_context(accepting(listener))
        yield server


@contextlib.contextmanager
def accepting(listener: socket.socket) -> Iterator[None]:
    """Answer every line with itself, until the end."""

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(1024):
                connection.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def start(knarr: Knarr, name: str, *options: str) -> None:
    knarr("run", "-d", "--name", name, "--dns", NEIGHBOUR, *options, *IDLE)


def connect(knarr: Knarr, name: str, address: str, port: int = 80) -> socket.socket:
    with knarr.inside(name):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(3)
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            raise
    return made


def talk(connection: socket.socket) -> bool:
    connection.sendall(b"hello")
    return connection.recv(16) == b"hello"


def reaches(knarr: Knarr, name: str, address: str, port: int = 80) -> bool:
    """Tell whether a connection comes about; one that a rule refuses is refused at once."""
    try:
        with connect(knarr, name, address, port) as made:
            return talk(made)
    except OSError as error:
        refused = error.errno in NOT_THERE
    assert refused
    return False


def ask(knarr: Knarr, name: str, what: str, kind: int = dns.A) -> tuple[int, list[str]]:
    """Return what a container's resolver says of a name."""
    with knarr.inside(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(5)
        asker.connect(("127.0.0.11", 53))
        asker.send(question(what, kind))
        said = asker.recv(4096)
    return code(said), addresses(said)


@pytest.mark.usefixtures("world")
def test_with_none_nothing_is_reached(knarr: Knarr, world: NameServer) -> None:
    start(knarr, "box", "--egress", "none")
    start(knarr, "other")
    gateway = json.loads(knarr("inspect", "box"))[0]["NetworkSettings"]["Gateway"]
    other = json.loads(knarr("inspect", "other"))[0]["NetworkSettings"]["IPAddress"]
    for address in (GOOD, NEIGHBOUR, HOST, gateway, other):
        assert not reaches(knarr, "box", address), address
    assert ask(knarr, "box", "good.example") == (dns.NAME_ERROR, [])
    assert world.asked == []
    assert reaches(knarr, "other", GOOD)
    assert json.loads(knarr("inspect", "box"))[0]["HostConfig"]["Egress"] == []
    assert json.loads(knarr("inspect", "other"))[0]["HostConfig"]["Egress"] is None


@pytest.mark.usefixtures("world")
def test_an_allowed_name_is_reached_once_it_was_answered(knarr: Knarr, world: NameServer) -> None:
    start(knarr, "box", "--egress", "good.example:80,*.down.example")
    assert not reaches(knarr, "box", GOOD)  # nobody asked for the name
    assert ask(knarr, "box", "good.example") == (dns.NOERROR, [GOOD])
    assert reaches(knarr, "box", GOOD)
    assert not reaches(knarr, "box", GOOD, 443)
    assert ask(knarr, "box", "bad.example") == (dns.NAME_ERROR, [])
    assert not reaches(knarr, "box", BAD)
    assert ask(knarr, "box", "Deep.Down.Example")[1] == [DEEP]
    assert reaches(knarr, "box", DEEP)
    assert reaches(knarr, "box", DEEP, 443)
    assert ask(knarr, "box", "down.example")[0] == dns.NAME_ERROR
    assert world.asked == ["good.example", "deep.down.example"]
    assert json.loads(knarr("inspect", "box"))[0]["HostConfig"]["Egress"] == [
        "good.example:80", "*.down.example"
    ]  # fmt: skip


@pytest.mark.usefixtures("world")
def test_addresses_and_blocks(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", f"203.0.113.0/28:80,{BAD}:443", "--egress", f"{NEIGHBOUR}/icmp")
    assert reaches(knarr, "box", GOOD)
    assert not reaches(knarr, "box", GOOD, 443)
    assert not reaches(knarr, "box", BAD)
    assert reaches(knarr, "box", BAD, 443)
    assert not reaches(knarr, "box", DEEP)
    ping = ("exec", "box", "busybox", "ping", "-c", "1", "-W", "1")
    assert knarr.do(*ping, NEIGHBOUR).returncode == 0
    assert knarr.do(*ping, GOOD).returncode != 0


@pytest.mark.usefixtures("world")
def test_name_servers_are_not_reached_but_through_the_resolver(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "good.example:80")
    with knarr.inside("box"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.5)
        asker.connect((NEIGHBOUR, 53))
        with pytest.raises(OSError, match=r"timed out|unreachable|No route|denied|host"):
            asker.send(question("good.example", dns.A))
            asker.recv(512)


@pytest.mark.usefixtures("world")
def test_anywhere_on_one_port(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "*:443")
    assert ask(knarr, "box", "bad.example")[1] == [BAD]
    assert reaches(knarr, "box", BAD, 443)
    assert not reaches(knarr, "box", BAD, 80)


@pytest.mark.usefixtures("world")
def test_a_name_does_not_open_the_host_or_the_link(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "loop.example")
    assert len(ask(knarr, "box", "loop.example")[1]) == 2
    assert not reaches(knarr, "box", "169.254.169.254")


@pytest.mark.usefixtures("world")
def test_names_of_the_hosts_file_are_allowed_too(knarr: Knarr) -> None:
    added = ("--add-host", f"db.example:{BAD}", "--add-host", "box.host:host-gateway")
    start(knarr, "box", *added, "--egress", "db.example:80,box.host:8000")
    assert reaches(knarr, "box", BAD)
    assert not reaches(knarr, "box", GOOD)
    gateway = json.loads(knarr("inspect", "box"))[0]["NetworkSettings"]["Gateway"]
    with accepting(socket.create_server(("", 8000))):
        assert reaches(knarr, "box", gateway, 8000)


@pytest.mark.usefixtures("world")
def test_ipv6_is_held_too(knarr: Knarr) -> None:
    knarr("network", "create", "--ipv6", "six")
    start(knarr, "box", "--network", "six", "--egress", "good.example:80")
    start(knarr, "free", "--network", "six")
    found = json.loads(knarr("inspect", "free"))[0]["NetworkSettings"]["Networks"]["six"]
    knarr.wait_until(lambda: reaches(knarr, "free", GOOD6))
    assert not reaches(knarr, "box", GOOD6)
    assert not reaches(knarr, "box", found["GlobalIPv6Address"])
    assert ask(knarr, "box", "good.example", dns.AAAA)[1] == [GOOD6]
    knarr.wait_until(lambda: reaches(knarr, "box", GOOD6))
    assert not reaches(knarr, "box", GOOD6, 443)


def serve(knarr: Knarr, name: str, port: int) -> contextlib.AbstractContextManager[None]:
    with knarr.inside(name):
        return accepting(socket.create_server(("", port)))


def test_a_neighbour_is_reached_by_its_name_alone(knarr: Knarr) -> None:
    knarr("network", "create", "back")
    for name in ("good", "bad"):
        knarr("run", "-d", "--name", name, "--network", "back", *IDLE)
    knarr("run", "-d", "--name", "box", "--network", "back", "--egress", "good:80", *IDLE)
    listed = json.loads(knarr("network", "inspect", "back"))[0]["Containers"].values()
    at = {one["Name"]: one["IPv4Address"].partition("/")[0] for one in listed}
    with serve(knarr, "good", 80), serve(knarr, "bad", 80), serve(knarr, "box", 80):
        assert not reaches(knarr, "box", at["good"])
        assert ask(knarr, "box", "good")[1] == [at["good"]]
        assert reaches(knarr, "box", at["good"])
        assert not reaches(knarr, "box", at["bad"])
        assert reaches(knarr, "bad", at["box"])  # what comes in is answered
        assert reaches(knarr, "good", at["bad"])


@pytest.mark.usefixtures("world")
def test_published_ports_of_a_confined_container_are_answered(knarr: Knarr, host: Host) -> None:
    start(knarr, "box", "--egress", "none", "-p", "8080:80")
    with serve(knarr, "box", 80):
        with host.neighbour.connect(HOST, 8080) as connection:
            assert talk(connection)
        with socket.create_connection(("127.0.0.1", 8080), 5) as connection:
            assert talk(connection)
        assert not reaches(knarr, "box", HOST, 8080)


@pytest.mark.usefixtures("world")
def test_the_rules_hold_after_a_restart(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "good.example:80")
    knarr("restart", "-t", "0", "box")
    assert not reaches(knarr, "box", GOOD)
    ask(knarr, "box", "good.example")
    assert reaches(knarr, "box", GOOD)
    assert not reaches(knarr, "box", BAD)


@pytest.mark.usefixtures("world")
def test_the_rules_hold_when_the_supervisor_is_killed(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "good.example:80")
    ask(knarr, "box", "good.example")
    with connect(knarr, "box", GOOD) as connection:
        record = knarr.engine.paths.container(knarr("inspect", "-f", "{{.Id}}", "box").strip())
        with open(f"{record}/task.json", encoding="utf-8") as file:
            os.kill(json.load(file)["supervisor_pid"], signal.SIGKILL)
        knarr.do("ps")  # which starts another one
        assert reaches(knarr, "box", GOOD)
        assert not reaches(knarr, "box", BAD)
        knarr.wait_until(lambda: ask(knarr, "box", "good.example")[1] == [GOOD])
        assert ask(knarr, "box", "bad.example")[0] == dns.NAME_ERROR
        assert talk(connection)


@pytest.mark.usefixtures("world")
def test_flushed_rules_are_made_again_with_what_was_answered(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "good.example:80")
    ask(knarr, "box", "good.example")
    with connect(knarr, "box", GOOD) as connection:
        table = knarr.engine.networks.rules.table.name
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)
        knarr("network", "reload")
        assert reaches(knarr, "box", GOOD)
        assert not reaches(knarr, "box", GOOD, 443)
        assert not reaches(knarr, "box", BAD)
        assert talk(connection)


@pytest.mark.usefixtures("world")
def test_a_connection_outlives_the_answer(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "good.example:80")
    ask(knarr, "box", "good.example")
    with connect(knarr, "box", GOOD) as connection:
        table = knarr.engine.networks.rules.table.name
        subprocess.run(["nft", "flush", "set", "inet", table, "named4_ports"], check=True)
        assert talk(connection)
        assert not reaches(knarr, "box", GOOD)
        ask(knarr, "box", "bad.example")


@pytest.mark.usefixtures("world")
def test_a_network_that_is_joined_later_is_under_the_rules(knarr: Knarr) -> None:
    knarr("network", "create", "late")
    start(knarr, "box", "--egress", "good.example:80")
    knarr("run", "-d", "--name", "peer", "--network", "late", *IDLE)
    knarr("network", "connect", "late", "box")
    listed = json.loads(knarr("network", "inspect", "late"))[0]["Containers"].values()
    at = {one["Name"]: one["IPv4Address"].partition("/")[0] for one in listed}
    with serve(knarr, "peer", 80), serve(knarr, "box", 80):
        assert not reaches(knarr, "box", at["peer"])
        assert reaches(knarr, "peer", at["box"])
        ask(knarr, "box", "good.example")
        assert reaches(knarr, "box", GOOD)
        knarr("network", "disconnect", "late", "box")
        assert reaches(knarr, "box", GOOD)


def test_nothing_of_it_is_left(knarr: Knarr) -> None:
    start(knarr, "box", "--egress", "10.0.0.0/8,good.example")
    knarr("rm", "-f", "box")
    table = knarr.engine.networks.rules.table.name
    listing = subprocess.run(
        ["nft", "list", "table", "inet", table], capture_output=True, check=True, text=True
    ).stdout
    assert "kv" not in listing
    assert (
        "proxy"
        not in subprocess.run(
            ["ip", "neigh", "show", "proxy"], capture_output=True, check=True, text=True
        ).stdout
    )


def test_a_forged_address_goes_nowhere(knarr: Knarr, host: Host) -> None:
    start(knarr, "box", "--egress", f"{NEIGHBOUR}:7/udp")
    with host.neighbour.udp(7) as server, knarr.inside("box"):
        server.settimeout(0.5)
        subprocess.run(["ip", "addr", "add", "10.1.2.3/32", "dev", "lo"], check=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("10.1.2.3", 0))
            sender.sendto(b"x", (NEIGHBOUR, 7))
            with pytest.raises(TimeoutError):
                server.recv(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (NEIGHBOUR, 7))
            assert server.recv(16) == b"x"


def test_what_cannot_be_is_refused(knarr: Knarr) -> None:
    for words, said in (
        (("--network", "host", "--egress", "none"), "conflicting options: --egress"),
        (("--egress", "foo:bar"), "invalid egress rule 'foo:bar': 'bar' is no port"),
        (("--egress", "none,foo"), "none goes with nothing else"),
    ):
        assert said in knarr.fails("run", "--rm", *words, "busybox", "true", status=125)
