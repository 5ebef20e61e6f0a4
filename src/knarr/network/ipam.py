"""Who gets which address: pure functions of what is taken.

An address that was just released is not handed out again at once: the search for the next begins
behind the one handed out last, and wraps around at the end of the pool. The first address of a
subnet is the gateway's, the network and broadcast addresses are nobody's.

Subnets of IPv6 are cut from a block of unique local addresses that is the root's own: containers of
two hosts can be routed to each other without a clash.

Subnets come from `POOLS` unless the user names one. The pools keep out of the way of Docker's
(172.17.0.0 to 172.31.255.255, 192.168.0.0 to 192.168.240.0, in this order), Podman's (10.88.0.0/15)
and Kubernetes' (10.96.0.0/12, 10.244.0.0/16), and a candidate is passed over when the host has an
address or a route in it.
"""

from __future__ import annotations

from _bisect import bisect_right

from knarr.errors import Conflict, InvalidArgument, Unavailable
from knarr.network.address import (
    BITS,
    Subnet,
    parse_address,
    parse_subnet,
    render_address,
    version_of,
)
from knarr.network.model import AddressPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

# A block, and the prefix of the subnets that are cut from it. The second and third are for hosts
# that route all of 10.0.0.0/8 somewhere, as those in companies do.
POOLS: tuple[tuple[str, int], ...] = (
    ("10.208.0.0/12", 20),
    ("172.16.0.0/16", 20),
    ("192.168.192.0/18", 24),
)

# The prefix of the subnets that are cut from a host's block of unique local addresses.
ULA_PREFIX = 64


def unique_local_block(seed: bytes) -> str:
    """Return a block of unique local addresses of IPv6 that hardly any other `seed` has.

    Spec: RFC 4193, 3.2.2 (a hash of something that differs between hosts)
    """
    from hashlib import sha256  # noqa: PLC0415 - only for who makes a network with IPv6

    raw = b"\xfd" + sha256(seed).digest()[:5] + bytes(10)
    return f"{render_address(int.from_bytes(raw, 'big'), 6)}/48"


def candidates(pools: Iterable[tuple[str, int]] = POOLS) -> Iterator[Subnet]:
    """Yield the subnets that the pools are cut into, in order."""
    for text, prefix in pools:
        pool = parse_subnet(text)
        step = 1 << (BITS[pool.version] - prefix)
        for base in range(pool.base, pool.last + 1, step):
            yield Subnet(pool.version, base, prefix)


def choose_subnet(occupied: Collection[Subnet], pools: Iterable[tuple[str, int]] = POOLS) -> Subnet:
    """Return the first subnet of the pools that overlaps nothing in `occupied`.

    Raises: Unavailable
    """
    spans = {version: _spans(occupied, version) for version in (4, 6)}
    for subnet in candidates(pools):
        bases, lasts = spans[subnet.version]
        before = bisect_right(bases, subnet.last) - 1
        if before < 0 or lasts[before] < subnet.base:
            return subnet
    message = "all predefined address pools have been fully subnetted"
    raise Unavailable(message, hint="Name a free subnet with --subnet, or remove unused networks.")


def _spans(occupied: Iterable[Subnet], version: int) -> tuple[list[int], list[int]]:
    """Return where the blocks of a version begin and end, in order; of those that overlap, one."""
    bases: list[int] = []
    lasts: list[int] = []
    for base, last in sorted((one.base, one.last) for one in occupied if one.version == version):
        if lasts and base <= lasts[-1]:
            lasts[-1] = max(lasts[-1], last)
        else:
            bases.append(base)
            lasts.append(last)
    return bases, lasts


def plan_pool(
    subnet: Subnet, *, gateway: str = "", ip_range: str = "", reserved: dict[str, str] | None = None
) -> AddressPool:
    """Return the pool of a network on `subnet`, with what the user did not say filled in.

    Raises: InvalidArgument
    """
    if subnet.size < 4:
        message = f"subnet {subnet} is too small for a network"
        raise InvalidArgument(message)
    given = {"gateway": gateway, **(reserved or {})}
    for what, address in given.items():
        if address and not _belongs(address, subnet):
            message = f"no matching subnet for {what} {address}"
            raise InvalidArgument(message, hint=f"The network has {subnet}.")
    if ip_range:
        part = parse_subnet(ip_range)
        if part.version != subnet.version or part.base not in subnet or part.last not in subnet:
            message = f"no matching subnet for range {ip_range}"
            raise InvalidArgument(message, hint=f"The network has {subnet}.")
    gateway = gateway or render_address(subnet.base + 1, subnet.version)
    return AddressPool(str(subnet), gateway, ip_range, tuple(sorted((reserved or {}).items())))


def next_address(pool: AddressPool, taken: Collection[str], last: str = "") -> str | None:
    """Return the next free address behind `last`, or None when all are taken."""
    subnet = parse_subnet(pool.subnet)
    block = parse_subnet(pool.ip_range) if pool.ip_range else subnet
    used = _used(pool, subnet, taken)
    before = parse_address(last) if last and version_of(last) == subnet.version else block.last
    start = before + 1 if before in block else block.base
    for offset in range(min(block.size, len(used) + 1)):
        address = block.base + (start - block.base + offset) % block.size
        if address not in used:
            return render_address(address, subnet.version)
    return None


def count_addresses(pool: AddressPool, taken: Collection[str]) -> tuple[int, int]:
    """Return how many addresses of the subnet nobody can have, and how many are left to hand out.

    `taken` may have addresses of other subnets.
    """
    subnet = parse_subnet(pool.subnet)
    block = parse_subnet(pool.ip_range) if pool.ip_range else subnet
    used = _used(pool, subnet, [address for address in taken if _belongs(address, subnet)])
    return len(used), block.size - sum(number in block for number in used)


def _used(pool: AddressPool, subnet: Subnet, taken: Iterable[str]) -> set[int]:
    """Return the addresses that are not to be had."""
    others = (pool.gateway, *(address for _, address in pool.reserved))
    used = {parse_address(address) for address in (*taken, *others)}
    return used | _nobodys(subnet)


def check_address(pool: AddressPool, address: str, taken: Collection[str]) -> str:
    """Return the address that the user asked for in its usual form, if it may be had.

    Raises: InvalidArgument, Conflict
    """
    subnet = parse_subnet(pool.subnet)
    number = parse_address(address)
    if not _belongs(address, subnet) or number in _nobodys(subnet):
        message = f"no configured subnet contains IP address {address}"
        raise InvalidArgument(message, hint=f"The network has {pool.subnet}.")
    wanted = render_address(number, subnet.version)
    if wanted == pool.gateway or wanted in taken or wanted in dict(pool.reserved).values():
        message = f"address {wanted} is already in use"
        raise Conflict(message)
    return wanted


def _belongs(address: str, subnet: Subnet) -> bool:
    return version_of(address) == subnet.version and parse_address(address) in subnet


def _nobodys(subnet: Subnet) -> set[int]:
    """Return the addresses of the network itself and of all its members."""
    return {subnet.base, subnet.last} if subnet.version == 4 else {subnet.base}
