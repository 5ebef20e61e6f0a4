"""What nobody needs: decided here from facts alone, carried out by who holds the gate.

Needed is what an image, a container or a cached build stands on, everything below that, and what
an operation under way has a lease on. See `knarr.store.journal` for leases and the gate.
"""

from __future__ import annotations

from knarr.store.journal import EVERYTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.oci.digest import Digest
    from knarr.store.journal import Entry
    from knarr.store.layers import LayerRow


def leases(entries: Iterable[Entry]) -> frozenset[str] | None:
    """Return the digests that operations under way need, or None if they may need anything."""
    needs = {need for entry in entries for need in entry.needs}
    return None if EVERYTHING in needs else frozenset(needs)


def unneeded_layers(
    layers: Iterable[LayerRow], used: Iterable[str], leased: frozenset[str] | None
) -> list[Digest]:
    """Return the layers that nobody needs, each before the one below it.

    `used` are chain IDs of layers that something stands on; those below them are needed too.
    """
    if leased is None:
        return []
    rows = {str(row.chain_id): row for row in layers}
    needed: set[str] = set()
    for chain in (*used, *leased):
        while chain in rows and chain not in needed:
            needed.add(chain)
            chain = rows[chain].parent or ""
    return _top_first([row for chain, row in rows.items() if chain not in needed])


def _top_first(rows: list[LayerRow]) -> list[Digest]:
    waiting = {str(row.chain_id): row for row in rows}
    ordered: list[Digest] = []
    while waiting:
        below = {str(row.parent) for row in waiting.values()}
        tops = sorted(chain for chain in waiting if chain not in below)
        ordered += [waiting.pop(chain).chain_id for chain in tops]
    return ordered


def unneeded_blobs(
    present: Iterable[Digest], used: Iterable[str], leased: frozenset[str] | None
) -> list[Digest]:
    """Return the blobs that nobody needs."""
    if leased is None:
        return []
    needed = {*used, *leased}
    return [digest for digest in present if digest not in needed]
