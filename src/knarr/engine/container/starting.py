"""Starting a container: from its record to a running program and its supervisor.

    spawn ─▶ supervisor imports …
    prepare the network: addresses, ports, hosts and resolv.conf
    look the user up in the image
    specify
    order ─▶ supervisor: namespaces, mounts, init waits          "created", pid
    attach the network to the namespace of pid
    wake up who waits for it, and let them attach
    start ─▶ init becomes the program                             "started"

Until "started" everything can be taken back, and is: the supervisor does its part when the
connection closes, this module the network. A process that is killed in between leaves a journal
entry, and recovery does the same.
"""

from __future__ import annotations

import os

from knarr.engine import noting
from knarr.engine.container import groups, tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.container.mounts import FILES, make_sources, plan_mounts, source_finder
from knarr.engine.container.orders import make_order, with_secrets
from knarr.engine.container.specify import Place, specify
from knarr.engine.container.users import Identity, find_accounts, identify
from knarr.engine.options.security import bounding_mask, heat_paths
from knarr.errors import CommandFailed, Conflict, KnarrError, NotModified
from knarr.network.model import BUILT_IN
from knarr.store.layers import LayerRecords
from knarr.supervise import control
from knarr.supervise.messages import Order
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.container.neighbours import Neighbours
    from knarr.engine.engine import Engine
    from knarr.engine.network.sandboxes import Prepared
    from knarr.engine.options.values import NetworkJoin, Options
    from knarr.engine.paths import Paths
    from knarr.engine.supplies.links import Linked
    from knarr.network.model import Join, SandboxOptions
    from knarr.oci.digest import Digest
    from knarr.oci.runtime import Mount
    from knarr.store.containers import ContainerRow
    from knarr.supervise.control import Client, Starting

STARTING = "start"
OWN_FAILURE = 125  # Docker's status when not the program but the engine failed


