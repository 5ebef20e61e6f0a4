"""What the store has on disk, item by item, and which images it is for.

An item is a tree, a recipe or a blob: what several images have is one item. Sizes are those of
files, as Docker counts them; directories and the rest of a file's last block come on top.
"""

from __future__ import annotations

from knarr.store.layers import LayerRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.engine import Engine
    from knarr.oci.digest import Digest
    from knarr.store.layers import LayerRow

    Items = dict[tuple[str, Digest], int]

TREE, RECIPE, BLOB = "tree", "recipe", "blob"


class Stock(Value):
    """All items as of one moment, with their sizes."""

    rows: dict[Digest, LayerRow]
    items: Items

    @property
    def size(self) -> int:
        """The bytes of all items."""
        return sum(self.items.values())

    def of(self, stack: Iterable[Digest], blobs: Iterable[Digest] = ()) -> Items:
        """Return the items of a stack of layers, and of blobs as far as they are here."""
        rows = [self.rows[chain] for chain in stack if chain in self.rows]
        wanted = {
            *((TREE, row.chain_id) for row in rows),
            *((RECIPE, row.diff_id) for row in rows),
            *((BLOB, digest) for digest in blobs),
        }
        return {item: self.items[item] for item in wanted if item in self.items}


def take_stock(engine: Engine) -> Stock:
    """Return what is in the store."""
    rows = {row.chain_id: row for row in LayerRecords(engine.database).all()}
    items: Items = {(TREE, chain): row.size for chain, row in rows.items()}
    items |= {(RECIPE, diff_id): size for diff_id, size in engine.recipes.sizes().items()}
    items |= {(BLOB, digest): size for digest, size in engine.blobs.sizes().items()}
    return Stock(rows, items)
