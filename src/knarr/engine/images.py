"""Images: found by name, ID or digest, tagged, listed, removed.

What moves images in and out (`load`, `save`, `import`) is in modules of its own, loaded when
asked for. What removing frees is decided in `knarr.store.garbage` and carried out by `collect`.
"""

from __future__ import annotations

import time

from knarr.errors import InvalidArgument, NotFound
from knarr.oci.reference import Reference, looks_like_id, parse_reference
from knarr.store.images import ImageRecords, ImageRow
from knarr.store.layers import LayerRecords
from knarr.store.tags import TagRecords
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from knarr.engine.engine import Engine
    from knarr.engine.image.filters import ImageFilters
    from knarr.engine.image.forms import Form
    from knarr.engine.image.importing import ImportOptions
    from knarr.engine.image.places.storetarget import Arrival
    from knarr.engine.image.progress import Report
    from knarr.engine.image.pruning import Pruned
    from knarr.engine.image.pulling import Pulled
    from knarr.engine.image.pushing import Pushed
    from knarr.engine.image.removal import Removed
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.util.compression import Reader, Writer

    Arrivals = list[Arrival]
    RemovedThings = list[Removed]


class Image(Value):
    """An image with the references that name it: with a tag, and by the digest of its manifest.

    `related` says that another one has a tag that came by the same index, for another platform.
    """

    row: ImageRow
    tags: tuple[Reference, ...] = ()
    digests: tuple[Reference, ...] = ()
    related: bool = False

    @property
    def dangling(self) -> bool:
        """Tell whether no tag leads to the image, as to one that was replaced by its successor."""
        return not self.tags and not self.related


class HistoryLine(Value):
    """An instruction of an image's making, as `history` shows it; an ID is known for few."""

    id: Digest | None
    created_ns: int
    created_by: str
    size: int
    comment: str
    tags: tuple[Reference, ...] = ()


