"""The local store as a place that indexes are had from: with all images that came by one.

An index is given as it came if everything that it lists is here, under the manifests that it names.
What is not here, attestations among it, is left out, and so is the index's digest: `left_out` says
what it was.
"""

from __future__ import annotations

from knarr.engine.image.places.place import MAX_NESTING
from knarr.engine.image.places.storesource import StoreSource
from knarr.engine.image.platforms import outermost, siblings
from knarr.errors import Corrupt, NotFound
from knarr.oci import descriptor as d
from knarr.oci.manifest import Index, decode_manifest, encode_index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow


class Family:
    """An image and those that came by the same index: `members` by the digests that it lists."""

    def __init__(self, engine: Engine, row: ImageRow) -> None:
        self._engine = engine
        self._index = outermost(engine, row)
        rows = (row, *siblings(engine, row))
        self.members = {one.manifest: one for one in rows if one.manifest is not None}
        self.left_out: list[str] = []

    @property
    def alone(self) -> bool:
        """Tell whether the image came without an index."""
        return self._index is None

    @property
    def missing(self) -> list[Descriptor]:
        """What the index, and indexes in it, list that is not here."""
        listed = self._listed(self._index, MAX_NESTING) if self._index else []
        return [entry for entry in listed if entry.digest not in self.members]

    def _listed(self, digest: Digest, depth: int) -> list[Descriptor]:
        found: list[Descriptor] = []
        for entry in self._read(digest, depth).manifests:
            if self._nested(entry):
                found += self._listed(entry.digest, depth - 1)
            else:
                found.append(entry)
        return found

    def _read(self, digest: Digest, depth: int) -> Index:
        index = decode_manifest(self._engine.blobs.read(digest))
        if not depth or not isinstance(index, Index):
            message = f"{digest} is no index, or one nested more than {MAX_NESTING} deep"
            raise Corrupt(message)
        return index

    def _nested(self, entry: Descriptor) -> bool:
        return entry.media_type in d.INDEXES and self._engine.blobs.has(entry.digest)

    def relist(self, given: Mapping[Digest, Descriptor]) -> list[Index]:
        """Return the index, after the indexes in it, when members are given as `given` says.

        Raises: NotFound, Corrupt
        """
        if self._index is None:
            message = "the image came without an index"
            raise NotFound(message)
        found: list[Index] = []
        self._relist(self._index, given, found, MAX_NESTING)
        return found

    def _relist(
        self, digest: Digest, given: Mapping[Digest, Descriptor], found: list[Index], depth: int
    ) -> Index | None:
        index = self._read(digest, depth)
        entries = []
        for entry in index.manifests:
            listed = given.get(entry.digest)
            if self._nested(entry):
                below = self._relist(entry.digest, given, found, depth - 1)
                listed = below.descriptor if below else None
            if listed is not None:
                entries.append(
                    entry.replace(
                        media_type=listed.media_type, digest=listed.digest, size=listed.size
                    )
                )
            elif entry.platform and entry.platform.os != "unknown":
                self.left_out.append(str(entry.platform))
            else:
                self.left_out.append(f"{entry.digest.short} ({entry.artifact_type or 'no image'})")
        if not entries:
            return None
        if tuple(entries) != index.manifests:
            kind, notes = index.media_type, index.annotations
            index = encode_index(entries, media_type=kind, annotations=notes)
        found.append(index)
        return index


class FamilySource(StoreSource):
    """The images of an engine with their indexes; a name is whatever names an image there."""

    def __init__(self, engine: Engine, platforms: Sequence[Platform] = ()) -> None:
        """With `platforms` an index is given with the images for these alone."""
        super().__init__(engine)
        self._platforms = platforms
        self.left_out: list[str] = []

    def resolve(self, name: str) -> Descriptor:
        """Return the index by which an image came, its manifest if there is none.

        Raises: InvalidArgument, NotFound, Corrupt
        """
        row = self._engine.images.get(name)
        family = Family(self._engine, row)
        if family.alone:
            return super().resolve(name)
        given = {
            digest: super(FamilySource, self).resolve(member.id)
            for digest, member in family.members.items()
            if not self._platforms or any(map(member.platform.matches, self._platforms))
        }
        found = family.relist(given)
        self._documents |= {index.digest: index.raw for index in found}
        if not self._platforms:
            self.left_out += family.left_out
        return found[-1].descriptor

    def needs(self, name: str) -> list[str]:
        """Return the digests of all that reading the images may take."""
        row = self._engine.images.get(name)
        rows = (row, *siblings(self._engine, row))
        return [digest for one in rows for digest in super(FamilySource, self).needs(one.id)]


def explain(name: str, left_out: list[str]) -> str:
    """Return in words what is missing of an index."""
    return (
        f"left out of the index of {name}, since it is not here: {', '.join(left_out)}\n"
        f"'knarr pull --all-platforms {name}' gets images of all platforms"
    )
