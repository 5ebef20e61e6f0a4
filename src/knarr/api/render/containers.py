"""Containers for clients of older versions: what changed, and when.

The address of the first network, at the top of NetworkSettings, went away with 1.52. It is kept,
since clients still look there.

Docker: the history of versions in the documentation of its API
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.api.versions import Changes

    Document = dict[str, Any]


def _without_health(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "Health"}


def _with_mac_address(document: Document) -> Document:
    """Let Config have the address of the first network. Docker: until 1.44"""
    networks = document["NetworkSettings"]["Networks"].values()
    address = next((network["MacAddress"] for network in networks if network["MacAddress"]), "")
    return {**document, "Config": {**document["Config"], "MacAddress": address}}


LISTED: Changes = (((1, 52), _without_health),)
INSPECTED: Changes = (((1, 44), _with_mac_address),)
