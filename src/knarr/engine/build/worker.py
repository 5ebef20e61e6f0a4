"""What carries builds out: the `Worker` of `knarr.build` over the engine's mechanisms."""

from __future__ import annotations

import os
import time

from knarr.build.graph import Copy, Fetch, Run
from knarr.build.selection import Tree, fingerprint
from knarr.build.worker import Base, Cached
from knarr.engine.build.bases import Bases
from knarr.engine.build.claims import Claim
from knarr.engine.build.layouts import LAYOUT
from knarr.engine.build.workplace import builds_dir
from knarr.oci.digest import digest_of
from knarr.oci.reference import parse_reference
from knarr.snapshot.contents import Contents
from knarr.snapshot.treehash import StatCache
from knarr.store.buildcache import CacheRecords, CacheRow
from knarr.store.layers import LayerRecords, LayerRow
from knarr.util import jsontext
from knarr.util.files import read_file, write_atomically
from knarr.util.times import SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from knarr.build.graph import Files, Stack
    from knarr.build.ignore import Matcher
    from knarr.build.worker import Job
    from knarr.engine.build.agents import Agent
    from knarr.engine.build.caching.importing import Imports
    from knarr.engine.build.fetches import Fetches
    from knarr.engine.build.mounts import Caches
    from knarr.engine.build.steps import Steps
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.snapshot.snapshotter import Applied
    from knarr.snapshot.treehash import Keep

_STALE_NS = 60 * 1_000_000_000  # how long a record's time of last use may be behind


