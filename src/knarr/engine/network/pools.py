"""Which blocks of addresses a network gets: those the user named, and chosen ones for the rest."""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.network import ipam
from knarr.network.address import parse_address, parse_subnet, version_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from knarr.engine.networks import NetworkOptions
    from knarr.network.address import Subnet
    from knarr.network.model import AddressPool, Network


def plan_pools(
    options: NetworkOptions, networks: Iterable[Network], choose: Callable[[int], str]
) -> tuple[AddressPool, ...]:
    """Return the pools of a network as asked for, IPv4 first.

    `networks` are those that there are; `choose` returns a free subnet of a version.

    Raises: InvalidArgument, Unavailable
    """
    subnets = _subnets(options, choose)
    for subnet in subnets:
        _refuse_overlap(subnet, networks)
    gateways = _by_subnet("gateway", options.gateways, subnets)
    ranges = _by_subnet("range", options.ip_ranges, subnets)
    reserved = _reserved(options.reserved, subnets)
    return tuple(
        ipam.plan_pool(
            subnet,
            gateway=gateways.get(subnet, ""),
            ip_range=ranges.get(subnet, ""),
            reserved=reserved.get(subnet),
        )
        for subnet in subnets
    )


def _subnets(options: NetworkOptions, choose: Callable[[int], str]) -> list[Subnet]:
    """Return the subnet of each version that the network has, IPv4 first."""
    named: dict[int, Subnet] = {}
    for text in options.subnets:
        subnet = parse_subnet(text)
        if subnet.version in named:
            message = f"a network has one subnet of IPv{subnet.version}, not two: {text}"
            hint = (
                f"Leave out {named[subnet.version]} or {text}; a container joins several networks."
            )
            raise InvalidArgument(message, hint=hint)
        named[subnet.version] = subnet
    wanted = [4] if options.ipv4 or 4 in named else []
    wanted += [6] if options.ipv6 or 6 in named else []
    if not wanted:
        message = "IPv4 or IPv6 must be enabled"
        raise InvalidArgument(message)
    return [named.get(version) or parse_subnet(choose(version)) for version in wanted]


def _by_subnet(what: str, texts: Iterable[str], subnets: list[Subnet]) -> dict[Subnet, str]:
    """Return each of the texts, an address or a block, by the subnet that it belongs to."""
    found: dict[Subnet, str] = {}
    for text in texts:
        found[_home(what, text, subnets)] = text
    return found


def _reserved(given: Mapping[str, str], subnets: list[Subnet]) -> dict[Subnet, dict[str, str]]:
    found: dict[Subnet, dict[str, str]] = {}
    for name, address in given.items():
        found.setdefault(_home(name, address, subnets), {})[name] = address
    return found


def _home(what: str, text: str, subnets: list[Subnet]) -> Subnet:
    address = text.partition("/")[0]
    number, version = parse_address(address), version_of(address)
    for subnet in subnets:
        if subnet.version == version and number in subnet:
            return subnet
    message = f"no matching subnet for {what} {text}"
    names = " and ".join(map(str, subnets))
    raise InvalidArgument(message, hint=f"The network has {names}.")


def _refuse_overlap(subnet: Subnet, networks: Iterable[Network]) -> None:
    for network in networks:
        for pool in network.pools:
            if subnet.overlaps(parse_subnet(pool.subnet)):
                message = "Pool overlaps with other one on this address space"
                hint = f"The network {network.name} has {pool.subnet}."
                raise InvalidArgument(message, hint=hint)
