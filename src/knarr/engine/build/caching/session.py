"""The caches of one build: those that it looks into, and those that get what it came to."""

from __future__ import annotations

from knarr.build.graph import Run, in_order
from knarr.build.worker import Hollow
from knarr.engine.build.caching.places import INLINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.build.events import Report
    from knarr.build.graph import Stack, Vertex
    from knarr.build.solver import Solver
    from knarr.build.worker import Cached
    from knarr.engine.build.caching.exporting import Used
    from knarr.engine.build.caching.importing import Imports
    from knarr.engine.build.caching.places import CachePlace, CacheTarget
    from knarr.engine.build.worker import BuildWorker
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform


class Caching:
    """What `--cache-from` and `--cache-to` ask of a build."""

    def __init__(
        self, engine: Engine, sources: Sequence[CachePlace], targets: Sequence[CacheTarget]
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._targets = [target for target in targets if target.place.kind != INLINE]
        self._inline = len(self._targets) < len(targets)
        self._imports: Imports | None = None
        self._used: Used | None = None

    def open(self, worker: BuildWorker, platforms: Sequence[Platform], report: Report) -> None:
        """Ask the caches what they know, and let the worker look there too."""
        if not self._sources:
            return
        from knarr.engine.build.caching.importing import Imports  # noqa: PLC0415 - for few

        if self._imports is None:
            self._imports = worker.imports = Imports(self._engine)
        for place in self._sources:
            self._imports.add(place, platforms, report)

    def note(self, worker: BuildWorker, target: Vertex, stack: Stack) -> str:
        """Take what was used for a result; return what its image is to say, if it is to."""
        if not self._targets and not self._inline:
            return ""
        from knarr.engine.build.caching.exporting import Used, inline  # noqa: PLC0415 - for few

        before = self._used
        used = Used(worker.results, worker.copied, (stack,), _cache_mounts(target))
        self._used = used
        if before is not None:
            mounts = tuple(dict.fromkeys((*before.mounts, *used.mounts)))
            self._used = used.replace(stacks=(*before.stacks, stack), mounts=mounts)
        return inline(self._engine, used, stack, self._imports) if self._inline else ""

    def export(self, report: Report) -> None:
        """Give what was used to the caches. Raises: Corrupt, what registries raise"""
        if self._targets and self._used is not None:
            from knarr.engine.build.caching.exporting import export  # noqa: PLC0415 - for few

            for target in self._targets:
                export(self._engine, self._used, target, self._imports, report)


def solve(solver: Solver, worker: BuildWorker, *targets: Vertex) -> list[Cached]:
    """Return the results of all targets, with their files here."""
    while True:
        results = solver.solve(*targets)
        try:
            for result in results:
                worker.bring(result.stack)
        except Hollow as hollow:
            solver.forget(hollow.stack)
        else:
            return results


def _cache_mounts(target: Vertex) -> tuple[str, ...]:
    """Return the keys of the caches that steps mount."""
    from knarr.engine.build.mounts import cache_key  # noqa: PLC0415 - for who gives a cache away

    runs = [each.operation for each in in_order(target) if isinstance(each.operation, Run)]
    found = [cache_key(mount) for run in runs for mount in run.mounts if mount.kind == "cache"]
    return tuple(dict.fromkeys(found))