class BuildWorker:
    """Carries one build out. `close` it when the build has ended, however."""

    def __init__(
        self,
        engine: Engine,
        steps: Steps,
        context_dir: str,
        hidden: Matcher | None,
        secrets: Mapping[str, bytes],
        bases: Bases | None = None,
        keep: Keep | None = None,
    ) -> None:
        """Work on a context, which is empty if it has no directory, with secrets by their IDs.

        `keep` gets the listings of trees that are copied from, as of `tree_digest`. A `forgetful`
        one leaves nothing in the cache.
        """
        self.forgetful = False
        self._keep = keep
        self._bases = bases or Bases(engine)
        self._secrets = secrets
        self._caches: dict[Run, Caches] = {}
        self._engine = engine
        self._steps = steps
        self._records = CacheRecords(engine.database)
        self._layers = LayerRecords(engine.database)
        self._stacks: dict[str, Stack] = {}
        self._applied: dict[str, Applied] = {}
        self._contents = Contents()
        self._mounts: dict[str, int] = {}
        self._taken: dict[Copy, str] = {}
        self._doubtful: set[str] = set()
        self._used: list[str] = []
        self._known_fetches: Fetches | None = None
        self._stale: list[str] = []
        self.imports: Imports | None = None
        self.agents: Mapping[str, Agent] = {}
        self.results: dict[str, Cached] = {}
        self.copied: dict[str, str] = {}
        self._foreign: dict[str, tuple[Cached, str]] = {}
        os.makedirs(f"{steps.directory}/empty", 0o700, exist_ok=True)
        place = context_dir or f"{steps.directory}/empty"
        descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._context = Tree(descriptor, hidden)
        self._cache = _ContextCache(engine, os.path.realpath(place) if context_dir else "")

    @property
    def hidden(self) -> Matcher | None:
        """What is left out of the context."""
        return self._context.hidden

    @property
    def _fetches(self) -> Fetches:
        """What comes from elsewhere."""
        if self._known_fetches is None:
            from knarr.engine.build.fetches import Fetches  # noqa: PLC0415 - few builds fetch
            from knarr.engine.build.run import Means  # noqa: PLC0415 - as above

            means = Means(self._engine, self._steps, self._secrets, self._made)
            self._known_fetches = Fetches(means)
        return self._known_fetches

    # what the solver asks for

    def resolve(self, reference: str, platform: Platform) -> Base:
        # An image that was made here may be for another platform; the caller compares.
        images = self._engine.images
        row = self._bases.get(reference, platform)
        stack = images.stack(row.id)
        if stack:
            self._stacks[stack[-1]] = stack
        plain = reference.startswith(("sha256:", LAYOUT))
        name = reference if plain else _full_name(reference)
        return Base(name, images.config(row.id), stack)

    def fingerprint(self, taken: Copy | Fetch, source: Stack | None) -> str:
        if isinstance(taken, Fetch):
            return self._fetches.state(taken)
        copy = taken
        if source is None:
            self._taken[copy] = fingerprint(
                self._context, copy, self._cache.cache, self._keep, self._contents
            )
            return self._taken[copy]
        # A stack never changes: what is in it needs to be looked at once.
        key = _fingerprint_key(copy, source)
        found = self._records.find(key)
        if found is not None:
            self._used.append(key)
            known: str = jsontext.loads(found.detail)["fingerprint"]
            self.copied[key] = known
            return known
        told = self.imports.copied(key) if self.imports else None
        if told is not None:
            self.copied[key] = told
            return told
        result = fingerprint(self._tree(source), copy, StatCache(), self._keep)
        now = time.time_ns()
        detail = jsontext.dumps({"fingerprint": result})
        self._records.add(CacheRow(key, None, 0, now, now, detail=detail))
        self.copied[key] = result
        return result

    def find(self, key: str) -> Cached | None:
        found = self._find_here(key) or self._find_elsewhere(key)
        if found is not None:
            self.results[key] = found
        return found

    def _find_here(self, key: str) -> Cached | None:
        row = self._records.find(key)
        if row is None:
            return None
        if row.chain is None or not self._engine.layers.has(row.chain):
            # A power cut took the tree: a cache may forget.
            self._records.remove([key])
            return None
        if time.time_ns() - row.used_ns > _STALE_NS:
            self._stale.append(key)
        return Cached(self._stack(row.chain), row.created_ns)

    def _find_elsewhere(self, key: str) -> Cached | None:
        found = self.imports.find(key) if self.imports else None
        if found is None:
            return None
        self._foreign[key] = found
        self._stacks[found[0].stack[-1]] = found[0].stack
        return found[0]

    def bring(self, stack: Stack) -> None:
        """See to it that the layers of a result are here. Raises: Hollow, Corrupt, Unavailable"""
        if self.imports is not None:
            self.imports.bring(stack)

    def record(self, key: str, result: Stack, about: dict[str, object]) -> Cached:
        applied = self._applied[result[-1]]
        parent = result[-2] if len(result) > 1 else None
        now = time.time_ns()
        self._stacks[result[-1]] = result
        layer = LayerRow(
            applied.chain_id, applied.diff_id, parent, applied.size, applied.tar_size, now
        )
        detail = jsontext.dumps({"about": about})
        row = CacheRow(key, applied.chain_id, applied.size, now, now, detail=detail)
        with self._engine.database.transaction():
            self._layers.add(layer)
            if applied.chain_id not in self._doubtful and not self.forgetful:
                self._records.remove([key])
                self._records.add(row)
                self.results[key] = Cached(result, now)
        return Cached(result, now)

    def claim(
        self, key: str, operation: Run | Files | Fetch
    ) -> AbstractContextManager[None] | None:
        claim = Claim(f"{self._engine.paths.run}/builds", key)
        if not claim.acquire():
            return None
        if isinstance(operation, Run) and operation.mounts:
            from knarr.engine.build.mounts import Caches  # noqa: PLC0415 - few steps have any

            caches = Caches(self._engine, operation)
            if not caches.acquire():
                claim.__exit__(None, None, None)
                return None
            claim.caches = self._caches[operation] = caches
        return claim

    def start(
        self,
        operation: Run | Files | Fetch,
        inputs: Sequence[Stack],
        emit: Callable[[int, bytes], None],
    ) -> Job:
        if isinstance(operation, Fetch):
            return self._fetches.start(operation, emit)
        for stack in inputs:
            self.bring(stack)
        if isinstance(operation, Run):
            from knarr.engine.build.run import Means, RunJob  # noqa: PLC0415 - not for cached ones

            means = Means(
                self._engine, self._steps, self._secrets, self._made, self.imports, self.agents
            )
            caches = self._caches.pop(operation, None)
            return RunJob(means, operation, inputs, emit, caches=caches)
        return _Done(self._change(operation, inputs))

    # carrying out

    def _change(self, files: Files, inputs: Sequence[Stack]) -> Stack:
        """Change files of the first input; the result is that input with a layer more."""
        result = self._change_once(files, inputs)
        for action in files.actions:
            if not isinstance(action, Copy) or action not in self._taken:
                continue
            if self._taken[action] != self.fingerprint(action, None):
                # Somebody writes to the context. The layer is as good as any, but not what its
                # key says: nobody else may find it under that.
                self._doubtful.add(result[-1])
        return result

    def _change_once(self, files: Files, inputs: Sequence[Stack]) -> Stack:
        from knarr.engine.build.files import carry_out, only_copies  # noqa: PLC0415 - not for what is cached

        layers, stack = self._engine.layers, inputs[0]
        contents = self._contents if only_copies(files) else None
        step_id = os.urandom(32).hex()
        directory = self._steps.begin(step_id)
        try:
            layers.prepare(directory, stack)
            root_fd = layers.mount(stack, active=directory, volatile=True)
            try:
                trees = [self._tree(each) for each in inputs[1:]]
                carry_out(files, root_fd, [self._context, *trees], self._context, contents)
            finally:
                os.close(root_fd)
            latest_ns = None if files.epoch is None else files.epoch * SECOND_NS
            applied = layers.adopt(
                f"{directory}/upper", parents=stack, latest_ns=latest_ns, contents=contents
            )
        finally:
            self._contents.close()
            self._steps.end(step_id)
        self._made(applied)
        return (*stack, applied.chain_id)

    def _made(self, applied: Applied) -> None:
        """Keep in mind a layer that is about to be recorded."""
        self._applied[applied.chain_id] = applied

    def _tree(self, stack: Stack) -> Tree:
        """Return a stack to read from."""
        key = stack[-1] if stack else ""
        if key not in self._mounts:
            self.bring(stack)
            self._mounts[key] = self._engine.layers.mount(stack, readonly=True)
        return Tree(self._mounts[key], owned=True)

    def _stack(self, chain: Digest) -> Stack:
        if chain not in self._stacks:
            parent = self._layers.get(chain).parent
            below = self._stack(parent) if parent else ()
            self._stacks[chain] = (*below, chain)
        return self._stacks[chain]

    def close(self) -> None:
        """Let go of everything, and remember what was learned."""
        for descriptor in (self._context.descriptor, *self._mounts.values()):
            os.close(descriptor)
        self._mounts.clear()
        self._cache.save()
        self._record_foreign()
        if self._stale or self._used:
            self._records.touch([*self._stale, *self._used], time.time_ns())

    def _record_foreign(self) -> None:
        """Record the results of other caches whose layers have come."""
        now = time.time_ns()
        for key, (result, place) in self._foreign.items():
            chain = result.stack[-1]
            row = self._layers.find(chain)
            if row is not None and self._engine.layers.has(chain):
                detail = jsontext.dumps({"about": {"kind": "imported", "from": place}})
                created_ns = result.created_ns
                self._records.add(CacheRow(key, chain, row.size, created_ns, now, detail=detail))


