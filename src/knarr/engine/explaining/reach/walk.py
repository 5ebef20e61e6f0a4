"""Walking the way of a connection, stage by stage, until something is wrong with it.

the ends           do both run, are they in networks, is what the kernel has of those there?
between two        a common network, one that lets its members talk; somebody who listens
to the outside     allowed? a name that exists, a way out, a host that forwards
the connection     made from inside the container, if a port was said
without a target   the published ports, from the host to the program
"""

from __future__ import annotations

import os

from knarr.engine.explaining import sockets
from knarr.engine.explaining.reach import probing, reasons
from knarr.engine.explaining.reach.facts import (
    FOUND,
    MADE,
    UNASKED,
    Node,
    Place,
    PublishedPort,
    Way,
)
from knarr.engine.network import confining
from knarr.errors import InvalidArgument, NotFound
from knarr.linux import netlink, nftables, rtnetlink, xtables
from knarr.linux.nfnetlink import Nftables
from knarr.network import egress, resolver
from knarr.network.sandbox import Host, open_inside
from knarr.util.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.explaining.facts import Explanation
    from knarr.network.model import Endpoint

_FORWARD = "forward"
_FAMILIES = (nftables.NFPROTO_INET, 2, 10)  # inet, ip, ip6
_LOCALHOST = "127.0.0.1"


def walk(engine: Engine, name: str, target: str = "") -> Explanation:
    """Return the one thing that is wrong with the way of a container to a target, or to itself.

    Raises: NotFound, InvalidArgument
    """
    return _Walk(engine, engine.containers.get(name), *parse_target(target)).explain()


