"""Addresses and blocks of them as numbers, without the start-up cost of `ipaddress`."""

from __future__ import annotations

import _socket

from knarr.errors import InvalidArgument
from knarr.util.value import Value

_FAMILIES = {4: _socket.AF_INET, 6: _socket.AF_INET6}
BITS = {4: 32, 6: 128}


class Subnet(Value):
    """A block of addresses: the first `prefix` bits of `base`."""

    version: int
    base: int
    prefix: int

    @property
    def size(self) -> int:
        """Return how many addresses there are."""
        return 1 << (BITS[self.version] - self.prefix)

    @property
    def last(self) -> int:
        """Return the last address."""
        return self.base + self.size - 1

    def __contains__(self, address: int) -> bool:
        """Tell whether `address`, of the same version, is in the block."""
        return self.base <= address <= self.last

    def overlaps(self, other: Subnet) -> bool:
        """Tell whether the blocks have an address in common."""
        same = self.version == other.version
        return same and self.base <= other.last and other.base <= self.last

    def __str__(self) -> str:
        """Return the block as people write it."""
        return f"{render_address(self.base, self.version)}/{self.prefix}"


def version_of(text: str) -> int:
    """Return 6 for what looks like an address of IPv6, else 4."""
    return 6 if ":" in text else 4


def pack_address(text: str) -> bytes:
    """Return the bytes of an address.

    Raises: InvalidArgument
    """
    try:
        return _socket.inet_pton(_FAMILIES[version_of(text)], text)
    except (OSError, ValueError) as error:
        message = f"invalid IP address: {text}"
        raise InvalidArgument(message) from error


def parse_address(text: str) -> int:
    """Return the number of an address.

    Raises: InvalidArgument
    """
    return int.from_bytes(pack_address(text), "big")


def render_address(address: int, version: int = 4) -> str:
    """Return an address as people write it."""
    raw = address.to_bytes(BITS[version] // 8, "big")
    return _socket.inet_ntop(_FAMILIES[version], raw)


def parse_subnet(text: str) -> Subnet:
    """Return the block `address/prefix`, whose address has to be its first.

    Raises: InvalidArgument
    """
    address, slash, bits = text.partition("/")
    version = version_of(address)
    if not slash or not bits.isascii() or not bits.isdecimal() or int(bits) > BITS[version]:
        message = f"invalid subnet: {text}"
        raise InvalidArgument(message, hint="A subnet is written as 10.1.0.0/16.")
    number, prefix = parse_address(address), int(bits)
    base = number >> (BITS[version] - prefix) << (BITS[version] - prefix)
    subnet = Subnet(version, base, prefix)
    if base != number:
        message = f"invalid subnet {text}: it should be {subnet}"
        raise InvalidArgument(message)
    return subnet


def parse_mac(text: str) -> str:
    """Return a hardware address that an interface can have, in its usual form.

    Raises: InvalidArgument
    """
    parts = text.replace("-", ":").lower().split(":")
    if len(parts) != 6 or any(len(p) != 2 or p.strip("0123456789abcdef") for p in parts):
        message = f"invalid MAC address: {text}"
        raise InvalidArgument(message, hint="It is written as 92:d0:c6:0a:29:33.")
    if int(parts[0], 16) & 1 or not any(int(part, 16) for part in parts):
        message = f"invalid MAC address: {text} is no single interface's"
        raise InvalidArgument(message)
    return ":".join(parts)


def mac_of(address: str) -> str:
    """Return the hardware address that belongs to an IPv4 address.

    Whoever remembers the one from earlier is right about the other too, so that no neighbour
    keeps a stale entry when an address is used again.
    """
    return "02:42:" + pack_address(address)[-4:].hex(":")
