"""Which containers a list shows: `ps` with its filters.

Docker: conditions of one name are alternatives, conditions of different names all have to be met;
without `--all` only what runs is shown, unless a filter asks for a status or an exit code.
"""

from __future__ import annotations

from knarr.engine.container.tasks import EXITED, STATUSES
from knarr.engine.filters import boolean, matches_labels, parse_filters
from knarr.errors import InvalidArgument, KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine

KNOWN = frozenset((
    "ancestor", "before", "since", "exited", "expose", "health", "id", "is-task", "label", "name",
    "network", "publish", "status", "volume",
))  # fmt: skip
NO_HEALTH = "none"


def list_containers(
    engine: Engine, *, filters: Iterable[str] = (), every: bool = False, last: int = -1
) -> list[Container]:
    """Return containers, the youngest first; `last` of all, or those that run, or `every` one.

    Raises: InvalidArgument, NotFound
    """
    given = parse_filters(filters, KNOWN)
    conditions = [_CONDITIONS[name](engine, values) for name, values in given.items()]
    every = every or last > 0 or bool(given.keys() & {"status", "exited"})
    found = []
    for container in engine.containers.all():
        if not all(condition(container) for condition in conditions):
            continue
        if every or container.state.active:
            found.append(container)
        if len(found) == last:
            break
    return found


def _ancestor(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    images = {row.id for text in values if (row := engine.images.find(text))}
    tops = {stack[-1] for image in images if (stack := engine.images.stack(image))}

    def met(container: Container) -> bool:
        row = container.row
        if row.image in images:
            return True
        # An image made from one of them has its layers.
        return bool(tops) and bool(tops & set(engine.images.layers.stack(row.chain)))

    return met


def _before(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    limit = min(engine.containers.get(text).row.created_ns for text in values)
    return lambda container: container.row.created_ns < limit


def _since(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    limit = max(engine.containers.get(text).row.created_ns for text in values)
    return lambda container: container.row.created_ns > limit


def _exited(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    for value in values:
        if not value.removeprefix("-").isdecimal():
            message = f"invalid filter 'exited={value}'"
            raise InvalidArgument(message, hint="It is a number: exited=137.")
    codes = {int(value) for value in values}

    def met(container: Container) -> bool:
        state = container.state
        return state.status == EXITED and state.exit_code in codes

    return met


def _status(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    for value in values:
        if value not in STATUSES:
            message = f"invalid filter 'status={value}'"
            raise InvalidArgument(message, hint=f"There are: {', '.join(STATUSES)}.")
    return lambda container: container.state.status in values


def _health(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    for value in values:
        if value not in (NO_HEALTH, "starting", "healthy", "unhealthy"):
            message = f"unrecognised filter value for health: {value}"
            raise InvalidArgument(message)
    return lambda container: (container.state.health or NO_HEALTH) in values


def _id(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    return lambda container: any(container.id.startswith(value) for value in values)


def _name(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    import re  # noqa: PLC0415 - for who gives a pattern

    try:
        patterns = [re.compile(value) for value in values]
    except re.error as error:
        message = f"invalid filter 'name={values[0]}': {error}"
        raise InvalidArgument(message) from error
    # Docker's names begin with a slash, which a pattern may have.
    return lambda container: any(
        pattern.search(container.name) or pattern.search(f"/{container.name}")
        for pattern in patterns
    )


def _label(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    return lambda container: matches_labels(values, container.options.labels)


def _network(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    wanted = set(values)
    for value in values:
        try:
            network = engine.networks.get(value)
        except KnarrError:  # a network that is gone may still be asked for
            continue
        wanted |= {network.name, network.id}

    def met(container: Container) -> bool:
        asked = container.options.networking
        return asked.mode in wanted or any(place.network in wanted for place in asked.places)

    return met


def _volume(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    return lambda container: any(
        mount.target in values or mount.source in values for mount in container.options.mounts
    )


def _expose(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    from knarr.engine.options.ports import parse_expose  # noqa: PLC0415 - for few lists

    wanted = {port for value in values for port in parse_expose(value)}
    return lambda container: bool(wanted & {_whole(port) for port in container.options.exposed})


def _publish(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    from knarr.engine.options.ports import parse_expose  # noqa: PLC0415 - for few lists

    wanted = {port for value in values for port in parse_expose(value)}
    return lambda container: any(
        f"{number}/{port.protocol}" in wanted
        for port in container.options.networking.ports
        for number in (port.container_port, port.host_port)
    )


def _is_task(_: Engine, values: list[str]) -> Callable[[Container], bool]:
    wanted = boolean("is-task", values)
    return lambda _: not wanted  # tasks are Swarm's, which is not here


def _whole(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


_CONDITIONS: dict[str, Callable[[Engine, list[str]], Callable[[Container], bool]]] = {
    "ancestor": _ancestor,
    "before": _before,
    "since": _since,
    "exited": _exited,
    "expose": _expose,
    "health": _health,
    "id": _id,
    "is-task": _is_task,
    "label": _label,
    "name": _name,
    "network": _network,
    "publish": _publish,
    "status": _status,
    "volume": _volume,
}
