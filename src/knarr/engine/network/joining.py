"""`network connect` and `disconnect`: what networks a container is in, changed at any time.

The container's record says which networks it joins when it starts; of one that runs, the interface
comes and goes at once. As with every start, records come first: the endpoint is written down in the
transaction that changes the container's record, and both go back if the kernel refuses.

The endpoint with the default route is where published ports lead. When another one takes its place,
so do the ports; when there is no way out left, they lead nowhere until there is one again.
"""

from __future__ import annotations

import os

from knarr.engine.container import tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.container.starting import join_of
from knarr.engine.network import naming
from knarr.engine.network.allocation import Allocation, free_interface
from knarr.engine.network.confining import confine, release
from knarr.engine.network.sandboxes import open_namespace
from knarr.engine.noting import note_networks
from knarr.engine.options.encoding import decode, encode
from knarr.errors import Conflict, InvalidArgument, NotFound
from knarr.network import resolver
from knarr.network.model import ways_out
from knarr.network.sandbox import Host, redirect_names
from knarr.store.containers import ContainerRecords
from knarr.supervise import control, places
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import NetworkJoin, Options
    from knarr.network.model import Endpoint, Network
    from knarr.store.containers import ContainerRow


def connect(engine: Engine, network: Network, row: ContainerRow, place: NetworkJoin) -> None:
    """Let a container join `network` at `place`, now if it runs, and at every start.

    Raises: NotFound, Conflict, InvalidArgument, Unavailable, PermissionDenied, Failed
    """
    with ContainerLock(engine.paths, row.id):
        before, options = _read(engine, row.id)
        pid = _pid(engine, row)
        places = _joined(engine, row, options, pid)
        _refuse_connect(engine, network, row, places)
        place = place.replace(network=network.name)
        places = (*places, place)
        with Undo() as undo, Host() as host:
            undo.push("putting back the record", _put_back, engine, before)
            _write(engine, before, options, places)
            if pid:
                undo.push("forgetting the endpoint", _forget, engine, network, row.id)
                _plug_in(engine, network, row.id, place, host, pid)
            undo.keep()


def disconnect(engine: Engine, network: Network, row: ContainerRow) -> None:
    """Take a container out of `network`, now if it runs, and for its next start.

    Raises: NotFound, Conflict, PermissionDenied, Failed
    """
    with ContainerLock(engine.paths, row.id):
        before, options = _read(engine, row.id)
        if options.networking.on_host:
            message = (
                "container cannot be disconnected from host network or connected to host network"
            )
            raise Conflict(message)
        places = _joined(engine, row, options, _pid(engine, row))
        left = tuple(one for one in places if not _means(engine, one, network))
        joined = {one.network_id: one for one in engine.networks.endpoints(row.id)}
        endpoint = joined.get(network.id)
        if endpoint is None and len(left) == len(places):
            message = f"container {row.id} is not connected to network {network.name}"
            raise NotFound(message)
        pid = _pid(engine, row) if endpoint is not None else 0
        _write(engine, before, options, left)
        if endpoint is not None:
            _unplug(engine, endpoint, row.id, pid)


def unlink(engine: Engine, link: str) -> None:
    """Let a container no longer know another one by a name; `link` is CONTAINER/NAME.

    That holds on networks of users from now on; on the default network names are in a file that is
    written at the start.

    Raises: NotFound, InvalidArgument
    """
    name, _, alias = link.strip("/").rpartition("/")
    if not name:
        message = f"bad parent name: {link}"
        raise InvalidArgument(message, hint="A link is written CONTAINER/NAME.")
    row = engine.containers.get(name).row
    with ContainerLock(engine.paths, row.id):
        before, options = _read(engine, row.id)
        joins = tuple(_without(place, alias) for place in options.networking.joins)
        if joins == options.networking.joins:
            message = f"container {row.name} has no link {alias}"
            raise NotFound(message)
        _write(engine, before, options, joins)
        pid = _pid(engine, row)
        if pid:
            _serve_names(engine, row.id, pid)