class _Done:
    """A job that is finished when it begins."""

    def __init__(self, result: Stack) -> None:
        self._result = result

    def descriptors(self) -> Sequence[int]:
        return ()

    def advance(self) -> Stack | None:
        return self._result

    def cancel(self) -> None:
        """Do nothing: there is nothing under way."""


class _ContextCache:
    """What is remembered of the files of one context between builds."""

    def __init__(self, engine: Engine, context_dir: str) -> None:
        name = digest_of(os.fsencode(context_dir)).hex[:32]
        self._path = f"{builds_dir(engine.paths)}/contexts/{name}" if context_dir else ""
        self._known = b""
        self.cache = StatCache()
        if self._path:
            try:
                self._known = read_file(self._path)
            except FileNotFoundError:
                return
            self.cache.load(self._known)

    def save(self) -> None:
        data = self.cache.dump()
        if self._path and data and data != self._known:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            write_atomically(self._path, data, durable=False)


def _fingerprint_key(copy: Copy, source: Stack) -> str:
    from knarr.build.cache import key_of  # noqa: PLC0415 - loaded already

    about: dict[str, object] = {
        "kind": "fingerprint",
        "chain": str(source[-1]) if source else "",
        "source": copy.source,
        "exclude": list(copy.exclude),
        "parents": copy.parents,
        "owners": not copy.chown,
    }
    return key_of(about)


def _full_name(reference: str) -> str:
    """Return the whole reference, if the text is one and not the start of an ID."""
    return str(parse_reference(reference).with_default_tag())
