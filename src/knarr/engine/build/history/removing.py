"""Forgetting builds, and what was kept for them alone."""

from __future__ import annotations

import os

from knarr.engine.build.history.logs import sweep
from knarr.engine.build.history.memory import entered_dir
from knarr.store.buildcache import CacheRecords
from knarr.store.buildhistory import BuildRuns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine


def remove_runs(engine: Engine, ids: Iterable[str]) -> None:
    """Forget builds, with what is kept for them alone."""
    BuildRuns(engine.database).remove(ids)
    sweep_history(engine)


def sweep_history(engine: Engine) -> None:
    """Remove the logs and memories of what is not known any more."""
    runs = BuildRuns(engine.database).all()
    keys = frozenset(row.key for row in CacheRecords(engine.database).all())
    sweep(engine.paths, keys, frozenset(run.id for run in runs))
    directory = entered_dir(engine.paths)
    sources = {run.source for run in runs}
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        if name not in sources:
            os.unlink(f"{directory}/{name}")