def _without(place: NetworkJoin, alias: str) -> NetworkJoin:
    links = tuple(link for link in place.links if link.partition(":")[2] != alias)
    return place.replace(links=links)


def force_out(engine: Engine, network: Network, container_id: str) -> bool:
    """Forget the endpoint of a container that may be no more; tell whether there was one."""
    if engine.networks.records.find_endpoint(network.id, container_id) is None:
        return False
    _forget(engine, network, container_id)
    return True


# the record


def _read(engine: Engine, container_id: str) -> tuple[ContainerRow, Options]:
    row = ContainerRecords(engine.database).get(container_id)
    return row, decode(row.options)


def _write(
    engine: Engine, before: ContainerRow, options: Options, places: tuple[NetworkJoin, ...]
) -> None:
    networking = options.networking.replace(joins=places)
    fresh = before.replace(options=encode(options.replace(networking=networking)))
    with engine.database.transaction():
        ContainerRecords(engine.database).update(fresh)


def _put_back(engine: Engine, before: ContainerRow) -> None:
    with engine.database.transaction():
        ContainerRecords(engine.database).update(before)


def _joined(
    engine: Engine, row: ContainerRow, options: Options, pid: int
) -> tuple[NetworkJoin, ...]:
    """Return the places that a container has.

    Docker: who was taken out of its last network is back in that of its mode with the next start
    """
    if options.networking.joins or not pid:
        return options.networking.places
    there = {one.network_id for one in engine.networks.endpoints(row.id)}
    return tuple(p for p in options.networking.places if _network_id(engine, p) in there)