def parse_target(text: str) -> tuple[str, int]:
    """Return host and port, 0 for none, of `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.

    Raises: InvalidArgument
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if text and (not host or (port and not (port.isdecimal() and 0 < int(port) < 1 << 16))):
        message = f"invalid target {text!r}"
        raise InvalidArgument(message, hint="It is a container, HOST:PORT, or CONTAINER:PORT.")
    return host, int(port or 0)


class _Walk:
    """One way."""

    def __init__(self, engine: Engine, container: Container, host: str, port: int) -> None:
        self._engine = engine
        self._container = container
        self._other = self._find(host)
        self._way = Way(self._node(container), host=host, port=port)

    def _find(self, host: str) -> Container | None:
        if not host:
            return None
        try:
            return self._engine.containers.get(host)
        except (NotFound, InvalidArgument):
            return None

    def explain(self) -> Explanation:
        if self._other is not None:
            self._way = self._way.replace(b=self._node(self._other))
        if self._way.a.running:
            rules = not self._bridged() or not self._engine.networks.rules.count_differences()
            self._way = self._way.replace(rules=rules)
        found = reasons.first(reasons.ENDS, self._way)
        if found is None and self._other is not None:
            self._meet(self._other)
            found = reasons.first(reasons.BETWEEN, self._way)
        if found is None and self._way.host:
            self._resolve()
            self._look_out()
            found = reasons.first(reasons.OUT, self._way)
        if found is None and self._way.port and self._way.addresses:
            self._connect()
            found = reasons.first(reasons.PROBED, self._way)
        if found is None and not self._way.host:
            self._look_at_ports()
            found = reasons.first(reasons.PORTS, self._way)
        found = found or reasons.first(reasons.LAST, self._way)
        assert found is not None  # the last reason always holds
        return found

    def _bridged(self) -> bool:
        return any(place.driver == "bridge" for place in self._way.a.places)

    # the ends

    def _node(self, container: Container) -> Node:
        state = container.state
        if not (state.active and state.pid):
            found = container.explain()
            return Node(
                container.name, running=False, status=state.status, why=found.sentence,
                cause=found.cause,
            )  # fmt: skip
        mode = container.options.networking.mode
        endpoints = self._endpoints(container)
        netns_fd = probing.open_network(state.pid)
        try:
            with Host() as host, open_inside(netns_fd) as inside:
                places = tuple(self._place(one, host, inside) for one in endpoints)
                routed = tuple(
                    version
                    for version in (4, 6)
                    if any(not route.prefix for route in rtnetlink.routes(inside, version))
                )
        finally:
            os.close(netns_fd)
        heard = sockets.listening(state.pid) or ()
        return Node(
            container.name,
            status=state.status,
            mode=mode,
            places=places,
            egress=container.options.networking.egress,
            listening=tuple((address, port) for address, port, _ in heard),
            ports=self._ports(container),
            routed=routed,
        )

    def _owner(self, container: Container) -> Container:
        """Return whose network a container has."""
        mode, _, other = container.options.networking.mode.partition(":")
        return self._engine.containers.get(other) if mode == "container" else container

    def _endpoints(self, container: Container) -> tuple[Endpoint, ...]:
        return self._engine.networks.endpoints(self._owner(container).id)

    def _place(self, endpoint: Endpoint, host: Host, inside: netlink.Socket) -> Place:
        network = self._engine.networks.get(endpoint.network_id)
        link = rtnetlink.find_link(inside, endpoint.interface)
        outer = endpoint.host_interface
        there = not outer or rtnetlink.find_link(host.socket, outer) is not None
        return Place(
            network.name,
            network.id,
            network.driver,
            endpoint.interface,
            endpoint.address,
            endpoint.address6,
            internal=network.internal,
            talkative=network.talkative,
            there=link is not None and there,
            up=link is not None and link.up,
            bridge=network.driver != "bridge" or host.find_bridge(network) is not None,
        )

    def _ports(self, container: Container) -> tuple[PublishedPort, ...]:
        owner = self._owner(container)
        rows = self._engine.networks.ports.of(owner.id)
        found = [
            PublishedPort(
                row.container_port,
                row.protocol,
                row.host_ip if row.address else "",
                row.host_port,
            )
            for row in rows
        ]
        known = {(one.port, one.protocol) for one in found}
        asked = owner.options.networking.ports
        if owner.options.networking.has_ports:
            found += [
                PublishedPort(one.container_port, one.protocol)
                for one in asked
                if (one.container_port, one.protocol) not in known
            ]
        return tuple(found)

    # between two

    def _meet(self, other: Container) -> None:
        way = self._way
        assert way.b is not None
        ours = {place.network_id for place in way.a.places}
        shared = next((place for place in way.b.places if place.network_id in ours), None)
        addresses = shared.addresses if shared else ()
        if self._owner(self._container).id == self._owner(other).id:
            shared, addresses = (way.b.places or (Place("the same"),))[0], (_LOCALHOST,)
        elif way.a.mode == "host":
            addresses = tuple(at for place in way.b.places for at in place.addresses)
        elif way.b.mode == "host":
            addresses = tuple(
                one.gateway for one in self._endpoints(self._container) if one.gateway
            )
        self._way = way.replace(shared=shared, addresses=addresses)

    # to the outside

    def _resolve(self) -> None:
        way, host = self._way, self._way.host
        if way.b is not None:
            if way.shared and way.shared.network != "bridge" and way.addresses != (_LOCALHOST,):
                self._ask(way.b.name)
                self._way = self._way.replace(addresses=way.addresses)
        elif host == "localhost":
            self._way = way.replace(addresses=(_LOCALHOST,))
        elif ":" in host or host.replace(".", "").isdecimal():
            self._way = way.replace(addresses=(host,))
        else:
            self._ask(host)

    def _ask(self, name: str) -> None:
        directory = self._engine.paths.container(self._owner(self._container).id)
        written = _in_hosts(f"{directory}/hosts", name)
        servers = resolver.parse_resolver(_text_of(f"{directory}/resolv.conf")).servers
        if written:
            self._way = self._way.replace(named=FOUND, addresses=written)
        elif self._permitted(name, (), by_name=True):
            netns_fd = probing.open_network(self._container.state.pid)
            try:
                named, addresses = probing.ask(netns_fd, servers, name)
            finally:
                os.close(netns_fd)
            self._way = self._way.replace(named=named, addresses=addresses, servers=servers)

    def _permitted(self, name: str, addresses: tuple[str, ...], *, by_name: bool) -> bool:
        """Tell whether the allowlist has the target; where only the name counts, by its name."""
        if self._way.a.egress is None:
            return True
        entries = [egress.parse_allowed(text) for text in self._way.a.egress]
        port = self._way.port
        if egress.permits_name(entries, name, port):
            return True
        if by_name:
            return False
        grants = confining.granted(self._engine.networks, self._container.id)
        granted = {one.address for one in grants}
        return any(
            address in granted or egress.permits_address(entries, address, port)
            for address in addresses
        )

    def _look_out(self) -> None:
        way = self._way
        name = way.b.name if way.b else way.host
        fits = way.addresses == (_LOCALHOST,) or self._permitted(
            name.lower(), way.addresses, by_name=False
        )
        with Host() as host:
            ours = {one.address for one in rtnetlink.addresses(host.socket)}
        own = way.b is None and bool(ours & set(way.addresses) - {_LOCALHOST, "::1"})
        heard = (sockets.listening() or ()) if own else ()
        refused = confining.refused(self._engine.networks, self._endpoints(self._container))
        self._way = way.replace(
            fits=fits,
            own=own and way.a.mode != "host",
            host_listening=tuple((address, port) for address, port, _ in heard),
            forwarding=_text_of("/proc/sys/net/ipv4/ip_forward").strip() != "0",
            refused=refused if way.a.egress is not None else 0,
        )

    # the connection

    def _connect(self) -> None:
        netns_fd = probing.open_network(self._container.state.pid)
        outcome, at = UNASKED, ""
        try:
            for address in self._way.addresses:
                outcome, at = probing.connect(netns_fd, address, self._way.port), address
                if outcome == MADE:
                    break
        finally:
            os.close(netns_fd)
        dropped = "" if outcome == MADE else _dropping(self._engine.networks.rules.table.name)
        self._way = self._way.replace(outcome=outcome, addresses=(at,), dropped=dropped)

    # the ports

    def _look_at_ports(self) -> None:
        way = self._way
        refused = confining.refused(self._engine.networks, self._endpoints(self._container))
        wide = (0, 0)
        if self._bridged():
            with Host() as host:
                networks = (self._engine.networks.get(p.network_id) for p in way.a.places)
                bridges = [host.find_bridge(one) for one in networks if one.interface]
                wide = (max(one.mtu for one in bridges if one), host.default_mtu())
        self._way = way.replace(refused=refused, wide=wide)


def _dropping(own: str) -> str:
    """Return the chain of somebody else that drops by default what is forwarded, if any."""
    try:
        with Nftables() as kernel:
            for family in _FAMILIES:
                for table, chain in kernel.chains(family):
                    if table != own and chain.hook == _FORWARD and not chain.accepts:
                        return f"{chain.name} of the table {table}"
    except OSError:
        return ""
    return "FORWARD of iptables-legacy" if xtables.drops_forwarded() else ""


def _in_hosts(path: str, name: str) -> tuple[str, ...]:
    """Return the addresses that a hosts file has for a name."""
    lines = (line.partition("#")[0].split() for line in _text_of(path).splitlines())
    return tuple(words[0] for words in lines if name in words[1:])


def _text_of(path: str) -> str:
    try:
        return read_file(path).decode("utf-8", "replace")
    except OSError:
        return ""
