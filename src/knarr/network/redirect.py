"""How a sandbox's questions get to its supervisor: 127.0.0.11, port 53, inside its own namespace.

The supervisor listens on ports of its own choice at that address, since a container may want port
53 for itself. One rule in the sandbox's namespace sends what is for port 53 there. The address is
Docker's: programs know it, and it is nobody else's.
"""

from __future__ import annotations

from knarr.linux import nftables
from knarr.linux.nftables import Chain, Rule, Set, Table
from knarr.linux.nftexpr import dnat, within
from knarr.network.resolver import OWN_SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.linux.netlink import Request

ADDRESS = OWN_SERVER
PORT = 53

TABLE = Table(nftables.NFPROTO_INET, "knarr-names", "knarr names")
_MAP = Set("names", ("inet_proto", "inet_service"), ("ipv4_addr", "inet_service"))
_CHAIN = Chain("output", "nat", "output", -100)
_RULE = Rule(
    "output",
    "names",
    (
        within("ip daddr", bytes((127, 0, 0, 11)), 32, ADDRESS),
        dnat(4, ("meta l4proto", "th dport"), _MAP.name),
    ),
)


def plan(udp: int, tcp: int) -> list[Request]:
    """Return what makes the rule: to the ports `udp` and `tcp` of the same address."""
    elements = [
        nftables.element(_MAP, (protocol, PORT), (ADDRESS, port))
        for protocol, port in (("udp", udp), ("tcp", tcp))
    ]
    return [
        nftables.add_table(TABLE),
        nftables.add_set(TABLE, _MAP, 1),
        *nftables.add_elements(TABLE, _MAP.name, elements),
        nftables.add_chain(TABLE, _CHAIN),
        nftables.add_rule(TABLE, _RULE),
    ]
