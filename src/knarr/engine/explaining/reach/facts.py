"""What is known of the way from a container to where it wants to: values alone, no deeds."""

from __future__ import annotations

from knarr.util.value import Value

# What came of asking for a name, or of a connection.
UNASKED, FOUND, UNKNOWN, SILENT = "", "found", "unknown", "silent"
MADE, REFUSED, UNREACHABLE = "made", "refused", "unreachable"

BRIDGE = "bridge"


class Place(Value):
    """A container's place in a network, and what of it is there.

    `there` is false where its interface is gone, `up` where somebody set it down; `bridge` is false
    where the host has lost the network's bridge.
    """

    network: str
    network_id: str = ""
    driver: str = BRIDGE
    interface: str = "eth0"
    address: str = ""
    address6: str = ""
    internal: bool = False
    talkative: bool = True
    there: bool = True
    up: bool = True
    bridge: bool = True

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return its addresses there, IPv4 first."""
        return tuple(address for address in (self.address, self.address6) if address)


class PublishedPort(Value):
    """A port that is published; `host_ip` is empty where it leads nowhere."""

    port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0


class Node(Value):
    """A container: `why` says for what cause it does not run, `mode` how it has a network.

    `egress` is its allowlist, None for none. `listening` are (address, port) at which it takes TCP.
    """

    name: str
    running: bool = True
    status: str = "running"
    why: str = ""
    cause: str = ""
    mode: str = BRIDGE
    places: tuple[Place, ...] = ()
    egress: tuple[str, ...] | None = None
    listening: tuple[tuple[str, int], ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    routed: tuple[int, ...] = (4,)

    @property
    def heard(self) -> set[int]:
        """Return the ports at which it can be reached from elsewhere."""
        return {port for address, port in self.listening if not _local(address)}

    @property
    def murmured(self) -> set[int]:
        """Return the ports at which only it itself is answered."""
        return {port for _, port in self.listening} - self.heard

    @property
    def heard_words(self) -> str:
        """Say at which ports it listens."""
        numbers = sorted(self.heard)
        if not numbers:
            return "it listens on no port at all"
        return f"it listens on {', '.join(map(str, numbers))}"


class Way(Value):
    """The way from `a` to the container `b`, or to `host`, at a port if there is one.

    `shared` is the place of `b` in a network that both are in. `own` tells that the host is meant.
    `fits` tells that the allowlist has what is asked for. `dropped` names
    the chain of others that drops what is forwarded. `wide` is how large packets are, and may be.
    """

    a: Node
    b: Node | None = None
    host: str = ""
    port: int = 0
    shared: Place | None = None
    addresses: tuple[str, ...] = ()
    named: str = UNASKED
    servers: tuple[str, ...] = ()
    fits: bool = True
    own: bool = False
    host_listening: tuple[tuple[str, int], ...] = ()
    rules: bool = True
    forwarding: bool = True
    dropped: str = ""
    wide: tuple[int, int] = (0, 0)
    outcome: str = UNASKED
    refused: int = 0

    @property
    def target(self) -> str:
        """Say where to."""
        name = self.b.name if self.b else self.host
        return f"{name} port {self.port}" if self.port else name

    @property
    def at(self) -> str:
        """Say at which address."""
        return self.addresses[0] if self.addresses else self.host

    @property
    def a_networks(self) -> str:
        """Say in which networks the first container is."""
        return _list(place.network for place in self.a.places)

    @property
    def b_networks(self) -> str:
        """Say in which networks the second container is."""
        return _list(place.network for place in self.b.places) if self.b else ""

    @property
    def b_first(self) -> str:
        """Return a network of the second container."""
        return self.b.places[0].network if self.b and self.b.places else ""

    @property
    def inside(self) -> int:
        """Return the port inside the second container that a published one leads to, or 0."""
        ports = self.b.ports if self.b else ()
        found = (one.port for one in ports if one.host_port == self.port and one.port != self.port)
        return next(found, 0)

    @property
    def broken(self) -> Place | None:
        """Return a place of either container of which something is missing."""
        nodes = (self.a, *((self.b,) if self.b else ()))
        places = (place for node in nodes if node.running for place in node.places)
        return next((p for p in places if not (p.there and p.up and p.bridge)), None)

    @property
    def version(self) -> int:
        """Return the version of IP that is used."""
        return 6 if ":" in self.at else 4

    @property
    def deaf(self) -> PublishedPort | None:
        """Return a published port of the first container at which nobody is answered."""
        tcp = (one for one in self.a.ports if one.protocol == "tcp")
        return next((one for one in tcp if one.port not in self.a.heard), None)

    @property
    def nowhere(self) -> PublishedPort | None:
        """Return a port that was to be published, and leads nowhere."""
        return next((one for one in self.a.ports if not one.host_ip), None)

    @property
    def confined_to_loopback(self) -> PublishedPort | None:
        """Return a port that is published for the host alone, if all are."""
        ports = [one for one in self.a.ports if one.host_ip]
        local = [one for one in ports if _local(one.host_ip)]
        return local[0] if ports and len(local) == len(ports) else None

    @property
    def host_hears(self) -> bool:
        """Tell whether somebody on the host listens on the port where others reach it."""
        return any(port == self.port and not _local(at) for at, port in self.host_listening)

    @property
    def host_murmurs(self) -> bool:
        """Tell whether somebody on the host listens on the port for the host alone."""
        return not self.host_hears and any(port == self.port for _, port in self.host_listening)

    @property
    def servers_words(self) -> str:
        """Say who was asked for names."""
        return _list(self.servers) or "nobody"

    @property
    def refused_words(self) -> str:
        """Say how many packets the allowlist has stopped."""
        return f"; {self.refused} packets were refused so far" if self.refused else ""

    @property
    def ports_words(self) -> str:
        """Say at which ports of the host the first container is reached."""
        shown = [f"{one.host_ip}:{one.host_port}" for one in self.a.ports if one.host_ip]
        return f", and is reached at {_list(shown)} of the host" if shown else ""

    @property
    def places_words(self) -> str:
        """Say where the first container is."""
        return _list(f"{place.network} at {place.addresses[0]}" for place in self.a.places)


def _local(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _list(words: object) -> str:
    found = list(words)  # type: ignore[call-overload]
    return " and ".join((", ".join(found[:-1]), found[-1])) if len(found) > 1 else "".join(found)
