"""Networks, and the sandboxes that join them.

What `run` does with a sandbox (a container, or a step of a build):

    prepared = engine.networks.prepare(container_id, SandboxOptions(network="bridge", …))
        # one transaction: addresses and host ports are ours; files and sockets are in `prepared`
    engine.networks.attach(prepared, pid)    # the kernel: interface, addresses, routes, rules
    prepared.close()                         # after the sockets went to the supervisor
    …
    engine.networks.detach(container_id)     # at its end, whoever comes first; twice does no harm

`prepare` needs no namespace yet, and may run while the supervisor starts. When anything fails
between the two, `detach` takes everything back; so does recovery after a crash, for records are
made before the kernel's state and go after it.

Here are the records of networks; `engine.network.sandboxes` has those of who is in them,
`engine.network.bridges` and `engine.network.rules` the kernel's side.
"""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, InvalidArgument, NotFound, PermissionDenied
from knarr.network.model import BUILT_IN, DEFAULT_NETWORK, PREDEFINED, Network
from knarr.network.records import decode_network, encode_network
from knarr.store.networks import NetworkRecords, NetworkRow
from knarr.store.ports import Marks, PortRecords
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.network.bridges import Bridges
    from knarr.engine.network.rules import Rules
    from knarr.engine.network.sandboxes import Prepared, Sandboxes
    from knarr.engine.options.values import NetworkJoin
    from knarr.network.model import Endpoint, PortMapping, Published, SandboxOptions

    # `list` is a method below.
    NetworkList = list[Network]
    IdList = list[str]

_CREATING = "network"  # in the journal; see `engine.network.mending`

_FIRST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LETTERS = _FIRST_LETTERS | frozenset("_.- ")


class NetworkOptions(Value):
    """What the user asked for of a network: at most one subnet of each version.

    Versions that are on and have no subnet are for knarr to choose one for. A subnet of IPv6 turns
    that version on.
    """

    driver: str = "bridge"
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    ip_ranges: tuple[str, ...] = ()
    reserved: Mapping[str, str] = {}
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    ipam_options: Mapping[str, str] = {}


