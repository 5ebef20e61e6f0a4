"""Other limits and another restart policy for a container that exists, running or not.

The record is changed in one transaction with the check of what it says by then, the running
container after it: if the kernel refuses (the memory is in use), the record goes back.

Docker: UpdateContainer of moby, with its words for what does not go together
"""

from __future__ import annotations

import os

from knarr.engine.container import tasks
from knarr.engine.container.locks import ContainerLock
from knarr.engine.noting import note
from knarr.engine.options.encoding import decode, encode
from knarr.engine.options.limits import check_resources
from knarr.engine.resources import support
from knarr.engine.resources.limits import changeable
from knarr.errors import InvalidArgument, KnarrError
from knarr.store.containers import ContainerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options, Resources, RestartPolicy
    from knarr.engine.paths import Paths
    from knarr.store.containers import ContainerRow

# What cannot be added to what is there already.
CONFLICTS = (
    ("nano_cpus", "cpu_period_us", "NanoCPUs cannot be updated as CPU Period has already been set"),
    ("nano_cpus", "cpu_quota_us", "NanoCPUs cannot be updated as CPU Quota has already been set"),
    ("cpu_period_us", "nano_cpus", "CPU Period cannot be updated as NanoCPUs has already been set"),
    ("cpu_quota_us", "nano_cpus", "CPU Quota cannot be updated as NanoCPUs has already been set"),
)


def update(
    engine: Engine,
    row: ContainerRow,
    changes: Mapping[str, Any],
    restart: RestartPolicy | None = None,
) -> tuple[ContainerRow, list[str]]:
    """Change limits, fields of `Resources`, and the restart policy; return record and warnings.

    A limit of 0 stays as it is.

    Raises: InvalidArgument, Conflict, Unsupported, Failed
    """
    if restart is not None:
        from knarr.engine.options.restart import check_restart  # noqa: PLC0415 - for few

        check_restart(restart)
    given = {name: value for name, value in changes.items() if value}
    with ContainerLock(engine.paths, row.id):
        before, options, warnings = _record(engine, row, given, restart)
        try:
            _tell(engine, row, options, given, restart)
        except KnarrError as error:
            with engine.database.transaction():
                ContainerRecords(engine.database).update(before)
            _take_back(engine, before, given, error)
            message = f"Cannot update container {row.id}: {error.message}"
            raise type(error)(message, hint=error.hint) from error
    note(engine.paths, row, "update")
    return before.replace(options=encode(options)), warnings


def _record(
    engine: Engine, row: ContainerRow, given: Mapping[str, Any], restart: RestartPolicy | None
) -> tuple[ContainerRow, Options, list[str]]:
    """Write down the changes; return the record before, the options after, and warnings."""
    warnings: list[str] = []
    records = ContainerRecords(engine.database)
    with engine.database.transaction():
        before = records.get(row.id)
        options = decode(before.options)
        if given:
            _refuse_conflicts(options.resources, given)
            fresh = options.replace(resources=options.resources.replace(**given))
            check_resources(fresh.resources, processors=os.cpu_count() or 1)
            options, warnings = support.without_unsupported(fresh, support.find_support())
        if restart is not None:
            if options.auto_remove and restart.name != "no":
                message = (
                    "Restart policy cannot be updated because AutoRemove is enabled for the "
                    "container"
                )
                raise InvalidArgument(message)
            options = options.replace(restart=restart)
        records.update(before.replace(options=encode(options)))
    return before, options, warnings


def _take_back(
    engine: Engine, before: ContainerRow, given: Mapping[str, Any], error: KnarrError
) -> None:
    """Let a container whose new limits were refused half-way have its old ones."""
    try:
        _tell(engine, before, decode(before.options), given, None)
    except KnarrError as again:
        error.add_note(f"and it cannot have its old limits back: {again.message}")


def _refuse_conflicts(now: Resources, given: Mapping[str, Any]) -> None:
    for field, other, words in CONFLICTS:
        if field in given and getattr(now, other) and other not in given:
            message = f"conflicting options: {words}"
            raise InvalidArgument(message)
    memory = given.get("memory", 0)
    if 0 < now.memory_swap < memory and "memory_swap" not in given:
        message = (
            "memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time"
        )
        raise InvalidArgument(message)


def _tell(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    given: Mapping[str, Any],
    restart: RestartPolicy | None,
) -> None:
    """Let a running container have what was written down."""
    state = tasks.read_state(engine.paths, row.id)
    if not state.active:
        return
    from knarr.engine.container import stopping  # noqa: PLC0415 - for what runs
    from knarr.engine.container.orders import restart_policy  # noqa: PLC0415

    limits = changeable(options.resources)
    if given and state.pid:
        from knarr.engine.container import groups  # noqa: PLC0415 - for what runs
        from knarr.runtime import lifecycle  # noqa: PLC0415

        lifecycle.update(groups.find(engine.paths, row.id), limits)
    with stopping.connect(engine, row) as client:
        if given:
            client.set_limits(limits)
            _change_spec(engine.paths, row.id, limits)
        if restart is not None:
            client.set_restart_policy(restart_policy(options))


def _change_spec(paths: Paths, container_id: str, resources: Mapping[str, Any]) -> None:
    """Change limits in the spec that lies in a container's directory, for who adopts it."""
    from knarr.util.files import write_atomically  # noqa: PLC0415 - for few commands
    from knarr.util.jsontext import dumps, loads  # noqa: PLC0415

    path = f"{paths.container(container_id)}/config.json"
    with open(path, "rb", buffering=0) as file:
        spec = loads(file.read())
    spec["linux"]["resources"] = {**spec["linux"].get("resources", {}), **resources}
    write_atomically(path, dumps(spec).encode())
