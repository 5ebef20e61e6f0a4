"""Carries a graph out: what is cached is looked up, the rest is done, what is independent at once.

The solver is one loop in one thread. Operations that run commands go on by themselves (the worker
starts processes); the loop waits for whichever has something to say. A vertex begins when all its
inputs have results:

    look its key up ──found──▶ cached
          │
    claim the key ──another process has it──▶ look again a moment later
          │
    look it up once more ──found──▶ cached
          │
    start ──▶ advance … ──▶ record, give the claim up

So the same work asked for twice at once is done once: within a build since vertices are known by
their digest, between builds through the claim. When something fails or the user has had enough,
everything under way is cancelled before the error leaves.

A result may be known without its files (`Hollow`). Who needs them finds out, and the vertex with
this result is done after all.
"""

from __future__ import annotations

import select

from knarr.build.cache import ingredients, key_of
from knarr.build.events import Finished, Noted, Printed, Started, Ticked
from knarr.build.graph import Copy, Image, in_order
from knarr.build.worker import Cached, Hollow
from knarr.errors import CommandFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from knarr.build.events import Report
    from knarr.build.graph import Fetch, Files, Run, Stack, Vertex
    from knarr.build.worker import Job, Worker

PARALLEL = 8
_AGAIN_MS = 50
_TICK_MS = 200
_WHILE_OTHERS_WORK = "waiting for another build that does the same"


class _Running:
    """An operation under way, with what is needed to record it."""

    __slots__ = ("about", "claim", "job", "key", "vertex")

    def __init__(
        self,
        vertex: Vertex,
        key: str,
        about: dict[str, object],
        claim: AbstractContextManager[None],
        job: Job,
    ) -> None:
        self.vertex = vertex
        self.key = key
        self.about = about
        self.claim = claim
        self.job = job


