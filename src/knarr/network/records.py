"""Networks and endpoints as the JSON values that a database keeps, and back."""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.network.model import AddressPool, Endpoint, Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode_network(network: Network) -> dict[str, Any]:
    """Return all of a network but its ID and name, which are looked for."""
    return {
        "driver": network.driver,
        "interface": network.interface,
        "pools": [[p.subnet, p.gateway, p.ip_range, dict(p.reserved)] for p in network.pools],
        "internal": network.internal,
        "talkative": network.talkative,
        "masquerade": network.masquerade,
        "attachable": network.attachable,
        "mtu": network.mtu,
        "chosen": network.chosen,
        "created_ns": network.created_ns,
        "options": dict(network.options),
        "labels": dict(network.labels),
        "ipam_options": dict(network.ipam_options),
    }


def decode_network(network_id: str, name: str, value: dict[str, Any]) -> Network:
    """Return the network that was encoded.

    Raises: Corrupt
    """
    try:
        pools = tuple(
            AddressPool(subnet, gateway, ip_range, tuple(sorted(reserved.items())))
            for subnet, gateway, ip_range, reserved in value["pools"]
        )
        return Network(id=network_id, name=name, **{**value, "pools": pools})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"the record of network {name} is damaged: {error}"
        raise Corrupt(message) from error


def encode_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Return all of an endpoint but whose it is."""
    return {
        "id": endpoint.id,
        "network_name": endpoint.network_name,
        "interface": endpoint.interface,
        "host_interface": endpoint.host_interface,
        "mac": endpoint.mac,
        "prefix": endpoint.prefix,
        "gateway": endpoint.gateway,
        "aliases": list(endpoint.aliases),
        "address6": endpoint.address6,
        "prefix6": endpoint.prefix6,
        "gateway6": endpoint.gateway6,
        "priority": endpoint.priority,
        "link_local": list(endpoint.link_local),
        "driver": endpoint.driver,
        "straight": endpoint.straight,
        "egress": None if endpoint.egress is None else list(endpoint.egress),
        "routers": list(endpoint.routers),
        "sysctls": list(endpoint.sysctls),
    }


def decode_endpoint(
    network_id: str, sandbox_id: str, address: str, value: dict[str, Any]
) -> Endpoint:
    """Return the endpoint that was encoded.

    Raises: Corrupt
    """
    try:
        known = {key: value[key] for key in Endpoint._fields if key in value}
        return Endpoint(
            network_id=network_id,
            sandbox_id=sandbox_id,
            address=address,
            **{
                **known,
                "aliases": tuple(value["aliases"]),
                "link_local": tuple(value.get("link_local", ())),
                "egress": _texts(value.get("egress")),
                "routers": tuple(value.get("routers", ())),
                "sysctls": tuple(value.get("sysctls", ())),
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"the record of an endpoint of {sandbox_id} is damaged: {error}"
        raise Corrupt(message) from error


def _texts(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
