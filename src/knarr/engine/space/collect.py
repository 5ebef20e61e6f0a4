"""Collecting garbage: what no image, container, cached build or running operation needs.

The gate is held while records and names go (see `knarr.store.journal`); trees that have lost their
name are deleted afterwards, which may take its time. A crash in between leaves files without a
record: `collect_all` finds them, and recovery calls it.
"""

from __future__ import annotations

from knarr.errors import Corrupt
from knarr.oci.digest import Digest
from knarr.store.buildcache import CacheRecords
from knarr.store.containers import ContainerRecords
from knarr.store.garbage import leases, unneeded_blobs, unneeded_layers
from knarr.store.images import ImageRecords
from knarr.store.layers import LayerRecords
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine


def collect(engine: Engine, *, blobs: Iterable[Digest] = ()) -> list[Digest]:
    """Remove unneeded layers, and those of `blobs` that are unneeded; return the chain IDs."""
    with engine.journal.gate():
        leased = leases(engine.journal.living())
        layers, freed = forget_layers(engine, leased)
        trace("collect:forgotten")
        used = ImageRecords(engine.database).used_blobs()
        used |= LayerRecords(engine.database).needed_blobs()
        for digest in unneeded_blobs((*blobs, *freed), used, leased):
            engine.blobs.delete(digest)
        detached = [engine.layers.detach(chain_id) for chain_id in layers]
        if layers:
            _remove_recipes(engine, leased)
    _discard(engine, detached)
    return layers


def forget_layers(
    engine: Engine, leased: frozenset[str] | None
) -> tuple[list[Digest], list[Digest]]:
    """Remove the records of unneeded layers; return their chain IDs, and blobs they needed."""
    database = engine.database
    records = LayerRecords(database)
    with database.transaction():
        needed = records.needed_blobs()
        used = (
            ImageRecords(database).used_chains()
            | ContainerRecords(database).used_chains()
            | CacheRecords(database).used_chains()
        )
        layers = unneeded_layers(records.all(), used, leased)
        records.remove(layers)
        freed = [Digest(digest) for digest in needed - records.needed_blobs()]
    return layers, freed


def _remove_recipes(engine: Engine, leased: frozenset[str] | None) -> None:
    used = {str(row.diff_id) for row in LayerRecords(engine.database).all()}
    for diff_id in unneeded_blobs(engine.recipes.all(), used, leased):
        engine.recipes.delete(diff_id)


def _discard(engine: Engine, detached: Iterable[str]) -> None:
    for tree in detached:
        engine.layers.discard(tree)


def collect_all(engine: Engine) -> list[str]:
    """Remove everything unneeded, also what a crash left without a record; say what it was."""
    found = []
    swept = engine.blobs.sweep() + len(engine.layers.sweep())
    if swept:
        found.append(f"removed {swept} unfinished layers and blobs")
    lost = _forget_lost_results(engine)
    if lost:
        found.append(f"forgot {lost} results of builds whose layers a power cut took")
    collect(engine, blobs=engine.blobs.list())
    engine.downloads.drop(LayerRecords(engine.database).known_blobs())
    with engine.journal.gate():
        leased = leases(engine.journal.living())
        orphans = _orphans(engine, leased)
        detached = [engine.layers.detach(chain_id) for chain_id in orphans]
        _remove_recipes(engine, leased)
    _discard(engine, detached)
    engine.images.publish()
    if orphans:
        found.append(f"removed {len(orphans)} layers that nothing refers to")
    return found


def _forget_lost_results(engine: Engine) -> int:
    """Forget results of builds without a tree, and return how many those were.

    They are recorded without a sync of their trees: what a power cut takes is built again.
    """
    layers = LayerRecords(engine.database)
    lost = {row.chain_id for row in layers.all() if not engine.layers.has(row.chain_id)}
    if not lost:
        return 0
    records = CacheRecords(engine.database)
    doomed = [row.key for row in records.all() if lost.intersection(layers.stack(row.chain))]
    records.remove(doomed)
    return len(doomed)


def _orphans(engine: Engine, leased: frozenset[str] | None) -> list[Digest]:
    """Return the trees that have no record and that no operation is about to record."""
    if leased is None:
        return []
    known = {row.chain_id for row in LayerRecords(engine.database).all()}
    found = []
    for name in engine.layers.list():
        try:
            chain_id = Digest(f"sha256:{name}")
        except Corrupt:
            continue  # not a tree of ours
        if chain_id not in known and chain_id not in leased:
            found.append(chain_id)
    return found
