"""Taking back what is left of a network whose creation was interrupted.

The kernel has a network before the record says so. Who is killed in between leaves a bridge or a
parent that no network has, and elements in the firewall's sets.
"""

from __future__ import annotations

from knarr.linux import rtnetlink
from knarr.network import drivers, parents
from knarr.network.model import WIRES
from knarr.network.sandbox import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.networks import Networks
    from knarr.linux.rtnetlink import Link
    from knarr.store.journal import Entry


def finish(engine: Engine, entry: Entry) -> str:
    """Remove what no network has, and say so if there was anything.

    Raises: PermissionDenied, Failed
    """
    networks = engine.networks
    with engine.database.transaction(), networks.bridges.lock(), Host() as host:
        strays = [link.name for link in _strays(networks, rtnetlink.links(host.socket))]
        for name in strays:
            host.remove_bridge(name)  # or another link
        networks.reload()
    if not strays:
        return ""
    return f"took back the network {entry.key}, whose creation was interrupted"


def _strays(networks: Networks, links: Iterable[Link]) -> list[Link]:
    recorded = networks.recorded()
    known = {network.interface for network in recorded}
    known |= {parents.parent_of(one).name for one in recorded if one.driver in WIRES}
    prefix, root = networks.bridges.realm.prefix, networks.bridges.realm.root
    return [
        link
        for link in links
        if link.name not in known
        and (
            (link.kind == "bridge" and link.name.removeprefix(prefix).isdecimal())
            or (
                link.alias.startswith(drivers.ALIAS)
                and link.alias.endswith(f"{drivers.OF_ROOT}{root}")
            )
        )
    ]
