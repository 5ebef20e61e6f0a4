"""Sandboxes: what containers and build steps have of networks, from before their start to the end.

The records come first and go last. `prepare` writes down addresses and host ports in one
transaction, `attach` makes the kernel's side of it, `detach` takes the kernel's side back and then
the records. Whoever is killed in between leaves records of something that is not there, which the
next `prepare` or `detach` of the same sandbox clears away, `release_dead` after a crash, or whoever
meets the record as an obstacle: it counts only while the sandbox's interface exists or the process
that prepared it lives.

What the kernel keeps of a sandbox dies with its network namespace, but for the elements in the
firewall's maps. Those are changed only in a transaction of the database, or for records that it
already has, so that nobody who compares both finds a difference that is not one. After a power cut
there is nothing that records of sandboxes could be of: writing them does not wait for the disk.
"""

from __future__ import annotations

import errno
import os

from knarr.errors import Failed, InvalidArgument
from knarr.network import resolver
from knarr.network.model import (
    BUILT_IN,
    DEFAULT_NETWORK,
    ROUTED,
    PortMapping,
    Published,
    ways_out,
)
from knarr.network.records import decode_endpoint
from knarr.store.ports import EVERYWHERE
from knarr.util import jsontext
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from knarr.engine.networks import Networks
    from knarr.network.drivers import Uplink
    from knarr.network.model import Endpoint, Join, Network, SandboxOptions
    from knarr.network.sandbox import Host
    from knarr.store.networks import EndpointRow
    from knarr.store.ports import PortRow

# Docker's name of the option that says where a network's ports are published.
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"

# Networks that are a way of having none of one's own.
_SPECIAL = {"host": "host", "null": "none"}


class Prepared:
    """What a sandbox will have. Owns `sockets`, descriptors that hold its host ports.

    `mode` is `bridge` or `none` (a network namespace of its own), `host` (the host's), or
    `container` (that of the container `shared_with`, whose hosts, hostname and resolv.conf files
    serve both: the texts here are empty then). `ports` are as resolved; those without an address
    of their own are published on `binding`, or everywhere if that is empty; for the versions of IP
    in `direct` at the sandbox's own address, with nothing translated. With `names` the
    sandbox's supervisor answers its questions for names, asking the servers of `resolver`.
    """

    __slots__ = (
        "binding", "direct", "endpoints", "hostname", "hosts", "mode", "names", "ports",
        "resolv_conf", "resolver", "sandbox_id", "shared_with", "sockets", "uplinks",
    )  # fmt: skip

    def __init__(self, sandbox_id: str, mode: str, *, shared_with: str = "") -> None:
        self.sandbox_id = sandbox_id
        self.mode = mode
        self.shared_with = shared_with
        self.endpoints: tuple[Endpoint, ...] = ()
        self.uplinks: tuple[Uplink, ...] = ()
        self.binding = ""
        self.direct: tuple[int, ...] = ()
        self.ports: tuple[PortMapping, ...] = ()
        self.sockets: list[int] = []
        self.hostname = ""
        self.hosts = ""
        self.resolv_conf = ""
        self.names = False
        self.resolver = resolver.Resolver()

    def close(self) -> None:
        """Let go of the sockets: the supervisor holds its own copies, or nothing came of it."""
        while self.sockets:
            os.close(self.sockets.pop())


class Owner(Value):
    """A process that prepared a sandbox: its number, and when it started."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Tell whether the process is still there."""
        from knarr.linux.process import start_time  # noqa: PLC0415 - only when records collide

        try:
            return start_time(self.pid) == self.started
        except (FileNotFoundError, ProcessLookupError):
            return False