def _refuse_connect(
    engine: Engine, network: Network, row: ContainerRow, places: Iterable[NetworkJoin]
) -> None:
    mode = decode(row.options).networking.mode
    message = ""
    if mode == "host" or network.driver == "host":
        message = "container cannot be disconnected from host network or connected to host network"
    elif ":" in mode:
        message = (
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    elif mode == "none" or network.driver == "null":
        message = (
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode"
        )
    elif any(_means(engine, one, network) for one in places):
        message = f"endpoint with name {row.name} already exists in network {network.name}"
    if message:
        raise Conflict(message)


def _means(engine: Engine, place: NetworkJoin, network: Network) -> bool:
    return _network_id(engine, place) == network.id


def _network_id(engine: Engine, place: NetworkJoin) -> str:
    """Return the ID of the network that a place is in, nothing if it was removed since."""
    try:
        return engine.networks.get(place.network).id
    except (NotFound, InvalidArgument):
        return ""


def _pid(engine: Engine, row: ContainerRow) -> int:
    """Return the container's process, 0 if it does not run.

    Raises: Conflict
    """
    state = tasks.read_state(engine.paths, row.id)
    if state.status == tasks.RESTARTING:
        message = f"container {row.id} is restarting, wait until the container is running"
        raise Conflict(message)
    return state.pid if state.active else 0


# the running container


def _plug_in(
    engine: Engine, network: Network, container_id: str, place: NetworkJoin, host: Host, pid: int
) -> None:
    networks = engine.networks
    before = networks.endpoints(container_id)
    egress = before[0].egress if before else _read(engine, container_id)[1].networking.egress
    with engine.database.transaction(durable=False):
        settled, uplink = networks.bridges.ready(network, host)
        allocation = Allocation(
            networks, container_id, lambda ids: networks.sandboxes.reap(ids, host), egress=egress
        )
        endpoint = allocation.allocate(
            settled, join_of(place), free_interface(settled, [one.interface for one in before])
        )
        naming.publish(networks, network.id)
    routes = [one for one in ways_out((*before, endpoint)) if one.interface == endpoint.interface]
    if endpoint.confined:
        confine(networks, [endpoint])
    netns_fd = open_namespace(pid)
    try:
        host.connect([endpoint], [uplink], netns_fd, ways_out=routes)
    finally:
        os.close(netns_fd)
    if endpoint.routed and all(endpoint.rank < one.rank for one in before):
        networks.sandboxes.lead_ports_to(container_id, endpoint if endpoint.publishes else None)
    _name_in_hosts(engine, container_id, added=endpoint)
    _serve_names(engine, container_id, pid)
    note_networks(engine.paths, container_id, (endpoint,), "connect")


def _unplug(engine: Engine, endpoint: Endpoint, container_id: str, pid: int) -> None:
    networks = engine.networks
    before = networks.endpoints(container_id)
    left = [one for one in before if one.id != endpoint.id]
    networks.sandboxes.lead_ports_to(container_id, left[0] if left and left[0].publishes else None)
    if pid:
        netns_fd = open_namespace(pid)
        try:
            with Host() as host:
                had = set(ways_out(before))
                routes = [one for one in ways_out(left) if one not in had]
                host.disconnect(endpoint, netns_fd, ways_out=routes)
        finally:
            os.close(netns_fd)
        _name_in_hosts(engine, container_id, removed=endpoint)
    with engine.database.transaction(durable=False):
        if endpoint.confined:
            release(networks, [endpoint])
        networks.records.remove_endpoint(endpoint.network_id, container_id)
        naming.publish(networks, endpoint.network_id)
    if pid:
        _serve_names(engine, container_id, pid)
    note_networks(engine.paths, container_id, (endpoint,), "disconnect")


def _forget(engine: Engine, network: Network, container_id: str) -> None:
    """Take back an endpoint that did not come to work, or whose container is gone."""
    for endpoint in engine.networks.endpoints(container_id):
        if endpoint.network_id == network.id and endpoint.host_interface:
            with Host() as host:
                host.remove_link(endpoint.host_interface)
            if endpoint.confined:
                release(engine.networks, [endpoint])
    with engine.database.transaction(durable=False):
        engine.networks.records.remove_endpoint(network.id, container_id)
        naming.publish(engine.networks, network.id)


def _serve_names(engine: Engine, container_id: str, pid: int) -> None:
    """Tell the container's supervisor which names the container knows now.

    One that came to a network with names for the first time asks its supervisor from now on, if
    nobody changed its resolv.conf.
    """
    endpoints = engine.networks.endpoints(container_id)
    known = os.path.exists(f"{engine.paths.task(container_id)}/{places.NAMES}")
    if not known and not naming.has_names(endpoints):
        return
    _, options = _read(engine, container_id)
    asked = options.networking
    wanted = resolver.Resolver(asked.dns, asked.dns_search, asked.dns_options)
    naming.tell(engine.networks, container_id, endpoints, wanted)
    if known:
        return
    netns_fd = open_namespace(pid)
    try:
        with control.connect(engine.paths.task(container_id)) as client:
            redirect_names(netns_fd, *client.serve_names())
    finally:
        os.close(netns_fd)
    found = resolver.host_resolver(resolver.read_texts())
    before = str(resolver.for_sandbox(found, wanted))
    path = f"{engine.paths.container(container_id)}/resolv.conf"
    with open(path, "r+", encoding="utf-8", errors="surrogateescape") as file:
        if file.read() == before:
            file.seek(0)
            file.write(str(resolver.inside(found, wanted)))
            file.truncate()


def _name_in_hosts(
    engine: Engine,
    container_id: str,
    *,
    added: Endpoint | None = None,
    removed: Endpoint | None = None,
) -> None:
    """Keep the container's own addresses in its /etc/hosts, whatever else it wrote there.

    The file is mounted into the container, so it is changed where it is.
    """
    directory = engine.paths.container(container_id)
    with open(f"{directory}/hostname", encoding="utf-8") as file:
        hostname = file.read().strip()
    row, options = _read(engine, container_id)
    del row
    names = resolver.own_names(hostname, options.domainname)
    try:
        with open(f"{directory}/hosts", "r+", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
            gone = set(resolver.own_lines(removed, names)) if removed else set()
            new = resolver.own_lines(added, names) if added else []
            file.seek(0)
            file.write(
                "".join(f"{line}\n" for line in [*(x for x in lines if x not in gone), *new])
            )
            file.truncate()
    except FileNotFoundError:  # it shares the file of another container
        return
