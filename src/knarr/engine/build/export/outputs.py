"""Where the result of a build goes: the store, a registry, files, archives.

    local    the files of the last stage, into a directory
    tar      the same as one archive
    oci      the image as an OCI layout, in an archive or a directory
    docker   the image as `docker save` writes it; without a destination the store
    image    the store, or a registry, or both

If nobody asked for the image to be in the store, it is taken out again, unless it was there before.
Of several platforms the files are in directories of their own, and the images below an index; the
name in the store means the one for this machine.
"""

from __future__ import annotations

import time

from knarr.build.events import Finished, Noted, Started
from knarr.engine.build.export.image import store_image
from knarr.engine.build.export.parts import Part
from knarr.oci.descriptor import host_platform
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from knarr.build.events import Report
    from knarr.build.graph import Stack
    from knarr.build.lower import Lowered
    from knarr.build.worker import Cached
    from knarr.engine.build.attesting.statements import Attestations
    from knarr.engine.build.export.composing import Packaging
    from knarr.engine.build.export.parts import Statement
    from knarr.engine.engine import Engine
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Manifest
    from knarr.oci.reference import Reference
    from knarr.util.compression import Writer

LOCAL, TAR, OCI, DOCKER, IMAGE = "local", "tar", "oci", "docker", "image"
_EXPORT = "internal export"


class Output(Value):
    """One place for the result. `directory` is where files go, `open` gives an archive's file.

    With neither it is an image for the store, or with `push` for a registry; then `kept` tells
    whether it is to be in the store too, and `by_digest` that it gets no tag there. `names` are the
    image's. `packaging` says what its documents are to be like, if that was said. `split` puts the
    files of each platform into a directory of its own even if there is but one; names of statements
    about files begin with `prefix`. With `rewrite_timestamp` no time in it is after
    SOURCE_DATE_EPOCH.
    """

    kind: str = IMAGE
    directory: str = ""
    open: Callable[[], AbstractContextManager[Writer]] | None = None
    names: tuple[Reference, ...] = ()
    packaging: Packaging | None = None
    push: bool = False
    by_digest: bool = False
    kept: bool = True
    split: bool | None = None
    prefix: str = ""
    rewrite_timestamp: bool = False

    @property
    def is_store(self) -> bool:
        return not self.directory and self.open is None and self.kept


class Result(Value):
    """What a build came to: the files, and what the image says; `inline` of its cache.

    `attest` makes statements about the image or the files, if any are wanted.
    """

    lowered: Lowered
    stack: Stack
    steps: Mapping[str, Cached]
    inline: str = ""
    attest: Attestations | None = None


class Built(Value):
    """A finished build: the image's ID and manifest, unless files alone were asked for."""

    image_id: Digest | None = None
    manifest: Mapping[str, object] = {}
    names: tuple[str, ...] = ()