class Attachment:
    """How who starts a container is attached to it: to which streams, of which size, as owner."""

    __slots__ = ("owner", "streams", "window")

    def __init__(
        self,
        streams: tuple[str, ...] = (),
        *,
        owner: bool = False,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.streams = streams
        self.owner = owner
        self.window = window


def start(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    *,
    attachment: Attachment | None = None,
    starting: Starting | None = None,
) -> Client:
    """Start a container and return the connection to its supervisor.

    `starting` is a supervisor that was spawned before. It is given up when anything fails.

    Raises: NotModified, Conflict, CommandFailed (126, 127), other KnarrErrors
    """
    try:
        with ContainerLock(engine.paths, row.id):
            return start_locked(engine, row, options, attachment=attachment, starting=starting)
    except BaseException:
        if starting is not None:
            starting.abort()
        raise


def start_locked(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    *,
    attachment: Attachment | None = None,
    starting: Starting | None = None,
) -> Client:
    """Do what `start` does, for who holds the container's lock."""
    _refuse_active(engine.paths, row)
    with engine.journal.begin(STARTING, row.id):
        launch = _Launch(engine, row, options, attachment or Attachment())
        return launch.run(starting or control.spawn())


def _refuse_active(paths: Paths, row: ContainerRow) -> None:
    state = tasks.read_state(paths, row.id)
    if state.status == tasks.PAUSED:
        message = "cannot start a paused container, try unpause instead"
        raise Conflict(message)
    if state.active:
        message = f"container {row.name} is already started"
        raise NotModified(message)


class _Launch:
    """One start."""

    def __init__(
        self, engine: Engine, row: ContainerRow, options: Options, attachment: Attachment
    ) -> None:
        self.engine = engine
        self.row = row
        self.options = options
        self.attachment = attachment
        self.bundle_dir = engine.paths.container(row.id)
        self.ordered = False
        self.connected = False
        self.neighbours: Neighbours | None = None
        self.linked: list[Linked] = []

    def run(self, starting: Starting) -> Client:
        try:
            if self.options.joins:
                from knarr.engine.container.neighbours import Neighbours  # noqa: PLC0415 - for few

                self.neighbours = Neighbours(self.engine, self.options, self.row.id)
            if any(place.links for place in self.options.networking.joins):
                from knarr.engine.supplies import links  # noqa: PLC0415 - for few containers

                self.linked = links.find(self.engine, self.options, self.row.name)
            self._leave()
            prepared = self.engine.networks.prepare(self.row.id, self._sandbox())
        except KnarrError as error:
            self._note(error)
            raise
        try:
            self._launch(starting, prepared)
        except BaseException as error:
            starting.abort()
            self.engine.networks.detach(self.row.id)
            if self.options.secrets:
                from knarr.engine.supplies.secrets import forget  # noqa: PLC0415 - for few

                forget(self.engine.paths, self.row.id)
            if self.connected:
                self._note_networks(prepared, "disconnect")
            noting.note_left(self.engine.paths, self.row.id)
            if isinstance(error, KnarrError) and not self.ordered:
                self._note(error)
            raise
        finally:
            prepared.close()
        return starting.client()

    def _launch(self, starting: Starting, prepared: Prepared) -> None:
        order = self._order(prepared)
        starting.send_order(with_secrets(self.engine, order, self.options), prepared.sockets)
        self.ordered = True
        self._write("config.json", _encode(order))
        self.engine.networks.expect(prepared)
        if self.attachment.owner:
            _load_what_the_end_needs()
        if self.attachment.streams:
            noting.note(self.engine.paths, self.row, "attach")
        pid = starting.wait_created()
        if self.neighbours is not None:
            self.neighbours.verify()
        trace("start:created")
        if prepared.endpoints:
            self.engine.networks.attach(prepared, pid)
            self._note_networks(prepared, "connect")
            self.connected = True
            if prepared.names:
                self.engine.networks.sandboxes.serve_names(prepared, pid, starting.serve_names)
        elif prepared.mode in BUILT_IN:
            network = self.engine.networks.built_in(prepared.mode)
            noting.note_shared(self.engine.paths, self.row.id, network)
        trace("start:attached")
        if os.path.isdir(self.engine.paths.waiting(self.row.id)):
            from knarr.engine.waiting import summon  # noqa: PLC0415 - for few starts

            summon(self.engine.paths, self.row.id)
        starting.start()
        starting.wait_started()
        trace("start:started")

    def _leave(self) -> None:
        """Give back what the last run has of networks, where nobody has cleaned up after it yet."""
        query = "SELECT 1 FROM endpoints WHERE container = ?"
        if self.engine.database.row(query, (self.row.id,)):
            before = self.engine.networks.endpoints(self.row.id)
            self.engine.networks.detach(self.row.id)
            noting.note_networks(self.engine.paths, self.row.id, before, "disconnect")
        noting.note_left(self.engine.paths, self.row.id)

    def _note(self, error: KnarrError) -> None:
        """Leave in the record why nothing came of it; the supervisor does so from its order on."""
        code = error.status if isinstance(error, CommandFailed) else OWN_FAILURE
        tasks.record_failure(self.engine.paths, self.row.id, str(error), code)

    def _note_networks(self, prepared: Prepared, action: str) -> None:
        noting.note_networks(self.engine.paths, self.row.id, prepared.endpoints, action)

    # what the supervisor is told

    def _order(self, prepared: Prepared) -> Order:
        if self.options.resources.cpu_rt_runtime_us:
            from knarr.engine.resources.realtime import make_room  # noqa: PLC0415 - for few

            make_room(groups.parent_of(self.engine.paths, self.options), self.options.resources)
        stack = LayerRecords(self.engine.database).stack(self.row.chain)
        files = self._write_files(prepared)
        spec = specify(self.options, self._place(stack, files, prepared))
        if self.linked:
            from knarr.engine.supplies import links  # noqa: PLC0415 - for few containers

            more = links.variables(self.linked, self.row.name)
            spec["process"]["env"] = links.add(spec["process"]["env"], more)
        if self.options.resources.cdi_devices or self.options.resources.gpus:
            from knarr.engine.supplies.cdi import supply  # noqa: PLC0415 - for few containers

            supply(spec, self.options.resources)
        return make_order(self.engine, self.row, self.options, stack, spec).replace(
            window=self.attachment.window or self._first_window(),
            attach=self.attachment.streams,
            owner=self.attachment.owner,
        )

    def _first_window(self) -> tuple[int, int] | None:
        rows, columns = self.options.streams.window
        return (rows, columns) if rows and columns else None

    def _place(self, stack: tuple[Digest, ...], files: list[str], prepared: Prepared) -> Place:
        options, others = self.options, self.neighbours
        make_sources(options)
        devices = []
        if options.security.privileged or options.resources.devices:
            from knarr.engine.container.devices import find_devices  # noqa: PLC0415 - for few containers

            devices = find_devices(options)
        files_dir = self.bundle_dir
        if others is not None and others.network is not None:
            files_dir = self.engine.paths.container(others.network.id)
        identity = find_identity(self.engine, stack, self.bundle_dir, options)
        return Place(
            self.row.id,
            f"{self.engine.paths.task(self.row.id)}/rootfs",
            hostname=self._hostname(),
            domainname=options.domainname,
            identity=identity,
            mounts=self._mounts(files_dir, files, identity),
            devices=devices,
            cgroups_path=groups.path_of(self.engine, options, self.row.id),
            init_path=self._init_path(),
            network="host" if prepared.mode == "host" else "",
            architecture=ARCHITECTURES.get(os.uname().machine, os.uname().machine),
            bounding=bounding_mask(options.security),
            heat=heat_paths(),
            joined=others.joined if others else {},
            shm=others.shm if others else "",
            block_devices=_block_devices(options),
        )

    def _mounts(self, files_dir: str, files: list[str], identity: Identity) -> list[Mount]:
        options = self.options
        if any(one.overlay or one.chown or one.kind == "image" for one in options.mounts):
            from knarr.engine.volume.overlays import prepare  # noqa: PLC0415 - for few containers

            prepare(self.engine, self.row.id, options, identity)
        find = source_finder(self.engine, self.row.id, options, identity)
        mounts = plan_mounts(options, bundle_dir=files_dir, files=files, source_of=find)
        if options.secrets:
            from knarr.engine.supplies.secrets import lay_out  # noqa: PLC0415 - for few containers

            mounts += lay_out(self.engine, self.row.id, options)
        return mounts

    def _init_path(self) -> str:
        if not self.options.init:
            return ""
        from knarr.engine.container.initprogram import place_program  # noqa: PLC0415 - for few containers

        return place_program(self.engine.paths)

    def _hostname(self) -> str:
        if self.options.hostname:
            return self.options.hostname
        if self.neighbours is not None and self.neighbours.network is not None:
            return self._their_hostname(self.neighbours.network.id)
        return os.uname().nodename if self.options.networking.on_host else self.row.id[:12]

    def _their_hostname(self, container_id: str) -> str:
        """Return the hostname of who made the network: it is in the hosts file that they share."""
        path = f"{self.engine.paths.container(container_id)}/hostname"
        with open(path, encoding="utf-8") as file:
            return file.read().strip()

    def _write_files(self, prepared: Prepared) -> list[str]:
        """Write what the container sees as /etc/hosts and the like; return which there are."""
        contents = {
            "hosts": prepared.hosts,
            "hostname": f"{self._hostname()}\n",
            "resolv.conf": prepared.resolv_conf,
        }
        for name, text in contents.items():
            self._write(name, text)
        return list(FILES)

    def _write(self, name: str, text: str) -> None:
        with open(f"{self.bundle_dir}/{name}", "wb", buffering=0) as file:
            file.write(text.encode())

    def _sandbox(self) -> SandboxOptions:
        from knarr.network.model import PortMapping, SandboxOptions  # noqa: PLC0415 - not for ps

        asked = self.options.networking
        return SandboxOptions(
            asked.mode,
            hostname=self._hostname(),
            domainname=self.options.domainname,
            joins=tuple(join_of(place) for place in asked.places),
            ports=tuple(
                PortMapping(
                    port.container_port,
                    port.protocol,
                    port.host_ip,
                    port.host_port,
                    port.host_port_end,
                )
                for port in asked.ports
            ),
            exposed=self.options.exposed,
            publish_all=asked.publish_all,
            dns=asked.dns,
            dns_search=asked.dns_search,
            dns_options=asked.dns_options,
            extra_hosts=(*asked.extra_hosts, *self._linked_hosts()),
            egress=asked.egress,
        )

    def _linked_hosts(self) -> tuple[str, ...]:
        if not self.linked:
            return ()
        from knarr.engine.supplies import links  # noqa: PLC0415 - for few containers

        return links.hosts(self.linked)


def join_of(place: NetworkJoin) -> Join:
    """Return a place in a network in the words of the package that knows networks."""
    from knarr.network.model import Join  # noqa: PLC0415 - not for ps

    interface = ""
    sysctls: tuple[str, ...] = ()
    if place.driver_options:
        from knarr.engine.options.networks import endpoint_options  # noqa: PLC0415 - for few

        interface, sysctls = endpoint_options(place.driver_options)
    return Join(
        place.network,
        address=place.address,
        address6=place.address6,
        mac=place.mac_address,
        aliases=place.aliases,
        priority=place.priority,
        link_local=place.link_local,
        interface=interface,
        sysctls=sysctls,
    )


def _load_what_the_end_needs() -> None:
    """Import now, while the supervisor is at work, what the clean-up after the exit will use."""
    from knarr.engine.container import cleanup, removing  # noqa: F401, PLC0415
    from knarr.linux import tree  # noqa: F401, PLC0415


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def find_identity(
    engine: Engine, stack: tuple[Digest, ...], bundle_dir: str, options: Options
) -> Identity:
    """Look the user up in the container's own files.

    Raises: InvalidArgument
    """
    passwd, group = _accounts(engine, stack, bundle_dir)
    return identify(options.user, options.group_add, passwd=passwd, group=group)


def _accounts(engine: Engine, stack: tuple[Digest, ...], bundle_dir: str) -> tuple[str, str]:
    """Return the contents of passwd and group, found without a mount if they are plain files."""
    from knarr.snapshot.lowers import Directory  # noqa: PLC0415 - not for who only asks

    below = engine.layers.view(stack, active=bundle_dir)
    plain = find_accounts(Directory([f"{bundle_dir}/upper", *below.paths]))
    if plain is not None:
        return plain
    from knarr.engine.container.users import read_accounts  # noqa: PLC0415 - for few images

    root_fd = engine.layers.mount(stack, active=bundle_dir, readonly=True)
    try:
        return read_accounts(root_fd)
    finally:
        os.close(root_fd)


def _block_devices(options: Options) -> dict[str, tuple[int, int]]:
    asked = options.resources
    limits = (
        *asked.blkio_weights, *asked.read_bps, *asked.write_bps, *asked.read_iops,
        *asked.write_iops,
    )  # fmt: skip
    if not limits:
        return {}
    from knarr.engine.container.devices import block_device_number  # noqa: PLC0415 - for few

    return {limit.path: block_device_number(limit.path) for limit in limits}


def _encode(order: Order) -> str:
    from knarr.util.jsontext import dumps  # noqa: PLC0415 - loaded by now

    return dumps(order.spec)