class Solver:
    """Solves graphs with one worker. `failed` is the vertex at which an error arose, if any.

    `failed_word` is the piece of its instruction that the error is about, if that is known. `keys`
    are the cache keys of the vertices it has come to, with what they were made of.
    """

    def __init__(
        self,
        worker: Worker,
        report: Report,
        *,
        parallel: int = PARALLEL,
        examine: Callable[[Job, CommandFailed], None] | None = None,
    ) -> None:
        """Prepare. `examine` may look at the job of a command that failed, the only one left."""
        self._examine = examine
        self.failed: Vertex | None = None
        self.failed_word = ""
        self.results: dict[str, Cached] = {}
        self.keys: dict[str, tuple[str, dict[str, object]]] = {}
        self._worker = worker
        self._report = report
        self._parallel = parallel
        self._running: dict[str, _Running] = {}
        self._started: set[str] = set()
        self._blocked: set[str] = set()
        self._afresh: set[str] = set()

    def solve(self, *targets: Vertex) -> list[Cached]:
        """Return the results of all targets; those of all that these needed are in `results`.

        Raises: what the worker raises
        """
        needed = {each.digest: each for target in targets for each in in_order(target)}
        order = list(needed.values())
        try:
            while self._lacks(targets):
                self._begin_ready(order)
                if self._lacks(targets):
                    self._wait()
        except CommandFailed as error:
            self._look_into(error)
            raise
        finally:
            self._cancel()
        return [self.results[target.digest] for target in targets]

    def _lacks(self, targets: Sequence[Vertex]) -> bool:
        return any(target.digest not in self.results for target in targets)

    def _begin_ready(self, order: list[Vertex]) -> None:
        """Begin what can begin. Inputs come first in `order`, so one pass sees all."""
        for vertex in order:
            ready = all(each.digest in self.results for each in vertex.inputs)
            if not ready or vertex.digest in self.results or vertex.digest in self._running:
                continue
            if len(self._running) < self._parallel:
                try:
                    self._begin(vertex)
                except Hollow as hollow:
                    self.forget(hollow.stack)
                except BaseException as error:
                    self._fail(vertex, error)
                    raise

    def forget(self, stack: Stack) -> None:
        """Forget a result whose files are needed and not to be had, so that it is made anew."""
        for digest, result in list(self.results.items()):
            if result.stack == stack:
                del self.results[digest]
                self._afresh.add(digest)
        # What was made of that result may turn out otherwise.
        for digest in self.keys.keys() - self.results.keys():
            del self.keys[digest]

    def _begin(self, vertex: Vertex) -> None:
        if vertex.digest not in self._started:
            self._started.add(vertex.digest)
            if vertex.name != "scratch":
                inputs = tuple(each.digest for each in vertex.inputs if each.name != "scratch")
                self._report(Started(vertex.digest, vertex.name, inputs))
        if isinstance(vertex.operation, Image):
            self._finish(vertex, Cached(vertex.operation.stack, 0), cached=True)
            return
        key, about = self._key(vertex, vertex.operation)
        if self._look_up(vertex, key):
            return
        claim = self._worker.claim("" if vertex.no_cache else key, vertex.operation)
        if claim is None:
            if vertex.digest not in self._blocked:
                self._blocked.add(vertex.digest)
                self._report(Noted(vertex.digest, _WHILE_OTHERS_WORK))
            return
        self._blocked.discard(vertex.digest)
        claim.__enter__()
        try:
            if self._look_up(vertex, key):
                claim.__exit__(None, None, None)
                return
            job = self._start(vertex, vertex.operation)
        except BaseException:
            claim.__exit__(None, None, None)
            raise
        running = _Running(vertex, key, about, claim, job)
        self._running[vertex.digest] = running
        if not job.descriptors():
            self._advance(running)

    def _key(self, vertex: Vertex, operation: Run | Files | Fetch) -> tuple[str, dict[str, object]]:
        if vertex.digest not in self.keys:
            about = ingredients(operation, self._inputs(vertex), self._fingerprint)
            self.keys[vertex.digest] = (key_of(about), about)
        return self.keys[vertex.digest]

    def _fingerprint(self, taken: Copy | Fetch, source: Stack | None) -> str:
        self.failed_word = taken.source if isinstance(taken, Copy) else taken.url
        found = self._worker.fingerprint(taken, source)
        self.failed_word = ""
        return found

    def _look_up(self, vertex: Vertex, key: str) -> bool:
        afresh = vertex.no_cache or vertex.digest in self._afresh
        found = None if afresh else self._worker.find(key)
        if found is not None:
            self._blocked.discard(vertex.digest)
            self._finish(vertex, found, cached=True)
        return found is not None

    def _start(self, vertex: Vertex, operation: Run | Files | Fetch) -> Job:
        def emit(stream: int, data: bytes) -> None:
            self._report(Printed(vertex.digest, stream, data))

        return self._worker.start(operation, self._inputs(vertex), emit)

    def _inputs(self, vertex: Vertex) -> list[Stack]:
        return [self.results[each.digest].stack for each in vertex.inputs]

    def _wait(self) -> None:
        """Wait until an operation has something to say, or it is time to look again."""
        poll = select.poll()
        owners: dict[int, _Running] = {}
        for running in self._running.values():
            for descriptor in running.job.descriptors():
                owners[descriptor] = running
                poll.register(descriptor, select.POLLIN)
        ready = poll.poll(_AGAIN_MS if self._blocked else _TICK_MS)
        self._report(Ticked())
        for running in {id(owners[found]): owners[found] for found, _ in ready}.values():
            self._advance(running)

    def _advance(self, running: _Running) -> None:
        vertex = running.vertex
        try:
            result = running.job.advance()
            if result is not None:
                found = self._worker.record(running.key, result, running.about)
                del self._running[vertex.digest]
                running.claim.__exit__(None, None, None)
                self._finish(vertex, found, cached=False, key=running.key)
        except BaseException as error:
            self._fail(vertex, error)
            raise

    def _finish(self, vertex: Vertex, result: Cached, *, cached: bool, key: str = "") -> None:
        self.results[vertex.digest] = result
        if vertex.name != "scratch":
            self._report(Finished(vertex.digest, cached=cached, key=key))

    def _fail(self, vertex: Vertex, error: BaseException) -> None:
        if self.failed is None:
            self.failed = vertex
            self._report(Finished(vertex.digest, error=str(error) or "cancelled"))

    def _look_into(self, error: CommandFailed) -> None:
        """Let who wants to look at what failed; the other jobs do not go on meanwhile."""
        running = self._running.get(self.failed.digest) if self.failed else None
        if self._examine is None or running is None:
            return
        del self._running[running.vertex.digest]
        self._cancel()
        self._running[running.vertex.digest] = running
        self._examine(running.job, error)

    def _cancel(self) -> None:
        """Stop everything that is still under way."""
        while self._running:
            digest, running = self._running.popitem()
            running.job.cancel()
            running.claim.__exit__(None, None, None)
            if self.failed is None or digest != self.failed.digest:
                self._report(Finished(digest, error="cancelled"))
