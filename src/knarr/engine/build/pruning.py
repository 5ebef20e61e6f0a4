"""Forgetting what the build cache holds.

A cached result keeps its layer and the log of its making; a cache that steps mount is a directory.
What an image has too costs nothing to keep, so it goes only with `every`; a build that is under way
keeps what it uses by itself (see `knarr.engine.space.collect`).
"""

from __future__ import annotations

import os

from knarr.engine.build import cachemounts
from knarr.engine.build.history.removing import sweep_history
from knarr.engine.build.usage import choose, everything
from knarr.engine.noting import note_pruned
from knarr.engine.space.collect import collect, forget_layers
from knarr.store.buildcache import CacheRecords
from knarr.store.garbage import leases
from knarr.store.images import ImageRecords
from knarr.store.layers import LayerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.engine import Engine
    from knarr.oci.digest import Digest
    from knarr.store.buildcache import CacheRow


def prune(
    engine: Engine,
    filters: Iterable[str] = (),
    *,
    every: bool = False,
    keep: int = 0,
    dry_run: bool = False,
) -> tuple[list[str], int]:
    """Forget cached results, the longest unused first; return their keys and the bytes freed.

    Those that an image has too stay unless `every`; of the rest `keep` bytes may stay. With
    `dry_run` only say which they are.

    Raises: InvalidArgument
    """
    wanted = choose(filters)
    sizes = {row.chain_id: row.size for row in LayerRecords(engine.database).all()}
    doomed = _doomed(engine, wanted, sizes, every=every, keep=keep)
    directories = [row for row in doomed if cachemounts.is_cache_mount(row)]
    keys = [row.key for row in doomed if not cachemounts.is_cache_mount(row)]
    if dry_run:
        with engine.database.rehearsal():
            CacheRecords(engine.database).remove(keys)
            gone, _ = forget_layers(engine, leases(engine.journal.living()))
    else:
        with engine.journal.begin("collect", "build cache"), engine.database.transaction():
            CacheRecords(engine.database).remove(keys)
        gone = collect(engine)
        cachemounts.sweep(engine)
    emptied = cachemounts.remove(engine, directories, dry_run=dry_run)
    keys += [row.key for row in emptied]
    freed = sum(sizes.get(chain, 0) for chain in gone) + sum(row.size for row in emptied)
    if not dry_run:
        sweep_history(engine)
        note_pruned(engine.paths, "builder", freed)
    return keys, freed


def allowance(engine: Engine, *, most: int = 0, reserved: int = 0, free: int = 0) -> int:
    """Return how many bytes of cache may stay, 0 for none, where limits of 0 are none.

    `most` is what the cache may take, `free` what is to be free on the disk afterwards, `reserved`
    what the cache may take in any case.

    Docker: `--max-used-space`, `--min-free-space`, `--reserved-space` of buildx
    """
    if not (most or reserved or free):
        return 0
    cached = CacheRecords(engine.database).used_chains()
    freeable = cached - ImageRecords(engine.database).used_chains()
    layers = LayerRecords(engine.database).all()
    used = sum(row.size for row in layers if row.chain_id in freeable)
    used += sum(row.size for row in cachemounts.cache_mounts(engine))
    disk = os.statvfs(engine.paths.root)
    excess = free - disk.f_bavail * disk.f_frsize
    keep = most or (used if free else 0)
    if excess > 0:
        keep = min(keep, used - excess)
    return max(keep, reserved, 1)


def _doomed(
    engine: Engine,
    wanted: Callable[[CacheRow], bool],
    sizes: dict[Digest, int],
    *,
    every: bool,
    keep: int,
) -> list[CacheRow]:
    """Return the records that have to go."""
    shared = ImageRecords(engine.database).used_chains()
    found = [
        row
        for row in everything(engine)
        if (every or row.chain is None or row.chain not in shared) and wanted(row)
    ]
    return _over(found, sizes, keep)


def _over(rows: list[CacheRow], sizes: dict[Digest, int], keep: int) -> list[CacheRow]:
    """Return the rows that have to go so that the rest takes `keep` bytes at most."""
    if not keep:
        return rows
    kept: set[Digest] = set()
    total, doomed = 0, []
    for row in reversed(rows):  # the latest used first
        size = 0 if row.chain is None or row.chain in kept else sizes.get(row.chain, row.size)
        if total + size > keep:
            doomed.append(row)
            continue
        total += size
        if row.chain is not None:
            kept.add(row.chain)
    return doomed