class Networks:
    """The networks of one engine, and who is in them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.database = engine.database
        self.records = NetworkRecords(engine.database)
        self.ports = PortRecords(engine.database)
        self.marks = Marks(engine.database)
        self._bridges: Bridges | None = None
        self._rules: Rules | None = None
        self._sandboxes: Sandboxes | None = None

    # networks

    def ensure_default(self) -> Network:
        """Return the network named `bridge`, recorded now if this root never had it.

        Its bridge is set up when the first sandbox joins.
        """
        row = self.records.find_by_name(DEFAULT_NETWORK)
        if row is not None:
            return _network(row)
        with self.database.transaction():
            row = self.records.find_by_name(DEFAULT_NETWORK)
            if row is not None:
                return _network(row)
            self.built_in(BUILT_IN[0])
            network = self._plan(DEFAULT_NETWORK, NetworkOptions())
            self.records.add(_row(network))
        return network

    def built_in(self, name: str) -> Network:
        """Return the network `host` or `none`, recorded now if this root never had it."""
        row = self.records.find_by_name(name)
        if row is not None:
            return _network(row)
        with self.database.transaction():
            for one, driver in zip(BUILT_IN, ("host", "null"), strict=True):
                if self.records.find_by_name(one) is None:
                    self.records.add(_row(_new(one, driver)))
        return self.built_in(name)

    def recorded(self) -> list[Network]:
        """Return the networks there are, in order of their names."""
        return [_network(row) for row in self.records.all()]

    def list(self) -> NetworkList:
        """Return all networks, the predefined ones included, in order of their names."""
        self.ensure_default()
        return self.recorded()

    def get(self, text: str) -> Network:
        """Return the network with this name, ID or start of an ID.

        Raises: NotFound, InvalidArgument
        """
        default = self.ensure_default()
        if text in (DEFAULT_NETWORK, "default"):
            return default
        rows = self.records.matching(text)
        if not rows:
            message = f"network {text} not found"
            raise NotFound(message, hint="See knarr network ls.")
        if len(rows) > 1:
            message = f"network {text} is ambiguous ({len(rows)} matches found based on ID prefix)"
            raise InvalidArgument(message)
        return _network(rows[0])

    def create(self, name: str, options: NetworkOptions | None = None) -> Network:
        """Create a network with its bridge, or with the parent that it stands on.

        Raises: InvalidArgument, Conflict, NotFound, Unavailable, Unsupported, PermissionDenied
        """
        from knarr.engine.network.planning import check_driver  # noqa: PLC0415 - not for network ls

        options = options or NetworkOptions()
        check_name(name)
        check_driver(options.driver)
        self.ensure_default()
        with self.engine.journal.begin(_CREATING, name), self.database.transaction():
            if name == "default" or self.records.find_by_name(name):
                message = f"network with name {name} already exists"
                raise Conflict(message)
            with self.bridges.lock():
                network = self.bridges.make(self._plan(name, options))
            self.records.add(_row(network))
            self.rules.admit(network)
        self._note(network, "create")
        return network

    def inspect(self, text: str) -> dict[str, Any]:
        """Return the document that `network inspect` shows.

        Raises: NotFound, InvalidArgument
        """
        from knarr.engine.network.view import inspect  # noqa: PLC0415 - for who looks closer

        return inspect(self, self.get(text))

    def connect(self, text: str, container: str, place: NetworkJoin | None = None) -> None:
        """Let a container join a network, at once if it runs.

        Raises: NotFound, Conflict, InvalidArgument, Unavailable, PermissionDenied, Failed
        """
        from knarr.engine.network import joining  # noqa: PLC0415 - for who does so
        from knarr.engine.options.values import NetworkJoin  # noqa: PLC0415 - as above

        network = self.get(text)
        row = self.engine.containers.get(container).row
        joining.connect(self.engine, network, row, place or NetworkJoin(network.name))

    def disconnect(self, text: str, container: str, *, force: bool = False) -> None:
        """Take a container out of a network, with `force` also one that is not there any more.

        Raises: NotFound, Conflict, PermissionDenied, Failed
        """
        from knarr.engine.network import joining  # noqa: PLC0415 - for who does so

        network = self.get(text)
        try:
            row = self.engine.containers.get(container).row
        except NotFound:
            if force and joining.force_out(self.engine, network, container):
                return
            raise
        joining.disconnect(self.engine, network, row)

    def update(self, network: Network) -> None:
        """Replace the record of a network."""
        self.records.update(_row(network))

    def remove(self, text: str) -> Network:
        """Remove a network that no sandbox is in, with its bridge, and return what it was.

        Raises: NotFound, Conflict, PermissionDenied
        """
        network = self.get(text)
        if network.name in PREDEFINED:
            message = f"{network.name} is a pre-defined network and cannot be removed"
            raise PermissionDenied(message)
        with self.database.transaction():
            used = self.records.endpoints(network.id)
            if used:
                message = (
                    f"error while removing network: network {network.name} id {network.id} "
                    "has active endpoints"
                )
                names = ", ".join(row.container[:12] for row in used)
                raise Conflict(message, hint=f"Stop or remove what is in it first: {names}.")
            self._remove(network)
        self._note(network, "destroy")
        return network

    def prune(self, filters: Iterable[str] = (), *, dry_run: bool = False) -> NetworkList:
        """Remove all networks that no sandbox is in and that pass `filters`; return them.

        With `dry_run` only say which they are.

        Raises: InvalidArgument
        """
        from knarr.engine.network.view import prunable  # noqa: PLC0415 - rare

        removed = []
        for network in prunable(self, filters):
            with self.database.transaction():
                if not self.records.find(network.id) or self.records.endpoints(network.id):
                    continue
                if not dry_run:
                    self._remove(network)
                    self._note(network, "destroy")
                removed.append(network)
        if not dry_run:
            from knarr.engine.noting import note_pruned  # noqa: PLC0415 - rare

            note_pruned(self.engine.paths, "network", 0)
        return removed

    def _note(self, network: Network, action: str) -> None:
        from knarr.util import eventlog  # noqa: PLC0415 - for who changes something

        about = {"name": network.name, "type": network.driver}
        eventlog.append(self.engine.paths.root, "network", action, network.id, about)

    def _remove(self, network: Network) -> None:
        from knarr.engine.network.naming import forget  # noqa: PLC0415 - not for network ls

        self.records.remove(network.id)
        self.marks.remove(f"address {network.id}")
        self.marks.remove(f"address6 {network.id}")
        forget(self, network.id)
        self.rules.withdraw(network)
        self.bridges.remove(network)

    def _plan(self, name: str, options: NetworkOptions) -> Network:
        from knarr.engine.network.planning import plan  # noqa: PLC0415 - not for network ls

        return plan(self, name, options)

    # the kernel's side

    @property
    def bridges(self) -> Bridges:
        """The bridges of this root."""
        if self._bridges is None:
            from knarr.engine.network.bridges import Bridges  # noqa: PLC0415 - not for network ls

            self._bridges = Bridges(self)
        return self._bridges

    @property
    def rules(self) -> Rules:
        """The firewall's rules of this root."""
        if self._rules is None:
            from knarr.engine.network.rules import Rules  # noqa: PLC0415 - not for network ls

            self._rules = Rules(self)
        return self._rules

    def leads(self) -> Sequence[Published]:
        """Return every published port with where it leads."""
        from knarr.engine.network.sandboxes import published  # noqa: PLC0415 - not for network ls

        return [published(row) for row in self.ports.all() if row.address]

    def reload(self) -> None:
        """Make the host's rules what the records say, whatever was done to them."""
        self.rules.reload()

    def restore(self) -> None:
        """Make the rules, and the bridges of networks that somebody is in, as the records say.

        For when somebody flushed the host's rules; a start does so by itself.

        Raises: PermissionDenied, Unavailable, Failed
        """
        from knarr.network.sandbox import Host  # noqa: PLC0415 - not for network ls

        with self.database.transaction(), Host() as host:
            for network in self.recorded():
                if network.interface and self.records.endpoints(network.id):
                    self.bridges.ready(network, host)
            self.reload()

    def tear_down_all(self) -> None:
        """Remove every bridge, interface and rule of this root, and what its sandboxes have.

        The networks themselves stay recorded, and are set up again when they are next used.
        """
        with self.database.transaction():
            self.rules.tear_down()
            self.bridges.tear_down()
            self.sandboxes.forget_all()

    # sandboxes

    @property
    def sandboxes(self) -> Sandboxes:
        """Who is in the networks."""
        if self._sandboxes is None:
            from knarr.engine.network.sandboxes import Sandboxes  # noqa: PLC0415 - not for network ls

            self._sandboxes = Sandboxes(self)
        return self._sandboxes

    def prepare(self, sandbox_id: str, options: SandboxOptions) -> Prepared:
        """Give `sandbox_id` addresses and host ports, and write its files' contents.

        Idempotent: what an earlier start of the sandbox left is released first.

        Raises: NotFound, Conflict, InvalidArgument, Unavailable, PermissionDenied
        """
        return self.sandboxes.prepare(sandbox_id, options)

    def expect(self, prepared: Prepared) -> None:
        """Load what `attach` needs: for who waits for a process to be there anyway."""
        if prepared.mode == "bridge":
            _ = self.rules

    def attach(self, prepared: Prepared, pid: int) -> None:
        """Set up the network namespace of the process `pid`, and the host's side of it.

        Raises: PermissionDenied, Failed
        """
        self.sandboxes.attach(prepared, pid)

    def detach(self, sandbox_id: str) -> None:
        """Release addresses, ports and rules of a sandbox; its interfaces die with its namespace.

        Idempotent; nothing to do for an unknown sandbox.
        """
        self.sandboxes.detach(sandbox_id)

    def release_dead(self, is_alive: Callable[[str], bool]) -> IdList:
        """Detach every sandbox that is not alive, and return their IDs; for recovery."""
        return self.sandboxes.release_dead(is_alive)

    def endpoints(self, sandbox_id: str) -> tuple[Endpoint, ...]:
        """Return the sandbox's places in networks, the one with the default route first."""
        return self.sandboxes.endpoints(sandbox_id)

    def members(self, network: Network) -> tuple[Endpoint, ...]:
        """Return the endpoints in a network."""
        return self.sandboxes.members(network)

    def published(self, sandbox_id: str = "") -> dict[str, tuple[PortMapping, ...]]:
        """Return the published ports by sandbox, of all sandboxes or one."""
        return self.sandboxes.published(sandbox_id)


def check_name(name: str) -> None:
    """Raise unless `name` can be a network's.

    Raises: InvalidArgument
    """
    if not name or name[0] not in _FIRST_LETTERS or not _LETTERS.issuperset(name):
        message = f"invalid network name: {name}"
        hint = "A name begins with a letter or digit, and goes on with those, _, ., - and blanks."
        raise InvalidArgument(message, hint=hint)


def _new(name: str, driver: str) -> Network:
    return Network(os.urandom(32).hex(), name, driver, "", (), created_ns=time.time_ns())


def _network(row: NetworkRow) -> Network:
    return decode_network(row.id, row.name, jsontext.loads(row.detail))


def _row(network: Network) -> NetworkRow:
    detail = jsontext.dumps(encode_network(network))
    return NetworkRow(network.id, network.name, network.created_ns, detail)
