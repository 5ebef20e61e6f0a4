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

from knarr.errors import Conflict, Failed, InvalidArgument, Unavailable
from knarr.network import resolver
from knarr.network.model import BUILT_IN, DEFAULT_NETWORK, Endpoint, PortMapping, Published
from knarr.network.records import decode_endpoint, encode_endpoint
from knarr.store.networks import EndpointRow
from knarr.util import jsontext
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.networks import Networks
    from knarr.linux.rtnetlink import Link
    from knarr.network.model import Network, SandboxOptions
    from knarr.network.sandbox import Host
    from knarr.store.ports import PortRow


class Prepared:
    """What a sandbox will have. Owns `sockets`, descriptors that hold its host ports.

    `mode` is `bridge` or `none` (a network namespace of its own), `host` (the host's), or
    `container` (that of the container `shared_with`, whose hosts, hostname and resolv.conf files
    serve both: the texts here are empty then). `ports` are as resolved.
    """

    __slots__ = (
        "bridges", "endpoints", "hostname", "hosts", "mode", "ports", "resolv_conf", "sandbox_id",
        "shared_with", "sockets",
    )  # fmt: skip

    def __init__(self, sandbox_id: str, mode: str, *, shared_with: str = "") -> None:
        self.sandbox_id = sandbox_id
        self.mode = mode
        self.shared_with = shared_with
        self.endpoints: tuple[Endpoint, ...] = ()
        self.bridges: tuple[Link, ...] = ()
        self.ports: tuple[PortMapping, ...] = ()
        self.sockets: list[int] = []
        self.hostname = ""
        self.hosts = ""
        self.resolv_conf = ""

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
        if mode not in BUILT_IN:
            network = self._networks.get(options.network)
            mode = {"host": "host", "null": "none"}.get(network.driver, "bridge")
        if mode in BUILT_IN:
            prepared = Prepared(sandbox_id, mode)
        else:
            prepared = Prepared(sandbox_id, "bridge")
            try:
                with self._database.transaction(durable=False):
                    self._join(prepared, network, options)
            except BaseException:
                prepared.close()
                raise
        self._write_files(prepared, options)
        trace("networks:prepared")
        return prepared

    def _join(self, prepared: Prepared, network: Network, options: SandboxOptions) -> None:
        from knarr.network.sandbox import Host  # noqa: PLC0415 - not for --network none and host

        self._release(prepared.sandbox_id)
        if network.name == DEFAULT_NETWORK:
            _refuse_own(options)
        with Host() as host:
            network, bridge = self._networks.bridges.ready(network, host)
            endpoint = self._allocate(prepared.sandbox_id, network, options, host)
            prepared.endpoints, prepared.bridges = (endpoint,), (bridge,)
            if network.internal or not (options.ports or options.publish_all):
                return
            from knarr.engine.network.hostports import HostPorts  # noqa: PLC0415 - only for who publishes

            HostPorts(self._networks, prepared, lambda ids: self._reap(ids, host)).hold(options)

    def _allocate(
        self, sandbox_id: str, network: Network, options: SandboxOptions, host: Host
    ) -> Endpoint:
        """Record the sandbox's endpoint in `network` at a free address, or the one asked for."""
        from knarr.network import ipam  # noqa: PLC0415 - not for --network none and host
        from knarr.network.address import mac_of, parse_mac, parse_subnet  # noqa: PLC0415 - as above

        (pool,) = network.pools
        mark = f"address {network.id}"

        def choose() -> str | None:
            taken = self._records.addresses(network.id)
            if options.address:
                return ipam.check_address(pool, options.address, taken)
            return ipam.next_address(pool, taken, self._marks.find(mark))

        try:
            address = choose()
        except Conflict:
            address = None
        if address is None:
            self._reap((row.container for row in self._records.endpoints(network.id)), host)
            address = choose()
        if address is None:
            message = f"no available addresses in network {network.name}"
            hint = f"All of {pool.ip_range or pool.subnet} are taken."
            raise Unavailable(message, hint=hint)
        if not options.address:
            self._marks.set(mark, address)
        endpoint_id = os.urandom(32).hex()
        endpoint = Endpoint(
            id=endpoint_id,
            sandbox_id=sandbox_id,
            network_id=network.id,
            network_name=network.name,
            interface="eth0",
            host_interface=f"kv{endpoint_id[:12]}",
            mac=parse_mac(options.mac) if options.mac else mac_of(address),
            address=address,
            prefix=parse_subnet(pool.subnet).prefix,
            gateway="" if network.internal else pool.gateway,
            aliases=options.aliases,
        )
        detail = {**encode_endpoint(endpoint), "owner": _this_process()}
        row = EndpointRow(network.id, sandbox_id, address, jsontext.dumps(detail))
        self._records.add_endpoint(row)
        return endpoint

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
            address=endpoint.address if endpoint else "",
            hostname=options.hostname,
            domainname=options.domainname,
            extra=options.extra_hosts,
            gateway=gateway,
            base=_text_of(resolver.HOSTS_FILE) if shared else "",
        )
        texts = [_text_of(path) for path in (resolver.HOST_FILE, resolver.RESOLVED_FILE)]
        asked = resolver.Resolver(options.dns, options.dns_search, options.dns_options)
        at_home = resolver.parse_resolver(texts[0])
        found = at_home if shared else resolver.host_resolver(texts)
        prepared.resolv_conf = str(resolver.for_sandbox(found, asked, shared=shared))

    def attach(self, prepared: Prepared, pid: int) -> None:
        if prepared.mode not in ("bridge", "none"):
            return
        from knarr.network.sandbox import Host, set_up_loopback  # noqa: PLC0415 - as above

        netns_fd = _open_namespace(pid)
        try:
            if prepared.mode == "none":
                set_up_loopback(netns_fd)
                return
            with Host() as host:
                host.connect(prepared.endpoints, prepared.bridges, netns_fd)
        finally:
            os.close(netns_fd)
        trace("networks:connected")
        self._networks.rules.publish(_leads(prepared.endpoints[0], prepared.ports))
        trace("networks:attached")

    def detach(self, sandbox_id: str) -> None:
        if self._records.endpoints_of(sandbox_id):
            with self._database.transaction(durable=False):
                self._release(sandbox_id)

    def _release(self, sandbox_id: str) -> None:
        """Take back a sandbox's rules, then its records; part of a transaction."""
        rows = self._ports.of(sandbox_id)
        if rows:
            self._networks.rules.unpublish([published(row) for row in rows])
            trace("networks:unpublished")
            self._ports.remove(sandbox_id)
        for row in self._records.endpoints_of(sandbox_id):
            self._records.remove_endpoint(row.network, sandbox_id)

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

    def _reap(self, sandbox_ids: Iterable[str], host: Host) -> None:
        """Release those of the sandboxes that have neither an interface nor a living owner."""
        from knarr.linux.rtnetlink import find_link  # noqa: PLC0415 - only when records collide

        for sandbox_id in sorted(set(sandbox_ids)):
            details = [
                (r, jsontext.loads(r.detail)) for r in self._records.endpoints_of(sandbox_id)
            ]
            if any(
                Owner(*detail["owner"]).alive or find_link(host.socket, detail["host_interface"])
                for _, detail in details
            ):
                continue
            self._release(sandbox_id)

    def endpoints(self, sandbox_id: str) -> tuple[Endpoint, ...]:
        return tuple(endpoint_of(row) for row in self._records.endpoints_of(sandbox_id))

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


def _leads(endpoint: Endpoint, mappings: Iterable[PortMapping]) -> list[Published]:
    """Return where each of the published ports of a sandbox leads."""
    return [
        Published(m.protocol, m.host_ip, m.host_port, endpoint.address, m.container_port)
        for m in mappings
    ]


def _refuse_own(options: SandboxOptions) -> None:
    """Raise for what only networks that a user made offer.

    Raises: InvalidArgument
    """
    message = ""
    if options.address:
        message = "user specified IP address is supported on user defined networks only"
    elif options.aliases:
        message = "network-scoped alias is supported only for containers in user defined networks"
    if message:
        raise InvalidArgument(message, hint="Make a network with knarr network create.")


def _open_namespace(pid: int) -> int:
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


def _this_process() -> list[int]:
    from knarr.linux.process import start_time  # noqa: PLC0415 - loaded by who runs anyway

    return [os.getpid(), start_time(os.getpid())]


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
