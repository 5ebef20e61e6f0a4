"""By which names containers find each other on a network, and the files that say so.

On a network that a user made, every container's supervisor answers its questions for names (see
`knarr.supervise.names`). It reads two kinds of files in the run directory, both written here:

* `names/<network>`: who is in a network. Replaced within the transaction that changes that, so that
  of two changes the later one is the file's.
* `containers/<id>/names.json`: in which networks a container is, and which servers it asks about
  the rest of the world: none, if none of its networks has a way out.

The network `bridge` has no names, as with Docker, where its members share the host's own resolver.
"""

from __future__ import annotations

import os

from knarr.network import dns, resolver
from knarr.network.model import DEFAULT_NETWORK
from knarr.store.containers import ContainerRecords
from knarr.supervise import places
from knarr.util import jsontext
from knarr.util.files import delete_file, write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from knarr.engine.networks import Networks
    from knarr.engine.options.values import Options
    from knarr.network.model import Endpoint, Network
    from knarr.store.containers import ContainerRow

    Texts = tuple[str, ...]

SHORT_ID = 12
FULL_ID = 64


def names_in(row: ContainerRow, options: Options, aliases: Iterable[str]) -> tuple[str, ...]:
    """Return the names of a container in a network where it has `aliases`, each once.

    Docker: its name, the aliases, the short form of its ID, and the hostname it was given
    """
    return _names(row.name, row.id, aliases, options.hostname)


def _names(
    name: str, container_id: str, aliases: Iterable[str], hostname: str | None
) -> tuple[str, ...]:
    names = (name, *aliases, container_id[:SHORT_ID], hostname)
    return tuple(dict.fromkeys(name for name in names if name))


def has_names(endpoints: Iterable[Endpoint]) -> bool:
    """Tell whether the questions of a container in these places are its supervisor's to answer.

    They are where it finds others by name, and where it may ask for some names alone.
    """
    return any(one.network_name != DEFAULT_NETWORK or one.confined for one in endpoints)


def publish(networks: Networks, network_id: str) -> None:
    """Write down who is in a network; part of the transaction that changed it."""
    row = networks.records.find(network_id)
    if row is None or row.name == DEFAULT_NETWORK:
        return
    directory = f"{networks.engine.paths.run}/{places.NETWORKS}"
    hosts = tuple(_hosts(networks, networks.get(network_id)))
    if not hosts:
        forget(networks, network_id)
        return
    text = jsontext.dumps(dns.encode_hosts(dns.Hosts(row.name, hosts)))
    os.makedirs(directory, 0o711, exist_ok=True)
    write_atomically(f"{directory}/{network_id}", text.encode(), durable=False)


def _hosts(networks: Networks, network: Network) -> Iterator[tuple[Texts, Texts]]:
    """Yield the names and the addresses of each container in a network."""
    for member in networks.records.members(network.id):
        detail = jsontext.loads(member.detail)
        addresses = tuple(at for at in (member.address, detail.get("address6")) if at)
        yield _names(member.name, member.container, detail["aliases"], member.hostname), addresses


def host_lines(networks: Networks, network: Network) -> tuple[str, ...]:
    """Return who is in a network now, each as `name:address`.

    For the steps of a build: nobody answers their questions for names, so they have them in a file.
    """
    if network.name == DEFAULT_NETWORK:
        return ()
    return tuple(
        f"{name}:{address}"
        for names, addresses in _hosts(networks, network)
        for name in names
        for address in addresses
    )


def forget(networks: Networks, network_id: str) -> None:
    """Remove the file of a network that nobody is in."""
    delete_file(f"{networks.engine.paths.run}/{places.NETWORKS}/{network_id}")


def tell(
    networks: Networks, container_id: str, endpoints: Iterable[Endpoint], asked: resolver.Resolver
) -> None:
    """Write down what a running container's supervisor has to know of its networks."""
    there = list(endpoints)
    servers: tuple[str, ...] = ()
    if any(one.routed for one in there):
        servers = (
            asked.servers
            or resolver.parse_resolver(resolver.read_texts()[0]).servers
            or resolver.DEFAULT_SERVERS
        )
    settings: dict[str, Any] = {
        "networks": [one.network_id for one in there if one.network_name != DEFAULT_NETWORK],
        "servers": list(servers),
    }
    confined = [one for one in there if one.egress is not None]
    if confined:
        settings["egress"] = {
            "table": networks.rules.table.name,
            "interfaces": [one.host_interface for one in confined],
            "allowed": list(confined[0].egress or ()),
        }
    links = _links(networks, container_id)
    if links:
        settings["links"] = links
    path = f"{networks.engine.paths.task(container_id)}/{places.NAMES}"
    write_atomically(path, jsontext.dumps(settings).encode(), durable=False)


def _links(networks: Networks, container_id: str) -> dict[str, str]:
    """Return by which further names a container knows others on networks of users."""
    row = ContainerRecords(networks.database).find(container_id)
    if row is None or '"links"' not in row.options:
        return {}
    from knarr.engine.options.encoding import decode  # noqa: PLC0415 - few have links

    found = {}
    for place in decode(row.options).networking.joins:
        if place.network == DEFAULT_NETWORK:
            continue
        for link in place.links:
            name, _, alias = link.partition(":")
            found[alias] = name[:SHORT_ID] if len(name) == FULL_ID else name
    return found
