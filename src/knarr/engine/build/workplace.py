"""Directories for what is under way: they have a journal entry as long as they are there.

    <root>/builds/<id>/

So whoever comes after a process that died finds the entry, and removes the directory.
"""

from __future__ import annotations

import os

from knarr.linux.tree import remove_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from knarr.engine.engine import Engine
    from knarr.engine.paths import Paths


def builds_dir(paths: Paths) -> str:
    """Return where builds have what is theirs."""
    return f"{paths.root}/builds"


class Workplace:
    """A new directory, for a `with` statement; `id` is the key of its journal entry."""

    def __init__(self, engine: Engine, kind: str, *, needs: tuple[str, ...] = ()) -> None:
        """Prepare; the entry is of the kind `kind`, and spares what it `needs` from collection."""
        self.id = os.urandom(16).hex()
        self.directory = f"{builds_dir(engine.paths)}/{self.id}"
        self._operation = engine.journal.begin(kind, self.id, needs=needs)

    def __enter__(self) -> Self:
        """Make the directory."""
        self._operation.__enter__()
        try:
            os.makedirs(os.path.dirname(self.directory), 0o700, exist_ok=True)
            os.mkdir(self.directory, 0o700)
        except OSError as error:
            self._operation.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove it with everything in it, and then its entry."""
        remove_path(self.directory)
        self._operation.__exit__(kind, error, trace)
