"""The kernel's side of networks: bridges and parents, made when they are found missing.

A network's bridge is made when the network is created, or first used since the host was booted;
so is the parent of a network that stands on a link of the host, if it is ours to make.
Subnets are chosen by one engine of the host at a time, so that engines on different roots see each
other's bridges. Locks are taken in this order: the database's right to write, then the file for
subnets.
"""

from __future__ import annotations

import os

from knarr.engine.paths import default_root
from knarr.network import ipam, resolver
from knarr.network.address import BITS, Subnet, parse_address, parse_subnet, version_of
from knarr.network.model import WIRES, Network, realm_of
from knarr.network.sandbox import Host
from knarr.util.files import FileLock, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.networks import Networks
    from knarr.network.drivers import Uplink

# Held while a subnet is chosen, by engines of all roots.
SUBNETS_LOCK = "/run/knarr-subnets.lock"


class Bridges:
    """What the kernel has of the networks of one root."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._cleared = False
        self.realm = realm_of(os.path.realpath(networks.engine.paths.root), default_root())

    def lock(self) -> FileLock:
        """Return what keeps engines of all roots from choosing subnets at the same time."""
        return FileLock(SUBNETS_LOCK)

    def choose(self, version: int = 4) -> str:
        """Return a subnet that is free at the moment; part of a transaction."""
        with Host() as host:
            return str(self._choose(version, self._occupied(host)))

    def _choose(self, version: int, occupied: list[Subnet]) -> Subnet:
        from knarr.engine.settings import ADDRESS_POOLS  # noqa: PLC0415 - when a subnet is chosen

        asked = self._networks.engine.settings.get(ADDRESS_POOLS)
        pools = [pool for pool in asked or ipam.POOLS if version_of(pool[0]) == version]
        if pools:
            return ipam.choose_subnet(occupied, pools)
        if version == 4:
            return ipam.choose_subnet(occupied)
        seed = f"{_machine_id()} {self.realm.root}".encode()
        return ipam.choose_subnet(occupied, [(ipam.unique_local_block(seed), ipam.ULA_PREFIX)])

    def free_interface(self, networks: Iterable[Network], *, first: int) -> str:
        """Return a name for a bridge that none of `networks` has, numbered from `first`."""
        taken = {network.interface for network in networks}
        number = first
        while f"{self.realm.prefix}{number}" in taken:
            number += 1
        return f"{self.realm.prefix}{number}"

    def make(self, network: Network) -> Network:
        """Set up the bridge of a network that is about to be recorded; part of a transaction.

        Its subnet was chosen since the lock is held.

        Raises: Unavailable, PermissionDenied, Conflict, Failed, and where it has a parent
            InvalidArgument, NotFound, Unsupported
        """
        with Host() as host:
            if network.driver != "bridge":
                host.set_up_parent(network, self.realm.root)
                return network
            host.remove_bridge(network.interface)  # of one that was never recorded
            if not self._cleared:
                self._clear(host)
                self._cleared = True
            host.set_up_bridge(network, self.realm.root)
        return network

    def ready(self, network: Network, host: Host) -> tuple[Network, Uplink]:
        """Return the network with its bridge or parent, set up if missing; part of a transaction.

        A subnet that knarr chose before the host came to use it for something else is replaced by
        another one, as long as nothing is in the network.
        """
        if network.driver != "bridge":
            return network, host.set_up_parent(network, self.realm.root)
        uplink = host.find_bridge(network)
        if uplink is not None:
            return network, uplink
        with FileLock(SUBNETS_LOCK):
            self._clear(host)
            settled = self._settled(network, host)
            if settled != network:
                self._networks.update(settled)
            uplink = host.set_up_bridge(settled, self.realm.root)
        self._networks.reload()
        return settled, uplink

    def _clear(self, host: Host) -> None:
        """Remove what is left of roots that somebody deleted, and so had no other end."""
        abandoned = host.abandoned()
        if not abandoned:
            return
        from knarr.engine.network.rules import remove_tables  # noqa: PLC0415 - rare

        for name in abandoned:
            host.remove_bridge(name)  # or another link
        roots = set(abandoned.values()) - {self.realm.root}
        remove_tables(realm_of(root, default_root()) for root in roots)

    def remove(self, network: Network) -> None:
        """Remove a network's bridge, with the interfaces that are its ports, or its parent."""
        with Host() as host:
            if network.driver == "bridge":
                host.remove_bridge(network.interface)
            else:
                host.remove_parent(network, self.realm.root)

    def _settled(self, network: Network, host: Host) -> Network:
        """Return the network, with another subnet if one that knarr chose is taken by now."""
        if not network.chosen or self._networks.records.endpoints(network.id):
            return network
        occupied = self._occupied(host, without=network)
        subnets = [parse_subnet(pool.subnet) for pool in network.pools]
        if not any(subnet.overlaps(other) for subnet in subnets for other in occupied):
            return network
        chosen = [self._choose(subnet.version, occupied) for subnet in subnets]
        return network.replace(pools=tuple(map(ipam.plan_pool, chosen)))

    def _occupied(self, host: Host, *, without: Network | None = None) -> list[Subnet]:
        """Return the blocks that no network may have: the host's, and those of our networks."""
        ours = [
            parse_subnet(pool.subnet)
            for network in self._networks.recorded()
            for pool in network.pools
            if without is None or network.id != without.id
        ]
        theirs = host.occupied(without=without.interface if without else "")
        return [*ours, *theirs, *_servers()]

    def tear_down(self) -> None:
        """Remove every bridge of the realm, with the interfaces that are its ports, and parents."""
        with Host() as host:
            host.remove_bridges(self.realm.prefix)
            for network in self._networks.recorded():
                if network.driver in WIRES:
                    host.remove_parent(network, self.realm.root)
                elif network.interface:  # perhaps under a name that somebody asked for
                    host.remove_bridge(network.interface)


def _servers() -> list[Subnet]:
    """Return the addresses of the host's name servers, which a network must not hide."""
    servers = resolver.parse_resolver(_text_of(resolver.HOST_FILE)).servers
    plain = [server for server in servers if "%" not in server]
    return [Subnet(version_of(s), parse_address(s), BITS[version_of(s)]) for s in plain]


def _machine_id() -> str:
    """Return what tells this host from others, nothing where it has no such file.

    Man: machine-id(5)
    """
    return _text_of("/etc/machine-id").strip()


def _text_of(path: str) -> str:
    try:
        return read_file(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
