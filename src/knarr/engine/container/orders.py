"""What a supervisor is told of its container: the order of a start, or of an adoption."""

from __future__ import annotations

from knarr.engine.options.values import DEFAULT_STOP_SIGNAL, DEFAULT_STOP_TIMEOUT
from knarr.errors import Corrupt
from knarr.store.layers import LayerRecords
from knarr.supervise.messages import LogOptions, Order, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import LogSettings, Options
    from knarr.engine.paths import Paths
    from knarr.oci.digest import Digest
    from knarr.store.containers import ContainerRow
    from knarr.supervise.messages import Health


def make_order(
    engine: Engine,
    row: ContainerRow,
    options: Options,
    stack: tuple[Digest, ...],
    spec: Any,
) -> Order:
    """Return what a supervisor has to know, with nobody attached."""
    paths = engine.paths
    bundle_dir = paths.container(row.id)
    overlay = engine.layers.overlay_options(stack, bundle_dir, volatile=options.auto_remove)
    return Order(
        row.id,
        paths.root,
        paths.run,
        bundle_dir,
        paths.task(row.id),
        spec,
        tuple(overlay),
        terminal=options.streams.tty,
        stdin=options.streams.open_stdin,
        stdin_once=options.streams.stdin_once,
        log=_log(paths, row, options),
        restart=restart_policy(options),
        auto_remove=options.auto_remove,
        runtime=_runtime(options),
        health=_health(options),
        timeout=options.timeout,
        volumes=tuple(
            (mount.source, mount.target, not mount.readonly)
            for mount in options.mounts
            if mount.kind == "volume"
        ),
        about=(*options.labels.items(), ("image", options.image), ("name", row.name)),
    )


def _runtime(options: Options) -> str:
    if not options.runtime:
        return ""
    from knarr.engine.runtimes import find_runtime  # noqa: PLC0415 - for few containers

    return find_runtime(options.runtime)


def restart_policy(options: Options) -> RestartPolicy:
    """Return the restart policy as the supervisor knows it."""
    asked = options.restart
    return RestartPolicy(*[getattr(asked, field) for field in type(asked)._fields])


def _health(options: Options) -> Health | None:
    if options.healthcheck is None:
        return None
    from knarr.engine.options.health import order_health  # noqa: PLC0415 - for few containers
    from knarr.engine.options.names import parse_signal  # noqa: PLC0415

    timeout = DEFAULT_STOP_TIMEOUT if options.stop_timeout is None else options.stop_timeout
    number = parse_signal(options.stop_signal or DEFAULT_STOP_SIGNAL)
    return order_health(options, stop_signal=number, stop_timeout=timeout)


def order_again(engine: Engine, row: ContainerRow, options: Options) -> Order:
    """Return the order of a container that was started before, from what lies in its directory.

    Raises: Corrupt
    """
    from knarr.util.jsontext import loads  # noqa: PLC0415 - after a crash only

    path = f"{engine.paths.container(row.id)}/config.json"
    try:
        with open(path, "rb", buffering=0) as file:
            spec = loads(file.read())
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {error}"
        raise Corrupt(message) from error
    stack = LayerRecords(engine.database).stack(row.chain)
    return with_secrets(engine, make_order(engine, row, options, stack, spec), options)


def with_secrets(engine: Engine, order: Order, options: Options) -> Order:
    """Return the order with the variables that are secrets, which config.json does not have."""
    if not any(request.kind == "env" for request in options.secrets):
        return order
    from knarr.engine.supplies.secrets import revealed, variables  # noqa: PLC0415 - for few

    return order.replace(spec=revealed(order.spec, variables(engine, options)))


def _log(paths: Paths, row: ContainerRow, options: Options) -> LogOptions:
    log = LogOptions(options.log.driver, log_path(paths, row.id, options.log))
    if log.driver == "json-file" and not options.log.options:
        return log
    from knarr.engine.options.logging import refine_log  # noqa: PLC0415 - for few containers

    return refine_log(log, options, row)


def log_path(paths: Paths, container_id: str, log: LogSettings) -> str:
    """Return the file in which a container's output is kept, empty if it is in none."""
    if log.driver == "json-file":
        return f"{paths.container(container_id)}/{container_id}-json.log"
    if log.driver == "none" or log.options.get("cache-disabled") == "true":
        return ""
    return f"{paths.container(container_id)}/local.log"
