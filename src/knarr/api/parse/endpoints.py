"""EndpointSettings: what is asked of a container's place in a network."""

from __future__ import annotations

from knarr.engine.options.networks import check_place, parse_link
from knarr.engine.options.values import NetworkJoin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.document import Fields


def parse_endpoint(network: str, fields: Fields | None) -> NetworkJoin:
    """Return the place in `network` that the settings describe.

    Raises: InvalidArgument
    """
    if fields is None:
        return NetworkJoin(network)
    addresses = fields.child("IPAMConfig")
    place = NetworkJoin(
        network,
        mac_address=fields.text("MacAddress"),
        aliases=fields.texts("Aliases") or (),
        priority=fields.integer("GwPriority", lowest=-(1 << 31)),
        links=tuple(parse_link(text) for text in fields.texts("Links") or ()),
        driver_options=tuple(f"{k}={v}" for k, v in fields.mapping("DriverOpts").items()),
    )
    if addresses is not None:
        place = place.replace(
            address=addresses.text("IPv4Address"),
            address6=addresses.text("IPv6Address"),
            link_local=addresses.texts("LinkLocalIPs") or (),
        )
    check_place(place)
    return place
