"""What a container with an allowlist may connect to because its resolver has answered a name.

The resolver asks the world about allowed names alone, and before an answer goes to the container,
the addresses in it go into the sets of the firewall, for as long as the answer holds: at least a
minute, since programs use an address a little longer than they should. Connections that were made
go on when that time is over.

Addresses of the host itself and of the link are allowed to nobody by way of a name, whatever a
name server says of it. What was allowed is noted in the run directory (`granted.json`), so that
rules which somebody flushed can be made again with it.
"""

from __future__ import annotations

import _socket
import errno
import time

from knarr.linux import nftables
from knarr.linux.nfnetlink import Nftables
from knarr.network import dns, firewall
from knarr.network.confined import Grant, grant_entry
from knarr.network.egress import parse_allowed
from knarr.supervise import places
from knarr.util.files import write_atomically
from knarr.util.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LEAST = 60  # seconds that an address is allowed
_GRACE = 30
_MOST = 86400
_MOST_GRANTS = 4096  # at a time

# Loopback, link-local, multicast and the like: no other host has them.
_NOT_V4 = ((0, 8), (127, 8), (169 << 8 | 254, 16), (0b1110, 4), (0b1111, 4))
_NOT_V6 = ((0, 96), (0xFE8 >> 2, 10), (0xFF, 8), (0xFFFF, 96))


class Grants:
    """The addresses that one container was given."""

    def __init__(self, control_dir: str) -> None:
        """Allow nothing yet."""
        self._path = f"{control_dir}/{places.GRANTED}"
        self._kernel: Nftables | None = None
        self._until: dict[tuple[str, str, int], float] = {}
        self.configure({})

    def configure(self, settings: dict[str, Any]) -> None:
        """Take the table's name, the container's interfaces, and the entries of its allowlist."""
        self._table = nftables.Table(nftables.NFPROTO_INET, settings.get("table", ""))
        interfaces = settings.get("interfaces", [])
        entries = [parse_allowed(text) for text in settings.get("allowed", ())]
        if interfaces != getattr(self, "_interfaces", interfaces):
            self._until.clear()  # a new one has nothing yet
        self._interfaces = interfaces
        self._named = [entry for entry in entries if entry.named]
        self._anything = any(entry.anywhere for entry in entries)

    def allows(self, name: str) -> bool:
        """Tell whether the world may be asked about a name, in lower case."""
        return self._anything or any(entry.fits(name) for entry in self._named)

    def learn(self, message: bytes) -> None:
        """Allow the addresses in an answer that is about to be passed on."""
        name, found = dns.parse_addresses(message)
        if found and self.allows(name):
            self.grant(name, (raw for raw, _ in found), min(ttl for _, ttl in found))

    def grant(self, name: str, addresses: Iterable[bytes], ttl: int) -> None:
        """Allow addresses of a name, for `ttl` seconds and a little more."""
        entries = [entry for entry in self._named if entry.fits(name)]
        needed = min(max(ttl, LEAST), _MOST)
        now = time.time()
        self._until = {key: until for key, until in self._until.items() if until > now}
        new = [
            Grant(
                _render(raw), entry.protocol, entry.ports[0] if entry.ports else 0, needed + _GRACE
            )
            for raw in addresses
            if _is_elsewhere(raw)
            for entry in entries
        ]
        new = [one for one in new if self._until.get(_key(one), 0) < now + needed]
        if not new or len(self._until) + len(new) > _MOST_GRANTS:
            return
        self._allow(new)
        self._until |= {_key(one): now + one.seconds for one in new}
        noted = [[*key, until] for key, until in self._until.items()]
        write_atomically(self._path, dumps(noted).encode(), durable=False)

    def _allow(self, new: list[Grant]) -> None:
        """Put grants into the firewall's sets, or give those that are there their time anew.

        Kernels before 6.12 leave the time of an element as it is, so it is taken out in between,
        which nobody sees within one transaction.
        """
        entries = [grant_entry(name, one) for name in self._interfaces for one in new]
        plain = [(of, entry.replace(seconds=0)) for of, entry in entries]
        requests = firewall.add(self._table, entries)
        requests += firewall.remove(self._table, plain)
        requests += firewall.add(self._table, entries)
        if self._kernel is None:
            self._kernel = Nftables()
        try:
            self._kernel.apply(requests)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            # Somebody flushed the rules; who makes them again reads what is noted.


def _key(one: Grant) -> tuple[str, str, int]:
    return one.address, one.protocol, one.port


def _render(raw: bytes) -> str:
    return _socket.inet_ntop(_socket.AF_INET if len(raw) == 4 else _socket.AF_INET6, raw)


def _is_elsewhere(raw: bytes) -> bool:
    """Tell whether an address can be another host's."""
    number, bits = int.from_bytes(raw, "big"), len(raw) * 8
    reserved = _NOT_V4 if bits == 32 else _NOT_V6
    return not any(number >> (bits - prefix) == base for base, prefix in reserved)
