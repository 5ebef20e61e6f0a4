"""The words of this package as values: networks, endpoints, port mappings, sandboxes.

A *network* is addresses and a driver that sandboxes can join; an *endpoint* is one sandbox's place
in one network; a *sandbox* is a network namespace with its endpoints and published ports. Addresses
are text as people write them; `knarr.network.address` computes with them.

One knarr root is one *realm*: its bridges and its table carry the realm's name, so that engines on
different roots, and whatever else lives on the host, never meet.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_NETWORK = "bridge"

# How a network and the rest of the world are connected, by Docker's names: the host translates
# addresses; it does, and lets in who routes to the network; it translates nothing; it has no
# address in the network.
GATEWAY_MODES = NAT, UNPROTECTED, ROUTED, ISOLATED = "nat", "nat-unprotected", "routed", "isolated"
INHIBIT = "com.docker.network.bridge.inhibit_ipv4"
_GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv"

# Names that are networks without a record: one shares the host's namespace, one has nothing.
BUILT_IN = ("host", "none")
PREDEFINED = (DEFAULT_NETWORK, *BUILT_IN)

# Drivers whose networks stand on a link of the host: `knarr.network.parents`.
WIRES = ("macvlan", "ipvlan")


class Realm(Value):
    """What the kernel's objects of one root are called: its table, and how its bridges begin.

    The kernel keeps the name of the root with both, for people who wonder whose they are.
    """

    table: str
    prefix: str
    root: str


def realm_of(root: str, default_root: str) -> Realm:
    """Return the realm of the root directory `root`: short names for the one that is default."""
    if root == default_root:
        return Realm("knarr", "knarr", root)
    from zlib import crc32  # noqa: PLC0415 - not for the default root

    number = crc32(root.encode("utf-8", "surrogateescape"))
    return Realm(f"knarr-{number:08x}", f"kn{number:08x}-", root)


class AddressPool(Value):
    """One block of addresses of a network.

    Addresses for endpoints come from `ip_range`, which is the whole subnet when empty; `reserved`
    are addresses that are never handed out, by the name the user gave each.
    """

    subnet: str
    gateway: str
    ip_range: str = ""
    reserved: tuple[tuple[str, str], ...] = ()


class Network(Value):
    """A network as recorded. `interface` is its bridge on the host, `mtu` 0 the host's own.

    One of another driver than `bridge` has none there.

    `internal` networks have no way out, `talkative` ones let their members talk to each other, and
    what leaves a network with `masquerade` does so under the host's address. `chosen` says that
    knarr picked the subnet, and may pick another one when the host has come to use it for
    something else.
    """

    id: str
    name: str
    driver: str
    interface: str
    pools: tuple[AddressPool, ...]
    internal: bool = False
    talkative: bool = True
    masquerade: bool = True
    attachable: bool = False
    mtu: int = 0
    chosen: bool = False
    created_ns: int = 0
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    ipam_options: Mapping[str, str] = {}

    def gateway_mode(self, version: int) -> str:
        """Return how this network and the world are connected, for a version of IP."""
        return self.options.get(f"{_GATEWAY_MODE}{version}") or NAT

    def has_host(self, version: int) -> bool:
        """Tell whether the host has an address in this network, for a version of IP."""
        inhibited = version == 4 and self.options.get(INHIBIT, "false").lower() in (
            "true",
            "1",
            "t",
        )
        return not inhibited and self.gateway_mode(version) != ISOLATED


class PortMapping(Value):
    """A port of a sandbox, published on the host.

    As asked for, an empty `host_ip` is every address and `host_port` 0 any free port up to
    `host_port_end`; as resolved, both are what the world connects to.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


class Published(Value):
    """A port of the host, all addresses when `host_ip` is empty, that leads to a sandbox's port."""

    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int


