"""The realm's table of rules: made from the records, changed with them, compared with them.

The table is made by whoever finds it missing: after a reboot, or after somebody flushed all rules.
Whoever compares it with the records holds the database's right to write.
"""

from __future__ import annotations

import errno

from knarr.errors import Failed, PermissionDenied
from knarr.linux import conntrack, nftables
from knarr.linux.nfnetlink import Nftables
from knarr.network import firewall, foreign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from knarr.engine.networks import Networks
    from knarr.network.firewall import Named
    from knarr.network.model import Network, Published, Realm

# How often a plan is made anew because somebody else changed the host's rules meanwhile.
_ATTEMPTS = 20


class Rules:
    """The table of one root."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._realm = networks.bridges.realm
        self.table = firewall.table_of(self._realm)

    def publish(self, ports: list[Published]) -> None:
        """Add published ports that are recorded, and the table if it is missing.

        Raises: PermissionDenied, Failed
        """
        with _Refusals(), Nftables() as kernel:
            self._add(kernel, list(map(firewall.port_entry, ports)))
            _forget_connections(kernel, ports)

    def unpublish(self, ports: list[Published]) -> None:
        """Take back published ports; part of the transaction that removes their records.

        Raises: PermissionDenied, Failed
        """
        with _Refusals():
            kernel = Nftables()
            try:
                self._remove(kernel, list(map(firewall.port_entry, ports)))
                _forget_connections(kernel, ports)
            finally:
                kernel.abandon()

    def admit(self, network: Network) -> None:
        """Let a network that is recorded have its traffic.

        Part of the transaction that records it. Only what is the network's is added: to compare the
        whole table for each of two hundred networks would take most of the time.

        Raises: PermissionDenied, Failed
        """
        if network.interface:
            self.add(firewall.network_entries(network))

    def withdraw(self, network: Network) -> None:
        """Take back what is a network's, whose record is gone; part of the same transaction.

        Raises: PermissionDenied, Failed
        """
        if network.interface:
            self.remove(firewall.network_entries(network))

    def add(self, entries: list[Named]) -> None:
        """Add elements that the records speak of, and the table if it is missing.

        Raises: PermissionDenied, Failed
        """
        with _Refusals(), Nftables() as kernel:
            self._add(kernel, entries)

    def _add(self, kernel: Nftables, entries: list[Named]) -> None:
        current = kernel.find_table(self.table.family, self.table.name) == self.table
        if current and entries:
            try:
                kernel.apply(firewall.add(self.table, entries))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EEXIST, errno.EINVAL):
                    raise
                current = False
        if not current:
            self.reload()

    def remove(self, entries: list[Named]) -> None:
        """Take elements back, those that are there.

        Raises: PermissionDenied, Failed
        """
        with _Refusals():
            kernel = Nftables()
            try:
                self._remove(kernel, entries)
            finally:
                kernel.abandon()

    def _remove(self, kernel: Nftables, entries: list[Named]) -> None:
        try:
            kernel.apply(firewall.remove(self.table, entries))
        except FileNotFoundError:
            if len(entries) > 1:  # some are gone, or all: one by one
                for entry in entries:
                    self._remove(kernel, [entry])

    def counts(self, name: str) -> dict[bytes, int]:
        """Return how many packets met each key of a set that is counted.

        Raises: PermissionDenied, Failed
        """
        with _Refusals(), Nftables() as kernel:
            try:
                return kernel.counters(self.table, name)
            except FileNotFoundError:
                return {}

    def reload(self) -> None:
        """Make the realm's table what the records say, whatever was done to it.

        Raises: PermissionDenied, Failed
        """
        with self._networks.database.transaction(), _Refusals(), Nftables() as kernel:
            wanted = self._plan()
            for _ in range(_ATTEMPTS):
                generation = kernel.generation()
                changes = firewall.difference(kernel, wanted)
                changes += foreign.openings(kernel, self._realm.prefix)
                try:
                    kernel.apply(changes, generation=generation)
                except OSError as error:
                    if error.errno not in (errno.ERESTART, errno.EINTR):
                        raise
                else:
                    self._open_legacy()
                    return
        message = "the host's firewall changes faster than knarr can follow"
        raise Failed(message)

    def _plan(self) -> firewall.Plan:
        networks = [one for one in self._networks.recorded() if one.interface]
        leads = self._networks.leads()
        others: Iterable[Named] = ()
        if self._networks.records.has_confined():
            from knarr.engine.network.confining import all_entries  # noqa: PLC0415 - for few

            others = all_entries(self._networks)
        return firewall.plan(self._realm, networks, leads, others)

    def count_differences(self) -> int:
        """Return in how many points the table is not what the records say; change nothing.

        Raises: PermissionDenied, Failed
        """
        with self._networks.database.transaction(durable=False), _Refusals(), Nftables() as kernel:
            wanted = self._plan()
            changes = firewall.difference(kernel, wanted)
            return len(changes) + len(foreign.openings(kernel, self._realm.prefix))

    def _open_legacy(self) -> None:
        """Let traffic of our bridges pass where legacy iptables drops by default, or say so."""
        from knarr.linux import xtables  # noqa: PLC0415 - when rules are made, once a boot

        if not xtables.drops_forwarded():
            return
        commands = foreign.legacy_commands(self._realm.prefix, "-A")
        for check, command in zip(self._legacy("-C"), commands, strict=True):
            if check != 0 and _run(command) != 0:
                self._networks.engine.notices.append(
                    "the host's legacy iptables drops what is forwarded, so that containers reach "
                    f"nothing beyond the host, until somebody runs: {' '.join(command)}"
                )

    def _legacy(self, action: str) -> list[int]:
        return [_run(words) for words in foreign.legacy_commands(self._realm.prefix, action)]

    def tear_down(self) -> None:
        """Remove the table, and our rules in tables of others."""
        from knarr.linux import xtables  # noqa: PLC0415 - as above

        with _Refusals(), Nftables() as kernel:
            changes = foreign.closings(kernel, self._realm.prefix)
            if kernel.find_table(self.table.family, self.table.name) is not None:
                changes.append(nftables.delete_table(self.table))
            kernel.apply(changes)
        if xtables.drops_forwarded():
            self._legacy("-D")


def remove_tables(realms: Iterable[Realm]) -> None:
    """Remove the tables of realms that are no more.

    Raises: PermissionDenied, Failed
    """
    with _Refusals(), Nftables() as kernel:
        for table in map(firewall.table_of, realms):
            if kernel.find_table(table.family, table.name) is not None:
                kernel.apply([nftables.delete_table(table)])


def _run(words: list[str]) -> int:
    """Run a program of the host quietly and return its exit status, -1 if there is none."""
    import subprocess  # noqa: PLC0415 - on hosts with legacy rules, once a boot

    try:
        return subprocess.run(words, check=False, capture_output=True).returncode
    except FileNotFoundError:
        return -1


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
        hint = (
            "The kernel needs nf_tables with NAT and refusals, from Linux 5.9 on "
            "(CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_REJECT_INET)."
        )
        raise Failed(message, hint=hint) from error