class Exporting:
    """Gives the results of one build, one a platform, to its outputs."""

    def __init__(
        self,
        engine: Engine,
        results: Sequence[Result],
        report: Report,
        *,
        described: bool = False,
        squashed: bool = False,
    ) -> None:
        """Export `results`; with `described` find out the image's manifest.

        With `squashed` the layers that a build added are made one.
        """
        self._described = described
        self._squashed = squashed
        self._engine = engine
        self._results = results
        self._report = report

    def export(self, outputs: Sequence[Output]) -> Built:
        """Give the results to every output.

        Raises: Conflict, InvalidArgument, PermissionDenied, Corrupt, what registries raise
        """
        images = [each for each in outputs if each.kind not in (LOCAL, TAR)]
        for output in outputs:
            if output.kind in (LOCAL, TAR):
                self._files(output)
        return self._image(images) if images else Built()

    def _files(self, output: Output) -> None:
        from knarr.engine.build.export.files import give_files  # noqa: PLC0415 - for who asks

        name = f"exporting to {'client directory' if output.kind == LOCAL else 'client tarball'}"
        activity = f"{_EXPORT} {output.directory or output.kind}"
        self._report(Started(activity, name))
        give_files(self._engine.layers, self._results, output)
        self._report(Finished(activity))

    def _image(self, outputs: Sequence[Output]) -> Built:
        engine, report, began_ns = self._engine, self._report, time.time_ns()
        kept = any(each.is_store for each in outputs)
        report(Started(_EXPORT, "exporting to image" if kept else "exporting image to archive"))
        ids = [self._store(result, began_ns) for result in self._results]
        for image_id in ids:
            report(Noted(_EXPORT, f"writing image {image_id} done"))
        names = tuple(dict.fromkeys(name for each in outputs for name in each.names))
        parts = self._parts(ids, names)
        manifest: Mapping[str, object] = {}
        complete = False
        try:
            for output in outputs:
                manifest = self._give(output, parts) or manifest
            if self._described and not manifest:
                manifest = self._manifest(ids[0])
            complete = True
        finally:
            if not (kept and complete):
                for image_id in ids:
                    self._forget(image_id, began_ns)
        image_id = self._named(ids)
        for reference in dict.fromkeys(
            name for each in outputs if each.is_store for name in each.names
        ):
            engine.images.set_tag(reference, image_id)
            report(Noted(_EXPORT, f"naming to {reference} done"))
        report(Finished(_EXPORT))
        return Built(image_id, manifest, tuple(map(str, names)))

    def _store(self, result: Result, began_ns: int) -> Digest:
        """Make the image, of one layer above its base if that is wanted."""
        lowered, stack = result.lowered, result.stack
        image_id = store_image(self._engine, lowered, stack, result.steps, result.inline)
        below = _below(result)
        if not self._squashed or below == len(stack):
            return image_id
        from knarr.engine.image.squashing import squash  # noqa: PLC0415 - for who asks for it

        squashed = squash(self._engine, image_id, start=stack[below])
        self._forget(image_id, began_ns)
        return squashed

    def _parts(self, ids: list[Digest], names: Sequence[Reference]) -> list[Part]:
        return [
            Part(
                image_id,
                result.lowered.platform,
                _about(result.attest, names) if result.attest else None,
                _below(result),
                result.lowered.held,
            )
            for image_id, result in zip(ids, self._results, strict=True)
        ]

    def _named(self, ids: list[Digest]) -> Digest:
        """Return the image that a name means here: that for this machine, else the first."""
        host = host_platform()
        for image_id, result in zip(ids, self._results, strict=True):
            if result.lowered.platform.matches(host):
                return image_id
        return ids[0]

    def _give(self, output: Output, parts: list[Part]) -> Mapping[str, object]:
        """Give the image to an output; return what describes it there, if that is known."""
        plain = output.packaging is None and len(parts) == 1 and parts[0].attest is None
        if output.is_store and plain and not output.push:
            return {}
        from knarr.engine.build.export.giving import Giving  # noqa: PLC0415 - loads much

        if not output.rewrite_timestamp:
            parts = [part.replace(latest=None) for part in parts]
        return Giving(self._engine, parts, self._report, _EXPORT).give(output)

    def _manifest(self, image_id: Digest) -> Mapping[str, object]:
        from knarr.engine.image.places.storesource import StoreSource  # noqa: PLC0415 - as above
        from knarr.oci.descriptor import encode_descriptor  # noqa: PLC0415

        return encode_descriptor(StoreSource(self._engine).resolve(image_id))

    def _forget(self, image_id: Digest, began_ns: int) -> None:
        """Take an image out of the store that only an archive was made of."""
        images = self._engine.images
        row = images.records.get(image_id)
        about = images.image(row)
        if row.added_ns >= began_ns and not (about.tags or about.digests):
            images.remove(image_id, prune=False)


def _below(result: Result) -> int:
    """Return how many of the layers are the base image's."""
    return sum(not line.empty_layer for line in result.lowered.inherited)


def _about(
    attest: Attestations, names: Sequence[Reference]
) -> Callable[[Manifest], Sequence[Statement]]:
    """Return what makes statements about an image that gets `names`."""
    return lambda manifest: attest.of_image(manifest, names)