class Images:
    """The images of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.records = ImageRecords(engine.database)
        self.tags = TagRecords(engine.database)
        self.layers = LayerRecords(engine.database)

    def find(self, text: str) -> ImageRow | None:
        """Return the image that `text` means, or None.

        Docker: a name comes before the start of an ID; a name without a tag means `latest`

        Raises: InvalidArgument
        """
        if looks_like_id(text):
            return self._by_id(text)
        if text.startswith("sha256:") and (row := self._by_id(text)):
            return row
        row = self._by_reference(parse_reference(text).with_default_tag())
        return row or self._by_id(text)

    def get(self, text: str) -> ImageRow:
        """Return the image that `text` means.

        Raises: InvalidArgument, NotFound
        """
        row = self.find(text)
        if row is None:
            if not looks_like_id(text):
                text = parse_reference(text).with_default_tag().familiar()
            raise _missing(text)
        return row

    def choose(self, text: str, platform: Platform | None) -> ImageRow | None:
        """Return the image that `text` means, that for `platform` if it is given, or None.

        Raises: InvalidArgument
        """
        row = self.find(text)
        if row is None or platform is None or row.platform.matches(platform):
            return row
        from knarr.engine.image.platforms import choose  # noqa: PLC0415 - for few

        return choose(self._engine, row, platform)

    def for_platform(self, text: str, platform: str) -> Digest:
        """Return the ID of the image that `text` means for `platform`.

        Raises: InvalidArgument, NotFound
        """
        from knarr.oci.descriptor import parse_platform  # noqa: PLC0415 - for few

        row = self.choose(text, parse_platform(platform))
        if row is None:
            there = self.get(text).platform
            message = (
                f"image with reference {text} was found but does not match the specified "
                f"platform: wanted {platform}, actual: {there}"
            )
            hint = f"knarr pull --platform {platform} {text} gets it."
            raise NotFound(message, hint=hint)
        return row.id

    def _by_id(self, text: str) -> ImageRow | None:
        found = self.records.matching(text)
        if len(found) > 1:
            message = f"multiple IDs found with provided prefix: {text}"
            raise InvalidArgument(message, hint="Give more digits.")
        return found[0] if found else None

    def _by_reference(self, reference: Reference) -> ImageRow | None:
        if reference.digest is not None:
            # A tag beside a digest says nothing: the digest names the image.
            reference = reference.replace(tag=None)
        tag = self.tags.find(reference)
        return self.records.find(tag.image) if tag else None

    def image(self, row: ImageRow) -> Image:
        """Return the image of `row` with all references to it."""
        return _image(row, [tag.reference for tag in self.tags.of(row.id)])

    def list(self, filters: ImageFilters | None = None, *, every: bool = False) -> list[Image]:
        """Return the images that pass `filters`, the youngest first.

        Untagged images from which others were made, or that are found by the name of another
        platform's image, are left out unless `every`.
        """
        references: dict[str, list[Reference]] = {}
        for tag in self.tags.all():
            references.setdefault(tag.image, []).append(tag.reference)
        rows = self.records.all()
        parents = {row.parent for row in rows}
        images = [_image(row, references.get(row.id, [])) for row in rows]
        images = [i if i.tags or i.row.manifest is None else self._relate(i) for i in images]
        if not every:
            shown = [i for i in images if i.tags or i.digests or not i.related]
            images = [i for i in shown if i.tags or i.digests or i.row.id not in parents]
        return filters.apply(images, self) if filters else images

    def _relate(self, image: Image) -> Image:
        """Return an image that has no tag, `related` if another of its index has one."""
        from knarr.engine.image.platforms import siblings  # noqa: PLC0415 - for few images

        found = siblings(self._engine, image.row)
        return image.replace(related=any(self.tags.tagged(one.id) for one in found))

    def config(self, image_id: Digest) -> ImageConfig:
        """Return an image's config.

        Raises: NotFound, Corrupt
        """
        from knarr.oci.config import decode_config  # noqa: PLC0415 - lists do without

        try:
            return decode_config(self._engine.blobs.read(image_id))
        except NotFound as error:
            if self.records.find(image_id) is None:
                raise _missing(image_id) from error
            raise

    def stack(self, image_id: Digest) -> tuple[Digest, ...]:
        """Return the chain IDs of an image's layers, bottom first."""
        return self.records.stack(image_id)

    def tag(self, source: str, target: str) -> Reference:
        """Let `target` name the image that `source` means.

        Raises: InvalidArgument, NotFound
        """
        reference = parse_tag(target)
        row = self.get(source)
        self.set_tag(reference, row.id)
        self.note("tag", row.id, reference.familiar())
        return reference

    def note(self, action: str, image_id: Digest, name: str = "") -> None:
        """Note an event of an image, under the name by which it was meant, with its labels.

        Docker: an image that is gone by then has none
        """
        from knarr.util import eventlog  # noqa: PLC0415 - for who changes something

        row = self.records.find(image_id)
        about = {**(row.labels if row else {}), "name": name or image_id}
        eventlog.append(self._engine.paths.root, "image", action, image_id, about)

    def set_tag(self, reference: Reference, image_id: Digest) -> Digest | None:
        """Let `reference` name an image; return the one it named before, if another.

        Raises: Conflict
        """
        before = self.tags.set(reference, image_id, time.time_ns())
        self.publish()
        return before

    def publish(self) -> None:
        """Let the layout on disk say what the database says; after every change of images."""
        from knarr.store.index import write_index  # noqa: PLC0415 - only who changes something

        write_index(self._engine.database, self._engine.blobs)

    def remove(self, text: str, *, force: bool = False, prune: bool = True) -> RemovedThings:
        """Untag what `text` names, and delete the image if nothing else holds it.

        With `prune` untagged parents that nothing else needs go too.

        Raises: InvalidArgument, NotFound, Conflict
        """
        from knarr.engine.image.removal import remove  # noqa: PLC0415 - as the module says

        return remove(self._engine, text, force=force, prune=prune)

    def remove_platform(self, text: str, platform: str, *, force: bool = False) -> RemovedThings:
        """Delete the image that `text` means for `platform`, of those that came by the same index.

        Raises: InvalidArgument, NotFound, Conflict
        """
        from knarr.engine.image.removal import remove_platform  # noqa: PLC0415 - for few

        return remove_platform(self._engine, text, platform, force=force)

    def prune(
        self, filters: Iterable[str] = (), *, every: bool = False, dry_run: bool = False
    ) -> Pruned:
        """Delete the images that nothing names, with `every` all that no container uses.

        With `dry_run` only say which they are.

        Raises: InvalidArgument
        """
        from knarr.engine.image.pruning import prune  # noqa: PLC0415 - as the module says

        return prune(self._engine, filters, every=every, dry_run=dry_run)

    def history(self, text: str) -> tuple[HistoryLine, ...]:
        """Return how an image came to be, the last instruction first.

        Raises: InvalidArgument, NotFound, Corrupt
        """
        row = self.get(text)
        sizes = [self.layers.get(chain).size for chain in self.stack(row.id)]
        lines = []
        for entry in self.config(row.id).history:
            size = sizes.pop(0) if sizes and not entry.empty_layer else 0
            created_ns = moment(entry.created)
            lines.append(HistoryLine(None, created_ns, entry.created_by, size, entry.comment))
        # Layers of which the history says nothing are there all the same.
        lines += [HistoryLine(None, 0, "", size, "") for size in sizes]
        lines.reverse()
        current: ImageRow | None = row
        for position, line in enumerate(lines):
            if current is None:
                break
            tags = self.image(current).tags
            lines[position] = line.replace(id=current.id, tags=tags)
            current = self.records.find(current.parent) if current.parent else None
        return tuple(lines)

    def inspect(self, text: str) -> dict[str, Any]:
        """Return everything about an image, in the form that Docker gives it.

        Raises: InvalidArgument, NotFound, Corrupt
        """
        from knarr.engine.image.documents import document  # noqa: PLC0415 - as the module says

        return document(self._engine, self.image(self.get(text)))

    def import_archive(self, stream: Reader, options: ImportOptions) -> Digest:
        """Make an image of the archive of a root file system, and return its ID.

        Raises: InvalidArgument, SyntaxFault, Corrupt
        """
        from knarr.engine.image.importing import import_archive  # noqa: PLC0415 - as the module says

        image_id = import_archive(self._engine, stream, options)
        self.note("import", image_id)
        self.make_room(image_id)
        return image_id

    def load(
        self,
        stream: Reader,
        *,
        platform: Platform | None = None,
        platforms: Sequence[Platform] = (),
        every: bool = False,
        report: Report | None = None,
    ) -> Arrivals:
        """Take in every image of an archive: all of them, or none; `report` is told of layers.

        Of images for several platforms that for `platform` is taken, by default for this machine,
        with `every` all, with `platforms` those for these.

        Raises: InvalidArgument, Corrupt
        """
        from knarr.engine.image.loading import load  # noqa: PLC0415 - as the module says
        from knarr.engine.image.progress import silent  # noqa: PLC0415

        report = report or silent
        arrivals = load(
            self._engine,
            stream,
            platform=platform,
            platforms=platforms,
            every=every,
            report=report,
        )
        return self._noted(arrivals)

    def pull(
        self,
        reference: Reference,
        *,
        platform: Platform | None = None,
        every: bool = False,
        report: Report | None = None,
    ) -> Pulled:
        """Take in the image that a registry has as `reference`; `report` is told of its layers.

        With `every` those for all platforms come; the name is that for `platform`.

        Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Unsupported, Corrupt
        """
        from knarr.engine.image.progress import silent  # noqa: PLC0415 - as the module says
        from knarr.engine.image.pulling import pull  # noqa: PLC0415

        report = report or silent
        pulled = pull(self._engine, reference, platform=platform, every=every, report=report)
        self.make_room(pulled.id)
        return pulled

    def push(
        self,
        reference: Reference,
        *,
        platform: Platform | None = None,
        every: bool = False,
        form: Form | None = None,
        report: Report | None = None,
    ) -> Pushed:
        """Give the image `reference`, that for `platform`, to the registry in its name.

        With `every` all go that came by the same index, and the index. Layers go in the form they
        came in, or in `form`.

        Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
        """
        from knarr.engine.image.progress import silent  # noqa: PLC0415 - as the module says
        from knarr.engine.image.pushing import push  # noqa: PLC0415

        if every:
            from knarr.engine.image.family.pushing import push_family  # noqa: PLC0415 - for few

            return push_family(self._engine, reference, form=form, report=report or silent)
        report = report or silent
        return push(self._engine, reference, platform=platform, form=form, report=report)

    def _noted(self, arrivals: Arrivals) -> Arrivals:
        for arrival in arrivals:
            self.note("load", arrival.id)
        self.make_room(*(arrival.id for arrival in arrivals))
        return arrivals

    def make_room(self, *arrived: Digest) -> None:
        """Stay within the space that settings give, now that images have come; say what went."""
        from knarr.engine.settings import SPACE  # noqa: PLC0415 - for who brings something

        if self._engine.settings.get(SPACE):
            from knarr.engine.space.budget import make_room  # noqa: PLC0415 - where there is a limit

            self._engine.notices += make_room(self._engine, arrived)

    def load_directory(
        self, path: str, *, platform: Platform | None = None, every: bool = False
    ) -> Arrivals:
        """Take in every image of the OCI layout in a directory: all of them, or none.

        Raises: InvalidArgument, Corrupt
        """
        from knarr.engine.image.loading import load_directory  # noqa: PLC0415 - as the module says

        return self._noted(load_directory(self._engine, path, platform=platform, every=every))

    def save_directory(
        self,
        names: Iterable[str],
        path: str,
        *,
        platform: Platform | None = None,
        every: bool = False,
    ) -> None:
        """Add images to the OCI layout in a directory, which is made if need be.

        Raises: InvalidArgument, NotFound, Corrupt
        """
        from knarr.engine.image.saving import save_directory  # noqa: PLC0415 - as the module says

        save_directory(self._engine, names, path, platform=platform, every=every)

    def save(
        self,
        names: Iterable[str],
        out: Writer,
        *,
        form: str = "docker-archive",
        platform: Platform | None = None,
        platforms: Sequence[Platform] = (),
        every: bool = False,
    ) -> None:
        """Write images, those for `platform`, with `every` for all platforms, into an archive.

        `form` is `docker-archive` or `oci-archive`; only the latter takes several `platforms`.

        Raises: InvalidArgument, NotFound, Corrupt
        """
        from knarr.engine.image.saving import save  # noqa: PLC0415 - as the module says

        save(
            self._engine,
            names,
            out,
            form=form,
            platform=platform,
            platforms=platforms,
            every=every,
        )


def _image(row: ImageRow, references: list[Reference]) -> Image:
    return Image(
        row,
        tuple([r for r in references if r.digest is None]),
        tuple([r for r in references if r.digest is not None]),
    )


def moment(text: str) -> int:
    """Return the nanoseconds since 1970 of a time in a document, 0 if it names none."""
    from knarr.util.times import parse_rfc3339  # noqa: PLC0415 - lists do without

    try:
        return parse_rfc3339(text)
    except InvalidArgument:
        return 0


def _missing(text: str) -> NotFound:
    message = f"no such image: {text}"
    return NotFound(message)


def parse_tag(text: str) -> Reference:
    """Return the reference under which an image can be had from now on.

    Raises: InvalidArgument
    """
    try:
        reference = parse_reference(text)
    except InvalidArgument as error:
        message = f'Error parsing reference: "{text}" is not a valid repository/tag: {error}'
        raise InvalidArgument(message, hint=error.hint) from error
    if reference.digest is not None:
        message = "refusing to create a tag with a digest reference"
        raise InvalidArgument(message, hint="Leave out what follows the @.")
    return reference.with_default_tag()
