"""The kernel's side of networks: bridges, and the realm's table of rules.

It is made from the records, when a network is created or first used, and made again by whoever
finds it missing: after a reboot, or after somebody flushed all rules. Subnets are chosen by one
engine of the host at a time, so that engines on different roots see each other's bridges.

Locks are taken in this order: the database's right to write, then the file for subnets. Whoever
compares the table with the records holds the first.
"""

from __future__ import annotations

import errno
import os

from knarr.engine.paths import default_root
from knarr.errors import Failed, InvalidArgument, PermissionDenied
from knarr.linux import conntrack, nftables
from knarr.linux.nfnetlink import Nftables
from knarr.network import firewall, ipam, resolver
from knarr.network.address import BITS, Subnet, parse_address, parse_subnet, version_of
from knarr.network.model import Network, realm_of
from knarr.network.sandbox import Host
from knarr.util.files import FileLock, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from knarr.engine.networks import Networks
    from knarr.linux.rtnetlink import Link
    from knarr.network.model import Published

# Held while a subnet is chosen, by engines of all roots.
SUBNETS_LOCK = "/run/knarr-subnets.lock"

# How often a plan is made anew because somebody else changed the host's rules meanwhile.
_ATTEMPTS = 20


class Bridges:
    """What the kernel has of the networks of one root."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._database = networks.database
        root = os.path.realpath(networks.engine.paths.root)
        self.realm = realm_of(root, default_root())
        self.table = firewall.table_of(self.realm)

    # bridges

    def choose(self) -> str:
        """Return a subnet that is free at the moment; part of a transaction."""
        with Host() as host:
            return str(ipam.choose_subnet(self._occupied(host)))

    def free_interface(self, *, first: int) -> str:
        """Return a name for a bridge that no network has, numbered from `first`."""
        taken = {network.interface for network in self._networks.recorded()}
        number = first
        while f"{self.realm.prefix}{number}" in taken:
            number += 1
        return f"{self.realm.prefix}{number}"

    def make(self, network: Network) -> Network:
        """Set up the bridge of a network that is about to be recorded; part of a transaction.

        Raises: Unavailable, PermissionDenied, Conflict, Failed
        """
        with FileLock(SUBNETS_LOCK), Host() as host:
            host.remove_bridge(network.interface)  # of one that was never recorded
            network = self._settled(network, host)
            host.set_up_bridge(network)
        return network

    def ready(self, network: Network, host: Host) -> tuple[Network, Link]:
        """Return the network with its bridge, set up if it is missing; part of a transaction.

        A subnet that knarr chose before the host came to use it for something else is replaced by
        another one, as long as nothing is in the network.
        """
        link = host.find_bridge(network)
        if link is not None:
            return network, link
        with FileLock(SUBNETS_LOCK):
            settled = self._settled(network, host)
            if settled != network:
                self._networks.update(settled)
            link = host.set_up_bridge(settled)
        self.reload()
        return settled, link

    def remove(self, network: Network) -> None:
        """Remove a network's bridge and rules, when its record is gone; part of a transaction."""
        self.reload()
        with Host() as host:
            host.remove_bridge(network.interface)

    def _settled(self, network: Network, host: Host) -> Network:
        """Return the network, with another subnet if one that knarr chose is taken by now."""
        if not network.chosen or self._networks.records.endpoints(network.id):
            return network
        occupied = self._occupied(host, without=network)
        subnets = [parse_subnet(pool.subnet) for pool in network.pools]
        if not any(subnet.overlaps(other) for subnet in subnets for other in occupied):
            return network
        return network.replace(pools=(ipam.plan_pool(ipam.choose_subnet(occupied)),))

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

    # rules

    def publish(self, ports: list[Published]) -> None:
        """Add published ports that are recorded, and the table if it is missing.

        Raises: PermissionDenied, Failed
        """
        with _Refusals(), Nftables() as kernel:
            current = kernel.find_table(self.table.family, self.table.name) == self.table
            if current and ports:
                try:
                    kernel.apply(firewall.add_ports(self.table, ports))
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.EEXIST, errno.EINVAL):
                        raise
                    current = False
            if not current:
                self.reload()
            _forget_connections(kernel, ports)

    def unpublish(self, ports: list[Published]) -> None:
        """Take back published ports; part of the transaction that removes their records.

        Raises: PermissionDenied, Failed
        """
        with _Refusals():
            kernel = Nftables()
            try:
                self._delete(kernel, ports)
                _forget_connections(kernel, ports)
            finally:
                kernel.abandon()

    def _delete(self, kernel: Nftables, ports: list[Published]) -> None:
        try:
            kernel.apply(firewall.remove_ports(self.table, ports))
        except FileNotFoundError:
            if len(ports) > 1:  # some are gone, or all: one by one
                for port in ports:
                    self._delete(kernel, [port])

    def reload(self) -> None:
        """Make the realm's table what the records say, whatever was done to it.

        Raises: PermissionDenied, Failed
        """
        with self._database.transaction(), _Refusals(), Nftables() as kernel:
            networks = [one for one in self._networks.recorded() if one.interface]
            wanted = firewall.plan(self.realm, networks, self._networks.leads())
            for _ in range(_ATTEMPTS):
                generation = kernel.generation()
                try:
                    kernel.apply(firewall.difference(kernel, wanted), generation=generation)
                except OSError as error:
                    if error.errno not in (errno.ERESTART, errno.EINTR):
                        raise
                else:
                    return
        message = "the host's firewall changes faster than knarr can follow"
        raise Failed(message)

    def tear_down(self) -> None:
        """Remove every bridge, interface and rule of the realm."""
        with _Refusals(), Nftables() as kernel:
            if kernel.find_table(self.table.family, self.table.name) is not None:
                kernel.apply([nftables.delete_table(self.table)])
        with Host() as host:
            host.remove_bridges(self.realm.prefix)


def _servers() -> list[Subnet]:
    """Return the addresses of the host's name servers, which a network must not hide."""
    servers = resolver.parse_resolver(_text_of(resolver.HOST_FILE)).servers
    plain = [server for server in servers if "%" not in server]
    return [Subnet(version_of(s), parse_address(s), BITS[version_of(s)]) for s in plain]


def _text_of(path: str) -> str:
    try:
        return read_file(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def refuse_overlap(subnet: Subnet, networks: Iterable[Network]) -> None:
    """Raise if one of `networks` has addresses of `subnet`.

    Raises: InvalidArgument
    """
    for network in networks:
        for pool in network.pools:
            if subnet.overlaps(parse_subnet(pool.subnet)):
                message = "Pool overlaps with other one on this address space"
                hint = f"The network {network.name} has {pool.subnet}."
                raise InvalidArgument(message, hint=hint)


def _forget_connections(kernel: Nftables, ports: list[Published]) -> None:
    """Let clients that go on sending UDP find the port as it is now."""
    numbers = [port.host_port for port in ports if port.protocol == "udp"]
    conntrack.forget(kernel.socket, nftables.PROTOCOLS["udp"], numbers)


class _Refusals:
    """Says what the kernel's refusal to change rules means."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, OSError):
            return
        notes = "; ".join(getattr(error, "__notes__", ()))
        message = f"cannot change the firewall: {error.strerror}"
        message += f" ({notes})" if notes else ""
        if error.errno in (errno.EPERM, errno.EACCES):
            hint = "Networks need root, or --network none or host."
            raise PermissionDenied(message, hint=hint) from error
        hint = "The kernel needs nf_tables with NAT (CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT)."
        raise Failed(message, hint=hint) from error