class Sandboxes:
    """The sandboxes of one root."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._database = networks.database
        self._records = networks.records
        self._ports = networks.ports
        self._marks = networks.marks

    def prepare(self, sandbox_id: str, options: SandboxOptions) -> Prepared:
        mode, _, shared = options.network.partition(":")
        if mode == "container" and shared:
            return Prepared(sandbox_id, "container", shared_with=shared)
        found: list[tuple[Network, Join]] = []
        if mode not in BUILT_IN:
            found = self._find(options.places)
            mode = _SPECIAL.get(found[0][0].driver, "bridge")
        if mode in BUILT_IN:
            prepared = Prepared(sandbox_id, mode)
        else:
            prepared = Prepared(sandbox_id, "bridge")
            try:
                with self._database.transaction(durable=False):
                    self._join(prepared, found, options)
            except BaseException:
                prepared.close()
                raise
        self._write_files(prepared, options)
        trace("networks:prepared")
        return prepared

    def _find(self, places: Iterable[Join]) -> list[tuple[Network, Join]]:
        """Return the networks to join; of one that is named twice, the first mention counts.

        Raises: NotFound, InvalidArgument
        """
        found: dict[str, tuple[Network, Join]] = {}
        for join in places:
            network = self._networks.get(join.network)
            found.setdefault(network.id, (network, join))
        if len(found) > 1 and any(network.driver in _SPECIAL for network, _ in found.values()):
            message = "conflicting options: host and none go with no other network"
            raise InvalidArgument(message)
        return list(found.values())

    def _join(
        self, prepared: Prepared, found: Sequence[tuple[Network, Join]], options: SandboxOptions
    ) -> None:
        from knarr.engine.network.allocation import (  # noqa: PLC0415 - not for --network none, host
            Allocation,
            free_interface,
        )
        from knarr.network.sandbox import Host  # noqa: PLC0415 - as above

        self._release(prepared.sandbox_id)
        with Host() as host:

            def reap(sandbox_ids: Iterable[str]) -> None:
                self.reap(sandbox_ids, host)

            egress = options.egress
            if egress:
                from knarr.network.egress import with_hosts  # noqa: PLC0415 - for few

                gateways = [pool.gateway for network, _ in found for pool in network.pools]
                egress = with_hosts(egress, options.extra_hosts, gateways)
            allocation = Allocation(self._networks, prepared.sandbox_id, reap, egress=egress)
            placed: list[tuple[Endpoint, Uplink]] = []
            for network, join in found:
                settled, uplink = self._networks.bridges.ready(network, host)
                name = free_interface(settled, [one.interface for one, _ in placed])
                placed.append((allocation.allocate(settled, join, name), uplink))
            placed.sort(key=lambda one: one[0].rank)
            prepared.endpoints = tuple(endpoint for endpoint, _ in placed)
            self._publish_names(prepared.endpoints)
            prepared.uplinks = tuple(uplink for _, uplink in placed)
            if not prepared.endpoints[0].publishes or not (options.ports or options.publish_all):
                return
            network = self._networks.get(prepared.endpoints[0].network_id)
            prepared.binding = network.options.get(HOST_BINDING, "") or self._default_binding()
            prepared.direct = tuple(v for v in (4, 6) if network.gateway_mode(v) == ROUTED)
            from knarr.engine.network.hostports import HostPorts  # noqa: PLC0415 - only for who publishes

            HostPorts(self._networks, prepared, reap).hold(options)

    def _default_binding(self) -> str:
        """Return where ports are published of which nobody says where, empty for everywhere."""
        from knarr.engine.settings import PUBLISH  # noqa: PLC0415 - only for who publishes

        asked = self._networks.engine.settings.get(PUBLISH)
        return "" if asked in EVERYWHERE else asked

    def _write_files(self, prepared: Prepared, options: SandboxOptions) -> None:
        """Put into `prepared` what the sandbox's hosts and resolv.conf say."""
        prepared.hostname = f"{options.hostname}\n" if options.hostname else ""
        shared = prepared.mode == "host"
        endpoint = prepared.endpoints[0] if prepared.endpoints else None
        gateway = ""
        if any(entry.endswith(":host-gateway") for entry in options.extra_hosts):
            gateway = endpoint.gateway if endpoint else ""
            gateway = gateway or self._networks.ensure_default().pools[0].gateway
        prepared.hosts = resolver.hosts(
            endpoints=prepared.endpoints,
            hostname=options.hostname,
            domainname=options.domainname,
            extra=options.extra_hosts,
            gateway=gateway,
            base=resolver.read_text(resolver.HOSTS_FILE) if shared else "",
        )
        texts = resolver.read_texts()
        asked = resolver.Resolver(options.dns, options.dns_search, options.dns_options)
        at_home = resolver.parse_resolver(texts[0])
        found = at_home if shared else resolver.host_resolver(texts)
        own = prepared.endpoints
        prepared.names = options.names and any(
            one.network_name != DEFAULT_NETWORK or one.confined for one in own
        )
        if prepared.names:
            prepared.resolv_conf = str(resolver.inside(found, asked))
        else:
            ipv6 = any(one.address6 for one in own)
            plain = resolver.for_sandbox(found, asked, ipv6=ipv6, shared=shared)
            prepared.resolv_conf = str(plain)
        prepared.resolver = asked

    def attach(self, prepared: Prepared, pid: int) -> None:
        if prepared.mode not in ("bridge", "none"):
            return
        from knarr.network.sandbox import Host, set_up_loopback  # noqa: PLC0415 - as above

        netns_fd = open_namespace(pid)
        try:
            if prepared.mode == "none":
                set_up_loopback(netns_fd)
                return
            if any(endpoint.confined for endpoint in prepared.endpoints):
                from knarr.engine.network.confining import confine  # noqa: PLC0415 - for few

                confine(self._networks, prepared.endpoints)
            with Host() as host:
                routes = ways_out(prepared.endpoints)
                host.connect(prepared.endpoints, prepared.uplinks, netns_fd, ways_out=routes)
        finally:
            os.close(netns_fd)
        trace("networks:connected")
        rows = self._ports.of(prepared.sandbox_id) if prepared.ports else []
        self._networks.rules.publish([published(row) for row in rows])
        trace("networks:attached")

    def detach(self, sandbox_id: str) -> None:
        if self._records.endpoints_of(sandbox_id):
            with self._database.transaction(durable=False):
                self._release(sandbox_id)

    def _release(self, sandbox_id: str) -> None:
        """Take back a sandbox's rules, then its records; part of a transaction."""
        rows = self._ports.of(sandbox_id)
        if rows:
            self._networks.rules.unpublish([published(row) for row in rows if row.address])
            trace("networks:unpublished")
            self._ports.remove(sandbox_id)
        endpoints = self.endpoints(sandbox_id)
        if any(one.confined for one in endpoints):
            from knarr.engine.network.confining import release  # noqa: PLC0415 - for few

            release(self._networks, endpoints)
        for one in endpoints:
            self._records.remove_endpoint(one.network_id, sandbox_id)
        self._publish_names(endpoints)

    def _publish_names(self, endpoints: Iterable[Endpoint]) -> None:
        for one in endpoints:
            if one.network_name != DEFAULT_NETWORK:
                from knarr.engine.network.naming import publish  # noqa: PLC0415 - as needed

                publish(self._networks, one.network_id)

    def serve_names(
        self, prepared: Prepared, pid: int, listen: Callable[[], tuple[int, int]]
    ) -> None:
        """Have a sandbox's questions for names answered, where it is in a network that has names.

        `listen` has its supervisor listen inside, and returns the ports.
        """
        from knarr.engine.network.naming import tell  # noqa: PLC0415 - on networks of users alone
        from knarr.network.sandbox import redirect_names  # noqa: PLC0415 - as above

        tell(self._networks, prepared.sandbox_id, prepared.endpoints, prepared.resolver)
        netns_fd = open_namespace(pid)
        try:
            redirect_names(netns_fd, *listen())
        finally:
            os.close(netns_fd)
        trace("networks:names")

    def lead_ports_to(self, sandbox_id: str, endpoint: Endpoint | None) -> None:
        """Let the published ports of a sandbox lead to another of its endpoints, or nowhere."""
        with self._database.transaction(durable=False):
            before = self._ports.of(sandbox_id)
            after = [row.replace(address=_address_for(row, endpoint)) for row in before]
            if before == after:
                return
            self._networks.rules.unpublish([published(row) for row in before if row.address])
            self._ports.remove(sandbox_id)
            self._ports.add(after)
            self._networks.rules.publish([published(row) for row in after if row.address])

    def release_dead(self, is_alive: Callable[[str], bool]) -> list[str]:
        """Release what sandboxes have that are no longer, and return their IDs."""
        dead = [one for one in self.everyone() if not is_alive(one)]
        for sandbox_id in dead:
            self.detach(sandbox_id)
        return dead

    def everyone(self) -> list[str]:
        """Return the IDs of all sandboxes that have an endpoint."""
        rows = [r for n in self._records.all() for r in self._records.endpoints(n.id)]
        return sorted({row.container for row in rows})

    def forget_all(self) -> None:
        """Remove the records of all sandboxes, whose rules are gone already."""
        for sandbox_id in self.everyone():
            self._ports.remove(sandbox_id)
            for row in self._records.endpoints_of(sandbox_id):
                self._records.remove_endpoint(row.network, sandbox_id)

    def members(self, network: Network) -> tuple[Endpoint, ...]:
        """Return the endpoints in a network."""
        return tuple(endpoint_of(row) for row in self._records.endpoints(network.id))

    def reap(self, sandbox_ids: Iterable[str], host: Host) -> None:
        """Release those of the sandboxes that have neither an interface nor a living owner.

        Part of a transaction.
        """
        for sandbox_id in sorted(set(sandbox_ids)):
            rows = self._records.endpoints_of(sandbox_id)
            details = [jsontext.loads(row.detail) for row in rows]
            if not any(self._counts(sandbox_id, detail, host) for detail in details):
                self._release(sandbox_id)

    def _counts(self, sandbox_id: str, detail: dict[str, Any], host: Host) -> bool:
        """Tell whether an endpoint's record is of something that is there.

        What has no interface on the host is there while the container's program is.
        """
        from knarr.linux.rtnetlink import find_link  # noqa: PLC0415 - only when records collide

        if Owner(*detail["owner"]).alive:
            return True
        if detail["host_interface"]:
            return find_link(host.socket, detail["host_interface"]) is not None
        from knarr.engine.container.tasks import read_state  # noqa: PLC0415 - as above

        return read_state(self._networks.engine.paths, sandbox_id).active

    def endpoints(self, sandbox_id: str) -> tuple[Endpoint, ...]:
        found = [endpoint_of(row) for row in self._records.endpoints_of(sandbox_id)]
        return tuple(sorted(found, key=lambda one: one.rank))

    def published(self, sandbox_id: str = "") -> dict[str, tuple[PortMapping, ...]]:
        rows = self._ports.of(sandbox_id) if sandbox_id else self._ports.all()
        found: dict[str, tuple[PortMapping, ...]] = {}
        for row in rows:
            mapping = PortMapping(
                row.container_port, row.protocol, row.host_ip, row.host_port, row.host_port
            )
            found[row.container] = (*found.get(row.container, ()), mapping)
        return found


def endpoint_of(row: EndpointRow) -> Endpoint:
    """Return the endpoint that a row records."""
    value = jsontext.loads(row.detail)
    return decode_endpoint(row.network, row.container, row.address or "", value)


def published(row: PortRow) -> Published:
    """Return the published port that a row records."""
    return Published(row.protocol, row.host_ip, row.host_port, row.address, row.container_port)


def _address_for(row: PortRow, endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return ""
    if row.host_ip in (row.address, *endpoint.addresses):  # at its own address, or nowhere
        return row.host_ip if row.host_ip in endpoint.addresses else ""
    return endpoint.address6 if ":" in row.host_ip else endpoint.address


def open_namespace(pid: int) -> int:
    """Return a descriptor of the network namespace of a process, which must not be our own."""
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        message = f"the container's first process {pid} is gone"
        raise Failed(message) from error
    except OSError as error:
        if error.errno == errno.EACCES:
            error.add_note(f"opening the network namespace of process {pid}")
        raise
    if os.fstat(descriptor).st_ino == os.stat("/proc/thread-self/ns/net").st_ino:
        os.close(descriptor)
        message = f"process {pid} has no network namespace of its own"
        raise Failed(message)
    return descriptor
