"""The body of `POST /networks/create`: what is asked of a network."""

from __future__ import annotations

from knarr.api.parse.reading import reading
from knarr.engine.networks import NetworkOptions
from knarr.errors import InvalidArgument, Unavailable
from knarr.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)


def parse_network(document: dict[str, Any]) -> tuple[str, NetworkOptions]:
    """Return name and options.

    Raises: InvalidArgument, Unavailable (what only a swarm has)
    """
    with reading():
        fields = Fields(document, "network")
        if fields.boolean("Ingress") or fields.text("Scope") == "swarm":
            raise Unavailable(NO_SWARM)
        if fields.boolean("ConfigOnly") or _named(fields.child("ConfigFrom")):
            message = "networks that are configurations of others are not supported"
            raise InvalidArgument(message, hint="Give each network its own configuration.")
        return fields.text("Name"), _options(fields)


def _named(fields: Fields | None) -> str:
    return fields.text("Network") if fields else ""


def _options(fields: Fields) -> NetworkOptions:
    ipam = fields.child("IPAM")
    driver = ipam.text("Driver") if ipam else ""
    if driver not in ("", "default"):
        message = f'could not resolve driver "{driver}" in registry'
        raise InvalidArgument(message, hint="The IPAM driver is default.")
    pools = ipam.children("Config") if ipam else []
    reserved: dict[str, str] = {}
    for pool in pools:
        reserved.update(pool.mapping("AuxiliaryAddresses"))
    given = fields.object
    return NetworkOptions(
        driver=fields.text("Driver") or "bridge",
        subnets=_texts(pools, "Subnet"),
        gateways=_texts(pools, "Gateway"),
        ip_ranges=_texts(pools, "IPRange"),
        reserved=reserved,
        ipv4=given.get("EnableIPv4") is None or fields.boolean("EnableIPv4"),
        ipv6=fields.boolean("EnableIPv6"),
        internal=fields.boolean("Internal"),
        attachable=fields.boolean("Attachable"),
        options=fields.mapping("Options"),
        labels=fields.mapping("Labels"),
    )


def _texts(pools: list[Fields], key: str) -> tuple[str, ...]:
    return tuple(text for pool in pools if (text := pool.text(key)))
