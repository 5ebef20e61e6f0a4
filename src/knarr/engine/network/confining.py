"""Sandboxes with an allowlist: their elements in the firewall, and the counts of what was refused.

An endpoint is confined before its interface appears, and no longer when its record goes. Which
addresses its names have is the business of `knarr.supervise.names.grants`; what that has
noted is read here when the table is made anew.
"""

from __future__ import annotations

import time

from knarr.linux import nftables
from knarr.network import confined
from knarr.network.confined import Grant
from knarr.network.sandbox import Host
from knarr.supervise import places
from knarr.util import jsontext
from knarr.util.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from knarr.engine.networks import Networks
    from knarr.network.firewall import Named
    from knarr.network.model import Endpoint


def all_entries(networks: Networks) -> Iterator[Named]:
    """Yield the elements of all confined endpoints, with the addresses that their names have."""
    for network in networks.recorded():
        for endpoint in networks.members(network) if network.interface else ():
            if endpoint.confined:
                yield from confined.entries(endpoint, network)
                for grant in granted(networks, endpoint.sandbox_id):
                    yield confined.grant_entry(endpoint.host_interface, grant)


def granted(networks: Networks, container_id: str) -> Iterator[Grant]:
    """Yield the addresses that a container may connect to because a name was answered."""
    path = f"{networks.engine.paths.task(container_id)}/{places.GRANTED}"
    try:
        noted = jsontext.loads(read_file(path).decode())
    except (FileNotFoundError, ValueError):
        return
    now = time.time()
    for address, protocol, port, until in noted:
        if until > now + 1:
            yield Grant(address, protocol, port, int(until - now))


def confine(networks: Networks, endpoints: Iterable[Endpoint]) -> None:
    """Put recorded endpoints under the rules, before they can send anything.

    Raises: PermissionDenied, Failed
    """
    networks.rules.add(list(_entries(networks, endpoints)))


def release(networks: Networks, endpoints: Sequence[Endpoint]) -> None:
    """Take endpoints from under the rules, whose interfaces are gone or about to go.

    Raises: PermissionDenied, Failed
    """
    networks.rules.remove(list(_entries(networks, endpoints)))
    with Host() as host:
        for endpoint in endpoints:
            if endpoint.confined:
                host.forget_routed(endpoint, networks.get(endpoint.network_id).interface)


def _entries(networks: Networks, endpoints: Iterable[Endpoint]) -> Iterator[Named]:
    for endpoint in endpoints:
        if endpoint.confined:
            yield from confined.entries(endpoint, networks.get(endpoint.network_id))


def refused(networks: Networks, endpoints: Iterable[Endpoint]) -> int:
    """Return how many packets of a sandbox were refused because nothing allows them.

    Raises: PermissionDenied, Failed
    """
    counts = networks.rules.counts("refused")
    names = [one.host_interface for one in endpoints if one.confined]
    return sum(counts.get(nftables.concatenation(("ifname",), (name,)), 0) for name in names)
