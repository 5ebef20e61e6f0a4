"""Networks, ports and names in HostConfig and NetworkingConfig."""

from __future__ import annotations

from knarr.api.parse.endpoints import parse_endpoint
from knarr.engine.options.names import check_dns, check_domain, parse_extra_host
from knarr.engine.options.networks import parse_link
from knarr.engine.options.ports import parse_expose, parse_publish
from knarr.engine.options.values import Networking, NetworkJoin
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import PortRequest
    from knarr.oci.document import Fields

DEFAULT = "bridge"


def parse_networking(
    host: Fields, networks: Fields | None, *, mac_address: str = "", disabled: bool = False
) -> Networking:
    """Return the networks of a container; `mac_address` and `disabled` are of older versions.

    Docker: settings of an endpoint in a network that is not the mode's add that network; without
    a mode the only network that is named is the mode

    Raises: InvalidArgument
    """
    endpoints = networks.child("EndpointsConfig") if networks else None
    names = list(endpoints.object) if endpoints and not disabled else []
    places = [parse_endpoint(_name(n), endpoints.child(n)) for n in names] if endpoints else []
    mode = _name(host.text("NetworkMode"))
    if mode == DEFAULT and places and not any(place.network == DEFAULT for place in places):
        mode = places[0].network
    if disabled:
        mode = "none"
    first = next((place for place in places if place.network == mode), NetworkJoin(mode))
    others = [place for place in places if place.network != mode]
    links = tuple(parse_link(text) for text in host.texts("Links") or ())
    first = first.replace(
        links=(*first.links, *links), mac_address=first.mac_address or mac_address
    )
    plain = not others and first == NetworkJoin(mode)
    shared = mode in ("none", "host") or ":" in mode
    if shared and (first.address or first.address6):
        message = "user specified IP address is supported on user defined networks only"
        raise InvalidArgument(message)
    return Networking(
        mode,
        joins=() if plain or shared else (first, *others),
        ports=_ports(host),
        publish_all=host.boolean("PublishAllPorts"),
        dns=tuple(check_dns(text) for text in host.texts("Dns") or ()),
        dns_search=tuple(check_domain(text) for text in host.texts("DnsSearch") or ()),
        dns_options=host.texts("DnsOptions") or (),
        extra_hosts=tuple(parse_extra_host(text) for text in host.texts("ExtraHosts") or ()),
    )


def _name(network: str) -> str:
    """Return the name of a network, of which the default one has several."""
    return DEFAULT if network in ("", "default") else network


def _ports(host: Fields) -> tuple[PortRequest, ...]:
    bindings = host.child("PortBindings")
    if bindings is None:
        return ()
    found: list[PortRequest] = []
    for container_port in bindings.object:
        for binding in bindings.children(container_port):
            address, port = binding.text("HostIp"), binding.text("HostPort")
            address = f"[{address}]" if ":" in address else address
            found += parse_publish(f"{address}:{port}:{container_port}")
    return tuple(found)


def parse_exposed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return exposed ports as `80/tcp`, ranges one by one.

    Raises: InvalidArgument
    """
    return tuple(port for name in names for port in parse_expose(name))
