"""Removing all containers that do not run."""

from __future__ import annotations

from knarr.engine.filters import pruning_condition
from knarr.engine.noting import note_pruned
from knarr.errors import Conflict, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine


def unused(engine: Engine, filters: Iterable[str] = ()) -> list[Container]:
    """Return the containers that do not run and pass `filters`.

    Raises: InvalidArgument
    """
    wanted = pruning_condition(filters)
    return [
        container
        for container in engine.containers.all()
        if not container.state.active and wanted(container.row.created_ns, container.options.labels)
    ]


def size_of(engine: Engine, container: Container) -> int:
    """Return how many bytes a container wrote."""
    return engine.layers.usage(f"{engine.paths.container(container.id)}/upper").size


def prune(
    engine: Engine, filters: Iterable[str] = (), *, dry_run: bool = False
) -> tuple[list[str], int]:
    """Remove the containers that do not run and pass `filters`; return IDs and bytes freed.

    With `dry_run` only say which they are.

    Raises: InvalidArgument
    """
    removed, freed = [], 0
    for container in unused(engine, filters):
        try:
            size = size_of(engine, container)
            if not dry_run:
                container.remove()
        except (Conflict, NotFound, FileNotFoundError):  # somebody was faster
            continue
        removed.append(container.id)
        freed += size
    if not dry_run:
        note_pruned(engine.paths, "container", freed)
    return removed, freed
