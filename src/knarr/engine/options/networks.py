"""`--network` in both its forms, and what may be asked of a place in a network.

    --network web
    --network name=web,alias=db,ip=10.1.0.9,"driver-opt=com.docker.network.endpoint.sysctls=…"

Docker: opts/network.go of its command line; the words of its daemon for addresses
"""

from __future__ import annotations

from knarr.engine.options.values import NetworkJoin
from knarr.errors import InvalidArgument
from knarr.network.address import parse_address, parse_mac, version_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHARED = ("host", "none")
# What link-local addresses begin with, and how many bits follow that.
_LINK_LOCAL = {4: 0xA9FE, 6: 0xFE80 << 48}
_REST = {4: 16, 6: 64}
# Docker's names of what can be said of an interface.
_INTERFACE_NAME = "com.docker.network.endpoint.ifname"
_SETTINGS = "com.docker.network.endpoint.sysctls"
_LONGEST_INTERFACE = 15
_KEYS = ("name", "alias", "ip", "ip6", "mac-address", "link-local-ip", "gw-priority", "driver-opt")


def parse_network(text: str) -> NetworkJoin:
    """Return the network that `--network` names, and what it asks of the place there.

    Raises: InvalidArgument
    """
    if "=" not in text:
        return NetworkJoin("bridge" if text in ("", "default") else text)
    from csv import reader  # noqa: PLC0415 - only for the long form

    fields: dict[str, list[str]] = {}
    for word in next(reader([text])):
        key, equals, value = word.partition("=")
        key = key.strip().lower()
        if not equals or key not in _KEYS:
            message = f"invalid field key {key}" if equals else f"invalid field: {word}"
            raise InvalidArgument(message, hint=f"The keys are {', '.join(_KEYS)}.")
        fields.setdefault(key, []).append(value.strip())
    if not fields.get("name"):
        message = "network name/id is not specified"
        raise InvalidArgument(message)
    for option in fields.get("driver-opt", ()):
        if "=" not in option:
            message = "invalid key value pair format in driver options"
            raise InvalidArgument(message)
    place = NetworkJoin(
        fields["name"][-1],
        address=fields.get("ip", [""])[-1],
        address6=fields.get("ip6", [""])[-1],
        mac_address=fields.get("mac-address", [""])[-1],
        aliases=tuple(fields.get("alias", ())),
        priority=_priority(fields.get("gw-priority", ["0"])[-1]),
        link_local=tuple(fields.get("link-local-ip", ())),
        driver_options=tuple(fields.get("driver-opt", ())),
    )
    check_place(place)
    return place


def parse_networks(texts: Sequence[str], flags: NetworkJoin) -> tuple[str, tuple[NetworkJoin, ...]]:
    """Return the mode that `--network` asks for, and the places in networks.

    `flags` is what --ip, --network-alias and the like say of the first network.

    Raises: InvalidArgument
    """
    if "" in texts:
        message = "no name set for network"
        raise InvalidArgument(message)
    places = [parse_network(text) for text in texts or ("default",)]
    first, asked = places[0], NetworkJoin("")
    alone = [one for one in places if one.network in _SHARED or ":" in one.network]
    if alone and len(places) > 1:
        message = (
            "conflicting options: cannot attach both user-defined and non-user-defined "
            "network-modes"
        )
        raise InvalidArgument(message)
    if alone and (flags.aliases or alone[0].aliases):
        message = "network-scoped aliases are only supported for user-defined networks"
        raise InvalidArgument(message)
    for field, option in (
        ("address", "--ip"), ("address6", "--ip6"), ("aliases", "--network-alias"),
        ("mac_address", "--mac-address"), ("link_local", "--link-local-ip"),
    ):  # fmt: skip
        given, own = getattr(flags, field), getattr(first, field)
        if given and own and (field != "mac_address" or given != own):
            word = {"address": "IPv4 address", "address6": "IPv6 address"}.get(field, field)
            message = f"conflicting options: cannot specify both {option} and per-network {word}"
            raise InvalidArgument(message)
        asked = asked.replace(**{field: own or given})
    asked = asked.replace(network=first.network, priority=first.priority, links=flags.links)
    asked = asked.replace(driver_options=first.driver_options)
    check_place(asked)
    plain = len(places) == 1 and asked == NetworkJoin(first.network)
    return first.network, () if plain else (asked, *places[1:])


def parse_link(text: str) -> str:
    """Return `container:alias` from what `--link` says, where the alias may be left out.

    Raises: InvalidArgument
    """
    name, _, alias = text.partition(":")
    if not text:
        message = "empty string specified for links"
        raise InvalidArgument(message)
    if not name or ":" in alias or (":" in text and not alias):
        message = f"bad format for links: {text}"
        raise InvalidArgument(message, hint="A link is written as CONTAINER or CONTAINER:ALIAS.")
    return f"{name.lstrip('/')}:{(alias or name).lstrip('/')}"


def check_place(place: NetworkJoin) -> None:
    """Raise for addresses that are none.

    Raises: InvalidArgument
    """
    for address, version in ((place.address, 4), (place.address6, 6)):
        if address:
            parse_address(address)
            if version_of(address) != version:
                message = f"invalid IPv{version} address: {address}"
                raise InvalidArgument(message)
    for address in place.link_local:
        if parse_address(address) >> _REST[version_of(address)] != _LINK_LOCAL[version_of(address)]:
            message = f"invalid link-local address: {address}"
            raise InvalidArgument(message, hint="It is one of 169.254.0.0/16 or fe80::/64.")
    if place.mac_address:
        parse_mac(place.mac_address)
    endpoint_options(place.driver_options)


def endpoint_options(options: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return what an interface is to be called inside, and the settings that it is to have.

    Raises: InvalidArgument
    """
    interface = ""
    settings: tuple[str, ...] = ()
    for option in options:
        key, _, value = option.partition("=")
        if key == _INTERFACE_NAME:
            interface = _interface(value)
        elif key == _SETTINGS:
            settings = tuple(_setting(text) for text in value.split(","))
    return interface, settings


def _interface(text: str) -> str:
    if not text or len(text) > _LONGEST_INTERFACE or set(text) & set("/ \t:") or text == "lo":
        message = f"invalid name of an interface: {text}"
        hint = f"It has at most {_LONGEST_INTERFACE} letters and neither slashes nor colons."
        raise InvalidArgument(message, hint=hint)
    return text


def _setting(text: str) -> str:
    """Return a setting of an interface, whatever that is called; no other may be set this way."""
    key, equals, value = text.strip().partition("=")
    parts = key.split(".")
    fitting = len(parts) == 5 and parts[0] == "net" and parts[3] == "IFNAME"
    if not equals or not value or not fitting or not all(parts):
        message = f"invalid setting of an interface: {text}"
        raise InvalidArgument(message, hint="As in net.ipv4.conf.IFNAME.log_martians=1.")
    return f"{key}={value}"


def _priority(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"invalid gw-priority ({text}): it must be a whole number"
        raise InvalidArgument(message) from None
