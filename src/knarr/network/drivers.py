"""What a network is made of, as plans: requests to the kernel and settings, nothing done yet.

A `bridge` network is a bridge in the host's namespace with the gateway's address. An endpoint on it
is a veth pair: one end is a port of the bridge, the other is born inside the sandbox's namespace.
Networks of macvlan and ipvlan are in `knarr.network.parents`. `host` and `none` need no plan: the
one has no namespace of its own, the other nothing in it but the loopback interface.

A network without IPv6 has it off on both sides. Otherwise every member would have a link-local
address, and any of them could advertise itself as the router of all, the host included.
"""

from __future__ import annotations

from knarr.linux import rtnetlink
from knarr.linux.rtnetlink import Peer
from knarr.network.address import mac_of, parse_subnet, version_of
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.linux.netlink import Request
    from knarr.network.model import Endpoint, Network, WayOut

LOOPBACK = 1

# What stands for the interface's name in a setting that was asked for.
ANY_INTERFACE = "IFNAME"

# RFC 3927, 2.1; RFC 4291, 2.5.6
_LINK_LOCAL_PREFIX = {4: 16, 6: 64}


class Sysctl(Value):
    """A kernel setting, named by its path below /proc/sys."""

    name: str
    value: str

    def __str__(self) -> str:
        """Return the setting as sysctl(8) writes it."""
        return f"{self.name.replace('/', '.')} = {self.value}"


class Uplink(Value):
    """What the endpoints of a network are made on: its bridge, or the parent whose wire they share.

    `mtu` 0 is that of the link itself. `works` tells whether packets went through when it was
    looked at. `mode` and `flag` are how a wire is shared. The members of an `isolated` bridge
    do not reach each other.
    """

    index: int
    name: str
    mtu: int
    works: bool = True
    driver: str = "bridge"
    mode: str = ""
    flag: str = ""
    isolated: bool = False


# How a link that we made says whose it is.
ALIAS = "knarr network "
OF_ROOT = " of "


def alias_of(network_name: str, root: str) -> str:
    """Return what is noted beside the bridge or the parent of a network."""
    return f"{ALIAS}{network_name}{OF_ROOT}{root}"


def has_ipv6(network: Network) -> bool:
    """Tell whether the network has addresses of IPv6."""
    return any(version_of(pool.subnet) == 6 for pool in network.pools)


def bridge(network: Network) -> Request:
    """Return what makes the network's bridge, still down."""
    mac = mac_of(network.pools[0].gateway)
    return rtnetlink.new_bridge(network.interface, mac=mac, up=False)


def bridge_settings(network: Network) -> list[Sysctl]:
    """Return the settings of a bridge that is still down.

    With route_localnet the host reaches published ports by way of 127.0.0.1; `network.firewall`
    keeps the networks' members from using it in the other direction.
    """
    name = network.interface
    settings = [Sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")]
    if has_ipv6(network):
        settings.append(Sysctl(f"net/ipv6/conf/{name}/accept_ra", "0"))
    else:
        settings.append(Sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1"))
    return settings


def forwarding(network: Network) -> list[Sysctl]:
    """Return the settings without which nothing gets from the network to elsewhere or back."""
    if network.internal:
        return []
    settings = [Sysctl("net/ipv4/ip_forward", "1")]
    if has_ipv6(network):
        settings.append(Sysctl("net/ipv6/conf/all/forwarding", "1"))
    return settings


def bridge_addresses(network: Network, index: int, alias: str, mtu: int) -> list[Request]:
    """Return what gives the bridge with `index` the gateways' addresses and sets it up.

    The `alias` says to people whose it is.
    """
    requests = [
        rtnetlink.add_address(index, pool.gateway, parse_subnet(pool.subnet).prefix)
        for pool in network.pools
        if network.has_host(version_of(pool.subnet))
    ]
    requests.append(rtnetlink.set_alias(index, alias))
    return [*requests, rtnetlink.set_up(network.interface, index, mtu=mtu)]


def pair(
    endpoint: Endpoint, *, master: int, mtu: int, netns_fd: int, isolated: bool = False
) -> list[Request]:
    """Return what makes an endpoint's two interfaces, that of the sandbox in its namespace.

    The bridge may send a frame back to where it came from: where the kernel passes bridged packets
    through iptables, a sandbox that connects to a published port of its own needs that. No frame
    goes from one `isolated` port to another.
    """
    peer = Peer(endpoint.interface, endpoint.mac, netns_fd)
    port = rtnetlink.isolated if isolated else rtnetlink.hairpin
    return [
        rtnetlink.new_veth(endpoint.host_interface, peer, mtu=mtu, master=master),
        port(endpoint.host_interface),
    ]


def inner_settings(endpoint: Endpoint) -> list[Sysctl]:
    """Return the settings of the sandbox's interface, before it is up."""
    name = endpoint.interface
    asked = [_asked(text, name) for text in endpoint.sysctls]
    if not endpoint.address6:
        return [Sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1"), *asked]
    # Another member of the network is no router, whatever it advertises.
    return [
        Sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "0"),
        Sysctl(f"net/ipv6/conf/{name}/accept_ra", "0"),
        *asked,
    ]


def _asked(text: str, interface: str) -> Sysctl:
    """Return a setting of an interface that stands for any name in it."""
    key, _, value = text.partition("=")
    parts = (interface if part == ANY_INTERFACE else part for part in key.split("."))
    return Sysctl("/".join(parts), value)


def loopback() -> Request:
    """Return what sets up the loopback interface, which is the first one of every namespace."""
    return rtnetlink.set_link("set lo up", LOOPBACK, up=True)


def inner(endpoint: Endpoint, index: int) -> list[Request]:
    """Return what the sandbox's interface with `index` needs."""
    requests = [rtnetlink.set_link(f"set {endpoint.interface} up", index, up=True)]
    if endpoint.confined:
        from knarr.network import routed  # noqa: PLC0415 - few sandboxes are

        return [*requests, *routed.inner(endpoint, index)]
    if endpoint.address:
        requests.append(rtnetlink.add_address(index, endpoint.address, endpoint.prefix))
    if endpoint.address6:
        requests.append(rtnetlink.add_address(index, endpoint.address6, endpoint.prefix6))
    for address in endpoint.link_local:
        prefix = _LINK_LOCAL_PREFIX[version_of(address)]
        requests.append(rtnetlink.add_address(index, address, prefix))
    return requests


def default_route(way_out: WayOut, index: int) -> Request:
    """Return what makes the interface with `index` the way to everywhere else."""
    if not way_out.gateway:
        return rtnetlink.replace_direct_route(index, way_out.version)
    return rtnetlink.replace_route(way_out.gateway, index)
