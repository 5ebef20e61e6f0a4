"""Networks as people look for them and at them: filters, and the document of `network inspect`."""

from __future__ import annotations

import time

from knarr.engine.filters import boolean, matches_labels, parse_filters
from knarr.network.address import version_of
from knarr.network.ipam import count_addresses
from knarr.network.model import DEFAULT_NETWORK, PREDEFINED
from knarr.store.containers import ContainerRecords
from knarr.util.times import parse_when, render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from knarr.engine.networks import Networks
    from knarr.network.model import AddressPool, Network

    Document = dict[str, Any]

FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
PRUNE_FILTERS = ("label", "label!", "until")
SCOPE = "local"
MOST = (1 << 64) - 1  # Docker: more addresses than that are not told
_KINDS = ("builtin", "custom")


def list_networks(networks: Networks, filters: Iterable[str] = ()) -> list[Network]:
    """Return the networks that pass `filters`, in order of their names.

    Raises: InvalidArgument
    """
    given = parse_filters(filters, FILTERS)
    for kind in given.get("type", ()):
        if kind not in _KINDS:
            from knarr.errors import InvalidArgument  # noqa: PLC0415 - for who mistypes

            message = f"invalid filter 'type={kind}'"
            raise InvalidArgument(message, hint="It is type=builtin or type=custom.")
    dangling = boolean("dangling", given["dangling"]) if "dangling" in given else None
    return [
        network
        for network in networks.list()
        if _passes(network, given)
        and (dangling is None or _dangling(networks, network) is dangling)
    ]


def _passes(network: Network, given: dict[str, list[str]]) -> bool:
    """Docker: parts of names and beginnings of IDs count."""
    kind = "builtin" if network.name in PREDEFINED else "custom"
    checks = (
        ("name", lambda text: text in network.name),
        ("id", network.id.startswith),
        ("driver", lambda text: text == network.driver),
        ("scope", lambda text: text == SCOPE),
        ("type", lambda text: text == kind),
    )
    for name, check in checks:
        if name in given and not any(check(text) for text in given[name]):
            return False
    return matches_labels(given.get("label", ()), network.labels)


def prunable(networks: Networks, filters: Iterable[str]) -> list[Network]:
    """Return the networks that `network prune` may remove, if nobody is in them.

    Raises: InvalidArgument
    """
    given = parse_filters(filters, PRUNE_FILTERS)
    now_ns = time.time_ns()
    until_ns = min(
        (parse_when(text, now_ns=now_ns) for text in given.get("until", ())), default=now_ns
    )
    return [
        network
        for network in networks.recorded()
        if network.name not in PREDEFINED
        and network.created_ns <= until_ns
        and matches_labels(given.get("label", ()), network.labels)
        and not any(matches_labels([text], network.labels) for text in given.get("label!", ()))
    ]


def _dangling(networks: Networks, network: Network) -> bool:
    return network.name not in PREDEFINED and not networks.members(network)


def inspect(networks: Networks, network: Network) -> Document:
    """Return the document that `network inspect` shows."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": render_rfc3339(network.created_ns),
        "Scope": SCOPE,
        "Driver": network.driver,
        "EnableIPv4": any(version_of(pool.subnet) == 4 for pool in network.pools)
        or network.driver != "bridge",
        "EnableIPv6": has_ipv6(network),
        "IPAM": {
            "Driver": "default",
            "Options": dict(network.ipam_options) or None,
            "Config": [_pool(pool) for pool in network.pools] or None,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _containers(networks, network),
        "Options": _options(network),
        "Labels": dict(network.labels),
    }


def status(networks: Networks, network: Network) -> Document:
    """Return how many addresses of the network are in use, and how many are left."""
    taken = networks.records.addresses(network.id)
    subnets = {}
    for pool in network.pools:
        used, left = count_addresses(pool, taken)
        subnets[pool.subnet] = {"IPsInUse": used, "DynamicIPsAvailable": min(left, MOST)}
    return {"IPAM": {"Subnets": subnets}}


def has_ipv6(network: Network) -> bool:
    """Tell whether the network has addresses of IPv6."""
    return any(version_of(pool.subnet) == 6 for pool in network.pools)


def _pool(pool: AddressPool) -> Document:
    found: Document = {"Subnet": pool.subnet}
    if pool.ip_range:
        found["IPRange"] = pool.ip_range
    found["Gateway"] = pool.gateway
    if pool.reserved:
        found["AuxiliaryAddresses"] = dict(pool.reserved)
    return found


def _containers(networks: Networks, network: Network) -> Document:
    containers = ContainerRecords(networks.database)
    found = {}
    for endpoint in networks.members(network):
        row = containers.find(endpoint.sandbox_id)
        found[endpoint.sandbox_id] = {
            "Name": row.name if row else "",
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": f"{endpoint.address}/{endpoint.prefix}" if endpoint.address else "",
            "IPv6Address": f"{endpoint.address6}/{endpoint.prefix6}" if endpoint.address6 else "",
        }
    return found


def _options(network: Network) -> dict[str, str]:
    if network.name != DEFAULT_NETWORK:
        return dict(network.options)
    return {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": str(network.talkative).lower(),
        "com.docker.network.bridge.enable_ip_masquerade": str(network.masquerade).lower(),
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": network.interface,
    }