class Endpoint(Value):
    """A sandbox's place in a network: its interface there and the other end of it on the host.

    A network without IPv6 leaves `address6` and `gateway6` empty; one without a way out has no
    gateways, and neither has one whose members send everything `straight` out of their interface.
    With another `driver` than `bridge` nothing of it is on the host.

    Of a sandbox's endpoints, the one with the highest `priority` has the default route. `aliases`
    are names under which others in the network find it, beside the sandbox's own; `link_local` are
    further addresses, which nobody but the user knows of.

    With `egress`, the entries of an allowlist, the endpoint is `confined`: its interface is no port
    of the bridge but leads to the host alone, which is the router, at `routers`, for everything,
    its neighbours too, and so has all of its traffic pass by the rules.
    """

    id: str
    sandbox_id: str
    network_id: str
    network_name: str
    interface: str
    host_interface: str
    mac: str
    address: str
    prefix: int
    gateway: str
    aliases: tuple[str, ...] = ()
    address6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    priority: int = 0
    link_local: tuple[str, ...] = ()
    driver: str = "bridge"
    straight: bool = False
    egress: tuple[str, ...] | None = None
    routers: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()

    @property
    def confined(self) -> bool:
        """Tell whether there are rules for what may be connected to from here."""
        return self.egress is not None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return its addresses in the network, IPv4 first."""
        return tuple(address for address in (self.address, self.address6) if address)

    @property
    def routed(self) -> bool:
        """Tell whether there is a way out of the network."""
        return bool(self.gateway or self.gateway6 or self.straight)

    @property
    def publishes(self) -> bool:
        """Tell whether ports of the host can lead here."""
        return self.driver == "bridge" and bool(self.gateway or self.gateway6)

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Return what puts a sandbox's endpoints in order, the one with the default route first.

        Docker: the highest priority, and among equals the network whose name comes first
        """
        return (not self.routed, -self.priority, self.network_name)


class WayOut(Value):
    """A default route of a sandbox: a gateway, and the interface that it is reached by.

    Without a gateway, whatever it is for is taken to be on the wire of the interface.
    """

    interface: str
    gateway: str
    version: int = 4


def ways_out(endpoints: Iterable[Endpoint]) -> tuple[WayOut, ...]:
    """Return the default routes of a sandbox with these endpoints, one a version at most."""
    ranked = sorted(endpoints, key=lambda one: one.rank)
    found = []
    for version in (4, 6):
        for one in ranked:
            gateway = one.gateway if version == 4 else one.gateway6
            address = one.address if version == 4 else one.address6
            if gateway or (one.straight and address):
                found.append(WayOut(one.interface, gateway, version))
                break
    return tuple(found)


class Join(Value):
    """A network that a sandbox joins, by its name or ID, and what was asked of its place there.

    Empty texts are for knarr to choose. `interface` is what it is called inside; `sysctls` are
    settings of it, `net.ipv4.conf.IFNAME.log_martians=1`, whatever it is called.
    """

    network: str
    address: str = ""
    address6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    priority: int = 0
    link_local: tuple[str, ...] = ()
    interface: str = ""
    sysctls: tuple[str, ...] = ()


class SandboxOptions(Value):
    """What the user asked for of a sandbox.

    `network` is `host`, `none`, `container:ID`, or the name or ID of a network; `joins` says more
    about that one, and which others. `exposed` are the ports ("80", "53/udp") that `publish_all`
    publishes on free ports of the host. Without `names` nobody answers the sandbox's questions for
    its neighbours' names. `egress` is what it may connect to, None for everything.
    """

    network: str = "default"
    joins: tuple[Join, ...] = ()
    hostname: str = ""
    domainname: str = ""
    ports: tuple[PortMapping, ...] = ()
    exposed: tuple[str, ...] = ()
    publish_all: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    names: bool = True
    egress: tuple[str, ...] | None = None

    @property
    def places(self) -> tuple[Join, ...]:
        """Return the networks to join, which are none for the modes that are not a network."""
        return self.joins or (Join(self.network),)
