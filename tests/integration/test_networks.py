"""Networks as they are met from inside and outside, with real traffic in namespaces of our own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from knarr.engine.engine import Engine
from knarr.engine.networks import NetworkOptions
from knarr.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable
from knarr.linux import netlink, nftables, rtnetlink
from knarr.linux.nfnetlink import Nftables
from knarr.network import firewall
from knarr.network.model import Join as Place
from knarr.network.model import PortMapping, SandboxOptions
from support.netns import DROPPED, HOST, MTU, NEIGHBOUR, Host, Netns, datagrams, exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from knarr.engine.network.sandboxes import Prepared

    Join = Callable[..., tuple[Prepared, Netns]]

pytestmark = pytest.mark.root

LARGE = os.urandom(300_000)


@pytest.fixture
def engine(host: Host, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(str(tmp_path / "root"), str(tmp_path / "run"))
    yield made
    made.networks.tear_down_all()
    assert host.links() == set()
    made.close()


@pytest.fixture
def join(engine: Engine, host: Host) -> Iterator[Join]:
    """Make a sandbox with a network."""
    made: list[Prepared] = []

    def one(
        name: str = "a", network: str = "bridge", *ports: PortMapping, **options: object
    ) -> tuple[Prepared, Netns]:
        place = {key: options.pop(key) for key in ("address", "mac", "aliases") if key in options}
        joins = (Place(network, **place),)  # type: ignore[arg-type]
        asked = SandboxOptions(network, joins, hostname=name, ports=ports, **options)  # type: ignore[arg-type]
        prepared = engine.networks.prepare(name * 64, asked)
        made.append(prepared)
        netns = host.sandbox()
        engine.networks.attach(prepared, netns.pid)
        return prepared, netns

    yield one
    for prepared in made:
        prepared.close()


def address_of(prepared: Prepared) -> str:
    return prepared.endpoints[0].address


def refused(netns: Netns, address: str, port: int = 80) -> bool:
    """Tell whether a connection gets no answer."""
    try:
        netns.connect(address, port, timeout=DROPPED).close()
    except TimeoutError:
        return True
    return False


# reaching


def test_a_sandbox_reaches_the_outside_under_the_hosts_address(host: Host, join: Join) -> None:
    _, sandbox = join()
    with host.neighbour.serve() as server:
        assert exchange(sandbox.connect(NEIGHBOUR, 80), server, LARGE) == HOST


def test_the_host_and_members_reach_each_other(host: Host, join: Join) -> None:
    (one, in_one), (other, in_other) = join("a"), join("b")
    with in_other.serve() as server:
        seen = exchange(in_one.connect(address_of(other), 80), server, LARGE)
        assert seen == address_of(one)
        seen = exchange(socket.create_connection((address_of(other), 80)), server)
        assert seen == other.endpoints[0].gateway


def test_packets_are_as_large_as_the_host_can_send(join: Join) -> None:
    prepared, sandbox = join()
    with sandbox.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as inside:
        links = {link.name: link for link in rtnetlink.links(inside)}
    assert links["eth0"].mtu == MTU
    assert links["eth0"].mac == prepared.endpoints[0].mac
    assert links["lo"].up


def test_a_bridge_keeps_its_mtu_when_the_last_port_goes(engine: Engine, join: Join) -> None:
    join()
    bridge = engine.networks.get("bridge").interface
    with netlink.Socket(netlink.NETLINK_ROUTE) as socket:
        before = rtnetlink.find_link(socket, bridge)
        assert before is not None
        for port in rtnetlink.links(socket, master=before.index):
            socket.request(rtnetlink.delete_link(port.name))
        after = rtnetlink.find_link(socket, bridge)
    assert after is not None
    assert after.mtu == MTU


def test_a_network_without_ipv6_has_none_inside(join: Join) -> None:
    _, sandbox = join()
    with sandbox.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as inside:
        found = [a for a in rtnetlink.addresses(inside) if ":" in a.address and a.index != 1]
    assert found == []


def test_networks_do_not_reach_each_other(engine: Engine, join: Join) -> None:
    engine.networks.create("other")
    one, in_one = join("a")
    _, in_other = join("b", "other")
    with in_one.serve():
        assert refused(in_other, address_of(one))


def test_neighbours_do_not_reach_what_is_not_published(host: Host, join: Join) -> None:
    prepared, sandbox = join("a", "bridge", PortMapping(80, host_port=8080))
    host.route_from_neighbour("10.208.0.0/12")
    with sandbox.serve(81):
        assert refused(host.neighbour, address_of(prepared), 81)


def test_members_do_not_reach_the_hosts_loopback(host: Host, join: Join) -> None:
    _, sandbox = join()
    with sandbox.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as inside:
        inside.request(rtnetlink.delete_address(1, "127.0.0.1", 8))
        link = rtnetlink.find_link(inside, "eth0")
        assert link is not None
        gateway = "10.208.0.1"
        inside.request(rtnetlink.add_route(gateway, link.index, destination="127.0.0.0", prefix=8))
    with socket.create_server(("127.0.0.1", 8081)):
        assert refused(sandbox, "127.0.0.1", 8081)


def test_an_internal_network_has_no_way_out(host: Host, engine: Engine, join: Join) -> None:
    engine.networks.create("inside", NetworkOptions(internal=True))
    one, in_one = join("a", "inside", PortMapping(80, host_port=8080))
    _, in_other = join("b", "inside")
    assert one.ports == ()
    with in_one.serve() as server, host.neighbour.serve():
        exchange(in_other.connect(address_of(one), 80), server)
        with pytest.raises(OSError, match="unreachable"):
            in_one.connect(NEIGHBOUR, 80)
        with in_one.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as inside:
            link = rtnetlink.find_link(inside, "eth0")
            assert link is not None
            inside.request(rtnetlink.add_route("10.208.16.1", link.index))
        assert refused(in_one, NEIGHBOUR)


def test_none_has_loopback_and_nothing_else(join: Join) -> None:
    prepared, sandbox = join("a", "none")
    assert (prepared.mode, prepared.endpoints) == ("none", ())
    with sandbox.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as inside:
        assert [(link.name, link.up) for link in rtnetlink.links(inside)] == [("lo", True)]


def test_host_needs_no_network(engine: Engine) -> None:
    prepared = engine.networks.prepare("a" * 64, SandboxOptions("host"))
    assert (prepared.mode, prepared.endpoints, prepared.sockets) == ("host", (), [])
    assert engine.networks.records.all() == []


# published ports


@pytest.fixture
def published(join: Join) -> tuple[Prepared, Netns]:
    return join("a", "bridge", PortMapping(80, host_port=8080))


def test_a_published_port_is_reached_from_outside(
    host: Host, published: tuple[Prepared, Netns]
) -> None:
    with published[1].serve() as server:
        assert exchange(host.neighbour.connect(HOST, 8080), server, LARGE) == NEIGHBOUR


@pytest.mark.parametrize("address", ["127.0.0.1", HOST, "10.208.0.1"])
def test_a_published_port_is_reached_from_the_host(
    published: tuple[Prepared, Netns], address: str
) -> None:
    with published[1].serve() as server:
        exchange(socket.create_connection((address, 8080)), server, LARGE)


def test_a_published_port_is_reached_from_other_members(
    published: tuple[Prepared, Netns], join: Join
) -> None:
    _, other = join("b")
    with published[1].serve() as server:
        exchange(other.connect(HOST, 8080), server, LARGE)


def test_a_published_port_is_reached_from_other_networks(
    engine: Engine, published: tuple[Prepared, Netns], join: Join
) -> None:
    engine.networks.create("other")
    _, other = join("b", "other")
    with published[1].serve() as server:
        exchange(other.connect(HOST, 8080), server, LARGE)


@pytest.mark.parametrize("address", [HOST, "10.208.0.1"])
def test_a_published_port_is_reached_from_its_own_sandbox(
    published: tuple[Prepared, Netns], address: str
) -> None:
    with published[1].serve() as server:
        exchange(published[1].connect(address, 8080), server, LARGE)


def test_a_port_on_one_address_is_only_there(host: Host, join: Join) -> None:
    _, sandbox = join("a", "bridge", PortMapping(80, "tcp", "127.0.0.1", 8080))
    with sandbox.serve() as server:
        exchange(socket.create_connection(("127.0.0.1", 8080)), server)
        with pytest.raises(ConnectionRefusedError):
            host.neighbour.connect(HOST, 8080)


def test_udp_is_published_too(host: Host, join: Join) -> None:
    _, sandbox = join("a", "bridge", PortMapping(53, "udp", "", 5353))
    with sandbox.udp(53) as server, host.neighbour.udp() as client, datagrams() as local:
        for one, address in ((client, HOST), (local, "127.0.0.1")):
            one.sendto(b"question", (address, 5353))
            data, sender = server.recvfrom(100)
            server.sendto(b"answer to " + data, sender)
            assert one.recvfrom(100) == (b"answer to question", (address, 5353))


def repeated(client: socket.socket, text: bytes, server: socket.socket) -> bytes:
    """Send as clients of UDP do, again when nothing comes of it; each packet renews its flow."""
    server.settimeout(1)
    for _ in range(5):
        client.sendto(text, (HOST, 5353))
        try:
            return server.recvfrom(100)[0]
        except TimeoutError:
            continue
    return b""


def test_a_client_of_udp_finds_who_publishes_the_port_next(
    host: Host, engine: Engine, join: Join
) -> None:
    """It goes on sending from the same port, so that to the kernel it is the same connection."""
    mapping = PortMapping(53, "udp", "", 5353)
    with host.neighbour.udp() as client:
        client.sendto(b"too early", (HOST, 5353))
        for name in ("a", "b"):
            prepared, sandbox = join(name, "bridge", mapping)
            with sandbox.udp(53) as server:
                assert repeated(client, name.encode(), server) == name.encode()
            engine.networks.detach(prepared.sandbox_id)
            prepared.close()


def test_all_exposed_ports_get_free_ports(host: Host, join: Join) -> None:
    prepared, sandbox = join(
        "a", "bridge", PortMapping(80, host_port=8080),
        exposed=("80/tcp", "81", "53/udp"), publish_all=True,
    )  # fmt: skip
    found = {(port.container_port, port.protocol): port.host_port for port in prepared.ports}
    assert set(found) == {(80, "tcp"), (81, "tcp"), (53, "udp")}
    assert found[(80, "tcp")] == 8080
    assert min(found[(81, "tcp")], found[(53, "udp")]) >= 32768
    with sandbox.serve(81) as server:
        exchange(host.neighbour.connect(HOST, found[(81, "tcp")]), server)


def test_of_a_range_the_next_free_port_is_taken(join: Join) -> None:
    mapping = PortMapping(80, host_port=8080, host_port_end=8081)
    assert [join(name, "bridge", mapping)[0].ports[0].host_port for name in "ab"] == [8080, 8081]
    with pytest.raises(Conflict, match=r"Bind for 0\.0\.0\.0:8080-8081 failed"):
        join("c", "bridge", mapping)


def test_a_port_that_another_sandbox_has_is_refused(
    engine: Engine, published: tuple[Prepared, Netns]
) -> None:
    mapping = PortMapping(80, "tcp", "127.0.0.1", 8080)
    with pytest.raises(Conflict, match=r"^Bind for 127\.0\.0\.1:8080 failed: port is already"):
        engine.networks.prepare("b" * 64, SandboxOptions(ports=(mapping,)))
    assert engine.networks.endpoints("b" * 64) == ()


def test_a_port_that_a_program_has_is_refused(engine: Engine, host: Host) -> None:
    options = SandboxOptions(ports=(PortMapping(80, host_port=8080),))
    with (
        socket.create_server(("", 8080)),
        pytest.raises(Conflict, match=r"^failed to bind host port for 0\.0\.0\.0:8080: address al"),
    ):
        engine.networks.prepare("b" * 64, options)
    assert engine.networks.endpoints("b" * 64) == ()


def test_a_published_port_is_taken_for_programs_of_the_host(
    published: tuple[Prepared, Netns],
) -> None:
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("", 8080))


def test_an_ipv6_address_cannot_be_published_on(engine: Engine) -> None:
    options = SandboxOptions(ports=(PortMapping(80, "tcp", "::1", 8080),))
    with pytest.raises(InvalidArgument, match=r"cannot publish port 80 on \[::1\]"):
        engine.networks.prepare("b" * 64, options)


# the life of a sandbox


def test_what_a_sandbox_had_is_free_again(
    host: Host, engine: Engine, published: tuple[Prepared, Netns]
) -> None:
    prepared, _ = published
    engine.networks.detach(prepared.sandbox_id)
    engine.networks.detach(prepared.sandbox_id)
    prepared.close()
    assert engine.networks.endpoints(prepared.sandbox_id) == ()
    assert engine.networks.published() == {}
    with socket.create_server(("", 8080)) as server:
        exchange(host.neighbour.connect(HOST, 8080), server)


def test_interfaces_go_with_the_namespace(host: Host, join: Join) -> None:
    prepared, sandbox = join()
    assert prepared.endpoints[0].host_interface in host.links()
    host.sandboxes.remove(sandbox)
    sandbox.close()
    deadline = time.monotonic() + 10
    while prepared.endpoints[0].host_interface in host.links():
        assert time.monotonic() < deadline, "the interface is still there"
        time.sleep(0.01)


def test_an_address_is_not_used_again_at_once(engine: Engine, join: Join) -> None:
    seen = []
    for name in "abc":
        prepared, _ = join(name)
        seen.append(address_of(prepared))
        engine.networks.detach(prepared.sandbox_id)
    assert seen == ["10.208.0.2", "10.208.0.3", "10.208.0.4"]


def test_starting_again_takes_back_what_was_left(engine: Engine, join: Join) -> None:
    first, _ = join("a", "bridge", PortMapping(80, host_port=8080))
    first.close()
    again, sandbox = join("a", "bridge", PortMapping(80, host_port=8080))
    assert address_of(again) != address_of(first)
    assert len(engine.networks.published("a" * 64)["a" * 64]) == 1
    with sandbox.serve() as server:
        exchange(socket.create_connection(("127.0.0.1", 8080)), server)


def test_attaching_twice_does_no_harm(engine: Engine, join: Join) -> None:
    prepared, sandbox = join()
    engine.networks.attach(prepared, sandbox.pid)
    with sandbox.serve() as server:
        exchange(socket.create_connection((address_of(prepared), 80)), server)


def test_the_hosts_own_namespace_is_never_touched(host: Host, engine: Engine) -> None:
    prepared = engine.networks.prepare("a" * 64, SandboxOptions())
    with pytest.raises(Exception, match="has no network namespace of its own"):
        engine.networks.attach(prepared, os.getpid())


def test_an_address_can_be_asked_for(engine: Engine, join: Join) -> None:
    engine.networks.create("own", NetworkOptions(subnets=("10.9.8.0/24",)))
    assert address_of(join("a", "own", address="10.9.8.77")[0]) == "10.9.8.77"
    with pytest.raises(Conflict, match="already in use"):
        join("b", "own", address="10.9.8.77")
    with pytest.raises(InvalidArgument, match="user defined networks only"):
        join("c", address="10.208.0.9")
    with pytest.raises(InvalidArgument, match="network-scoped alias"):
        join("c", aliases=("db",))


def test_a_hardware_address_can_be_asked_for(join: Join) -> None:
    prepared, sandbox = join("a", mac="92-D0-c6-0a-29-33")
    with sandbox.inside(), netlink.Socket(netlink.NETLINK_ROUTE) as inside:
        link = rtnetlink.find_link(inside, "eth0")
    assert link is not None
    assert link.mac == prepared.endpoints[0].mac == "92:d0:c6:0a:29:33"


def test_a_full_network_says_so(engine: Engine, join: Join) -> None:
    engine.networks.create("tiny", NetworkOptions(subnets=("10.9.8.0/30",)))
    join("a", "tiny")
    with pytest.raises(Unavailable, match="no available addresses in network tiny"):
        join("b", "tiny")


def test_the_files_of_a_sandbox_say_where_it_is(join: Join) -> None:
    prepared, _ = join("a", dns=("192.0.2.53",), extra_hosts=("gate:host-gateway",))
    assert f"{address_of(prepared)}\ta\n" in prepared.hosts
    assert "10.208.0.1\tgate\n" in prepared.hosts
    assert prepared.hostname == "a\n"
    assert prepared.resolv_conf.startswith("nameserver 192.0.2.53\n")


# networks


def test_networks_get_subnets_of_their_own(engine: Engine) -> None:
    engine.networks.ensure_default()
    networks = [engine.networks.create(name) for name in ("one", "two")]
    assert [network.pools[0].subnet for network in networks] == ["10.208.16.0/20", "10.208.32.0/20"]


def test_engines_of_other_roots_keep_apart(
    engine: Engine, host: Host, join: Join, tmp_path: Path
) -> None:
    one, in_one = join("a", "bridge", PortMapping(80, host_port=8080))
    other = Engine(str(tmp_path / "other"), str(tmp_path / "other-run"))
    prepared = other.networks.prepare("b" * 64, SandboxOptions())
    assert prepared.endpoints[0].address == "10.208.16.2"
    sandbox = host.sandbox()
    other.networks.attach(prepared, sandbox.pid)
    with in_one.serve() as server:
        exchange(sandbox.connect(HOST, 8080), server)
        assert refused(sandbox, address_of(one))
        other.networks.tear_down_all()
        exchange(host.neighbour.connect(HOST, 8080), server)
    other.close()


def test_a_network_in_use_is_not_removed(engine: Engine, host: Host, join: Join) -> None:
    engine.networks.create("own")
    prepared, _ = join("a", "own")
    with pytest.raises(Conflict, match="has active endpoints"):
        engine.networks.remove("own")
    engine.networks.detach(prepared.sandbox_id)
    engine.networks.remove("own")
    assert not [name for name in host.links() if name.endswith("-1")]
    with pytest.raises(NotFound, match="network own not found"):
        engine.networks.get("own")


def test_the_default_network_is_not_removed(engine: Engine) -> None:
    with pytest.raises(PermissionDenied, match="bridge is a pre-defined network"):
        engine.networks.remove("bridge")


def test_pruning_leaves_what_is_used(engine: Engine, join: Join) -> None:
    engine.networks.create("used")
    engine.networks.create("unused", NetworkOptions(labels={"keep": "no"}))
    join("a", "used")
    assert engine.networks.prune(["label=keep=yes"]) == []
    assert [network.name for network in engine.networks.prune()] == ["unused"]


@pytest.mark.parametrize(
    ("subnet", "words"),
    [("10.9.8.0/25", "Pool overlaps"), ("10.9.8.1/24", "should be 10")],
)
def test_a_subnet_that_cannot_be_is_refused(engine: Engine, subnet: str, words: str) -> None:
    engine.networks.create("own", NetworkOptions(subnets=("10.9.8.0/24",)))
    with pytest.raises(InvalidArgument, match=words):
        engine.networks.create("other", NetworkOptions(subnets=(subnet,)))
    assert [network.name for network in engine.networks.list()][:1] == ["bridge"]
    assert "other" not in {network.name for network in engine.networks.list()}


def test_a_subnet_is_given_up_for_one_that_the_host_came_to_use(
    engine: Engine, host: Host, join: Join
) -> None:
    assert engine.networks.ensure_default().pools[0].subnet == "10.208.0.0/20"
    with netlink.Socket(netlink.NETLINK_ROUTE) as here:
        uplink = rtnetlink.find_link(here, "up0")
        assert uplink is not None
        here.request(rtnetlink.add_address(uplink.index, "10.208.3.3", 24))
    assert address_of(join()[0]) == "10.208.16.2"


def test_what_is_left_of_a_deleted_root_is_removed(
    engine: Engine, host: Host, tmp_path: Path
) -> None:
    lost, kept = (Engine(str(tmp_path / n), str(tmp_path / "other-run")) for n in ("lost", "kept"))
    for other in (lost, kept):
        other.networks.create("own")
        other.close()
    shutil.rmtree(tmp_path / "lost")
    engine.networks.create("mine")
    prefixes = {name.partition("-")[0] for name in host.links()}
    realms = [one.networks.bridges.realm for one in (engine, kept)]
    assert prefixes == {realm.prefix.strip("-") for realm in realms}
    with Nftables() as kernel:
        tables = {table for table, _ in kernel.chains(nftables.NFPROTO_INET)}
    assert tables == {realm.table for realm in realms}
    kept.networks.tear_down_all()
    kept.close()


def test_another_boot_begins_anew(engine: Engine, host: Host, join: Join) -> None:
    """What a reboot does to the kernel, another namespace does here."""
    join("a", "bridge", PortMapping(80, host_port=8080))
    rebooted = Host()
    try:
        assert engine.networks.release_dead(lambda _: False) == ["a" * 64]
        options = SandboxOptions(ports=(PortMapping(80, host_port=8080),))
        prepared = engine.networks.prepare("b" * 64, options)
        sandbox = rebooted.sandbox()
        engine.networks.attach(prepared, sandbox.pid)
        with sandbox.serve() as server:
            exchange(rebooted.neighbour.connect(HOST, 8080), server)
        engine.networks.detach("b" * 64)
        prepared.close()
    finally:
        rebooted.close()


# the table


def test_a_flushed_table_is_made_again_by_the_next_start(
    engine: Engine, host: Host, published: tuple[Prepared, Netns], join: Join
) -> None:
    from knarr.linux.nftables import delete_table

    with Nftables() as kernel:
        kernel.apply([delete_table(engine.networks.rules.table)])
    join("b")
    with published[1].serve() as server:
        exchange(host.neighbour.connect(HOST, 8080), server)


def test_reload_repairs_what_was_changed(engine: Engine, published: tuple[Prepared, Netns]) -> None:
    table = engine.networks.rules.table
    plan = firewall.plan(
        engine.networks.bridges.realm, engine.networks.recorded()[:1], engine.networks.leads()
    )
    with Nftables() as kernel:
        assert firewall.difference(kernel, plan) == []
        kernel.apply(firewall.remove(table, map(firewall.port_entry, engine.networks.leads())))
        assert firewall.difference(kernel, plan) != []
        engine.networks.reload()
        assert firewall.difference(kernel, plan) == []


def test_nft_reads_the_table_as_it_was_planned(
    engine: Engine, published: tuple[Prepared, Netns]
) -> None:
    if not shutil.which("nft"):
        pytest.skip("the program nft is not installed")
    name = engine.networks.bridges.realm.table
    listed = subprocess.run(
        ["nft", "-j", "list", "table", "inet", name], capture_output=True, check=True
    )
    found = json.loads(listed.stdout)["nftables"]
    rules = [(r["rule"]["chain"], r["rule"]["comment"]) for r in found if "rule" in r]
    assert sorted(rules) == sorted((rule.chain, rule.comment) for rule in firewall.RULES)
    maps = {m["map"]["name"]: m["map"].get("elem") for m in found if "map" in m}
    assert maps["ports4"] == [[{"concat": ["tcp", 8080]}, {"concat": ["10.208.0.2", 80]}]]
    sets = {s["set"]["name"]: s["set"].get("elem") for s in found if "set" in s}
    assert sets["bridges"] == [engine.networks.bridges.realm.prefix + "0"]
    assert sets["masquerade4"] == [{"prefix": {"addr": "10.208.0.0", "len": 20}}]


def test_tables_of_others_are_left_alone(engine: Engine, host: Host, join: Join) -> None:
    if not shutil.which("nft"):
        pytest.skip("the program nft is not installed")
    rules = "add table ip theirs\nadd chain ip theirs c { type filter hook input priority 0; }\n"
    rules += "add rule ip theirs c counter accept\n"
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    def theirs() -> str:
        words = ["nft", "-a", "list", "table", "ip", "theirs"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    before = theirs()
    prepared, _ = join("a", "bridge", PortMapping(80, host_port=8080))
    engine.networks.detach(prepared.sandbox_id)
    engine.networks.tear_down_all()
    assert theirs() == before


# others' rules


def nft(*lines: str) -> str:
    """Change or list rules with the program of that name."""
    if not shutil.which("nft"):
        pytest.skip("the program nft is not installed")
    done = subprocess.run(
        ["nft", "-a", "-f", "-"], input="\n".join(lines) + "\n", text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    return done.stdout


def test_traffic_passes_where_iptables_drops_by_default(
    engine: Engine, host: Host, join: Join
) -> None:
    nft(
        "add table ip filter",
        "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
        "add rule ip filter FORWARD ip saddr 203.0.113.1 drop",
    )
    before = nft("list table ip filter")
    _, sandbox = join("a", "bridge", PortMapping(80, host_port=8080))
    with sandbox.serve() as server, host.neighbour.serve() as far:
        exchange(host.neighbour.connect(HOST, 8080), server)
        exchange(sandbox.connect(NEIGHBOUR, 80), far)
    engine.networks.reload()
    rules = [line for line in nft("list table ip filter").splitlines() if "# handle" in line]
    assert len(rules) == len([line for line in before.splitlines() if "# handle" in line]) + 2
    assert "203.0.113.1" in rules[2]
    engine.networks.tear_down_all()
    assert nft("list table ip filter") == before


def test_traffic_passes_where_legacy_iptables_drops_by_default(
    engine: Engine, host: Host, join: Join
) -> None:
    if not shutil.which("iptables-legacy"):
        pytest.skip("the program iptables-legacy is not installed")
    words = ["iptables-legacy", "-w", "-P", "FORWARD", "DROP"]
    if subprocess.run(words, check=False).returncode:
        pytest.skip("the kernel has no legacy iptables")
    _, sandbox = join("a")
    with host.neighbour.serve() as far:
        exchange(sandbox.connect(NEIGHBOUR, 80), far)
    engine.networks.tear_down_all()
    listed = subprocess.run(
        ["iptables-legacy", "-S", "FORWARD"], capture_output=True, text=True, check=True
    )
    assert listed.stdout == "-P FORWARD DROP\n"


def test_a_chain_of_an_administrator_stays_as_it_is(engine: Engine, join: Join) -> None:
    nft(
        "add table inet own",
        "add chain inet own forward { type filter hook forward priority 5; policy drop; }",
    )
    before = nft("list table inet own")
    join("a")
    assert nft("list table inet own") == before
