"""Holding containers still while their files are copied: then every file is as at one moment.

A process that is killed meanwhile leaves a journal entry that names whom it held; `thaw` is what
recovery does about it.
"""

from __future__ import annotations

from knarr.engine.container import stopping, tasks
from knarr.errors import Conflict
from knarr.store.containers import ContainerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine


class Frozen:
    """Holds the processes of containers still that run and nobody has paused already."""

    def __init__(self, containers: Iterable[Container], note: Callable[[str], object]) -> None:
        """Prepare; `note` writes into the journal entry of the operation."""
        self._containers = containers
        self._note = note
        self._frozen: list[Container] = []

    def __enter__(self) -> None:
        """Pause them."""
        running = [one for one in self._containers if one.status == tasks.RUNNING]
        if running:
            # Noted first: who is killed between the two leaves containers that recovery thaws.
            self._note(" ".join(one.id for one in running))
        for container in running:
            try:
                container.pause()
            except Conflict:  # it ended, or was paused, at this moment
                continue
            self._frozen.append(container)

    def __exit__(self, *_: object) -> None:
        """Let them go on."""
        for container in self._frozen:
            try:
                container.unpause()
            except Conflict:  # somebody else was faster, or killed it
                pass
        if self._frozen:
            self._note("")


def thaw(engine: Engine, container_ids: Iterable[str], by: str) -> str:
    """Let containers go on that an operation which was cut short had paused; say which.

    `by` is the operation in words.
    """
    thawed = []
    for container_id in container_ids:
        row = ContainerRecords(engine.database).find(container_id)
        if row is None or tasks.read_state(engine.paths, row.id).status != tasks.PAUSED:
            continue
        stopping.resume(engine, row)
        thawed.append(row.name)
    if not thawed:
        return ""
    return f"let container {', '.join(thawed)} go on, which an interrupted {by} had paused"
