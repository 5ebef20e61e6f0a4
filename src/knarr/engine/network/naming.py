"""By which names the members of a network find a container."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.options.values import Options
    from knarr.store.containers import ContainerRow

SHORT_ID = 12


def names_in(row: ContainerRow, options: Options, aliases: Iterable[str]) -> tuple[str, ...]:
    """Return the names of a container in a network where it has `aliases`, each once.

    Docker: its name, the aliases, the short form of its ID, and the hostname it was given
    """
    names = (row.name, *aliases, row.id[:SHORT_ID], options.hostname)
    return tuple(dict.fromkeys(name for name in names if name))
