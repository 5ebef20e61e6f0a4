"""What confined endpoints are to the firewall: elements of sets that `from_confined` asks.

* `confined`: their interfaces on the host; `refused`: the same, with a count of what was refused;
* `own4`, `own6`: (interface, address) that they have: what comes under another one is dropped;
* `egress4`, `egress6`: (interface, address, protocol, port) that they may connect to;
* `named4`, `named6` and those with `_ports`: the same of addresses that a resolver answered, for as
  long as the answer holds;
* `beside4`, `beside6`: (interface, address) of one network, for its bridge and its confined
  members, whose packets to each other the host routes.
"""

from __future__ import annotations

from knarr.network.address import parse_subnet, render_address, version_of
from knarr.network.egress import boxes, parse_allowed
from knarr.network.firewall import Entry
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.network.address import Subnet
    from knarr.network.egress import Box
    from knarr.network.firewall import Key, Named
    from knarr.network.model import Endpoint, Network


class Grant(Value):
    """An address that a resolver answered, allowed for so many seconds.

    Without a protocol every one of them is allowed, and every port.
    """

    address: str
    protocol: str
    port: int
    seconds: int


def entries(endpoint: Endpoint, network: Network) -> list[Named]:
    """Return the elements that a confined endpoint is to the firewall."""
    name, bridge = endpoint.host_interface, network.interface
    found = [(of, Entry((name,))) for of in ("bridges", "confined", "refused")]
    if network.internal:
        found.append(("internal", Entry((name,))))
    allowed = [parse_allowed(text) for text in endpoint.egress or ()]
    for address in endpoint.addresses:
        version = version_of(address)
        found.append((f"own{version}", Entry((name, address))))
        found += [
            (f"egress{version}", _ranged(name, box, version)) for box in boxes(allowed, version)
        ]
        if network.talkative:
            subnet = _subnet_with(network, version)
            found += [
                (f"beside{version}", _beside(name, subnet)),
                (f"beside{version}", Entry((bridge, address), last=(bridge, address))),
            ]
    return found


def grant_entry(interface: str, grant: Grant) -> Named:
    """Return the element for an address that a resolver answered."""
    name = f"named{version_of(grant.address)}"
    if not grant.protocol:
        return name, Entry((interface, grant.address), seconds=grant.seconds)
    key: Key = (interface, grant.address, grant.protocol, grant.port)
    return f"{name}_ports", Entry(key, seconds=grant.seconds)


def _ranged(interface: str, box: Box, version: int) -> Entry:
    (first, last), (low, high), (from_port, to_port) = box
    return Entry(
        (interface, render_address(first, version), low, from_port),
        last=(interface, render_address(last, version), high, to_port),
    )


def _beside(interface: str, subnet: Subnet) -> Entry:
    first, last = (render_address(at, subnet.version) for at in (subnet.base, subnet.last))
    return Entry((interface, first), last=(interface, last))


def _subnet_with(network: Network, version: int) -> Subnet:
    subnets = [parse_subnet(pool.subnet) for pool in network.pools]
    return next(subnet for subnet in subnets if subnet.version == version)
