"""The interface of a confined endpoint: a wire to the host alone, which is the router of all.

What a port of a bridge sends to another port never comes by the rules for what is forwarded. So a
sandbox with an allowlist is no port: its pair of interfaces ends at the host, which has a route to
the sandbox's addresses by way of it and answers on the bridge whoever asks for them. To the others
in the network it is where it would be anyway; all it sends and gets passes by the host's rules.

Inside, the addresses stand alone (/32, /128); the rest of the network is reached by way of the
host's addresses there, which the host has at this interface too.
"""

from __future__ import annotations

from knarr.linux import neighbours, rtnetlink
from knarr.linux.rtnetlink import Peer
from knarr.network.address import BITS, Subnet, parse_address, render_address, version_of
from knarr.network.drivers import Sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.linux.netlink import Request
    from knarr.network.model import Endpoint


def pair(endpoint: Endpoint, *, mtu: int, netns_fd: int) -> Request:
    """Return what makes the two interfaces, that of the sandbox in its namespace."""
    peer = Peer(endpoint.interface, endpoint.mac, netns_fd)
    return rtnetlink.new_veth(endpoint.host_interface, peer, mtu=mtu)


def settings(endpoint: Endpoint, bridge: str) -> list[Sysctl]:
    """Return the settings that make the host the way between the interface and the bridge.

    Who asks for an address on the bridge is answered at once: the kernel would wait a moment for
    somebody with a better claim.
    """
    name = endpoint.host_interface
    found = [
        Sysctl("net/ipv4/ip_forward", "1"),
        Sysctl(f"net/ipv4/conf/{name}/route_localnet", "1"),
        Sysctl(f"net/ipv4/neigh/{bridge}/proxy_delay", "0"),
    ]
    if not endpoint.address6:
        return [*found, Sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")]
    return [
        *found,
        Sysctl("net/ipv6/conf/all/forwarding", "1"),
        Sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "0"),
        Sysctl(f"net/ipv6/conf/{name}/accept_ra", "0"),
        Sysctl(f"net/ipv6/conf/{bridge}/proxy_ndp", "1"),
        Sysctl(f"net/ipv6/neigh/{bridge}/proxy_delay", "0"),
    ]


def host_side(endpoint: Endpoint, index: int, bridge: int) -> list[Request]:
    """Return what the interface `index` of the host needs, and the bridge for it."""
    requests = [
        rtnetlink.add_address(index, router, BITS[version_of(router)])
        for router in endpoint.routers
    ]
    for address in endpoint.addresses:
        requests.append(neighbours.add_host_route(index, address))
        requests.append(neighbours.add_proxy(bridge, address))
    return requests


def take_back(endpoint: Endpoint, bridge: int) -> list[Request]:
    """Return what the end of the interface leaves behind: answers for it on the bridge."""
    return [neighbours.delete_proxy(bridge, address) for address in endpoint.addresses]


def inner(endpoint: Endpoint, index: int) -> list[Request]:
    """Return the addresses of the sandbox's interface, and the routes to its neighbours."""
    requests = []
    by_version = {version_of(router): router for router in endpoint.routers}
    for address, prefix in (
        (endpoint.address, endpoint.prefix),
        (endpoint.address6, endpoint.prefix6),
    ):
        if not address:
            continue
        version = version_of(address)
        router, bits = by_version[version], BITS[version]
        base = parse_address(address) >> (bits - prefix) << (bits - prefix)
        network = render_address(Subnet(version, base, prefix).base, version)
        requests += [
            rtnetlink.add_address(index, address, bits),
            neighbours.add_host_route(index, router),
            rtnetlink.add_route(router, index, destination=network, prefix=prefix),
        ]
    return requests
