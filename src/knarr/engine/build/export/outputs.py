"""Where the result of a build goes: the store, a directory, an archive of files or of the image.

    local    the files of the last stage, into a directory
    tar      the same as one archive
    oci      the image as an OCI layout, in an archive or a directory
    docker   the image as `docker save` writes it; without a destination the store
    image    the store

An archive of an image is made from the store. If nobody asked for the image to be there, it is
taken out again, unless it was there before.
"""

from __future__ import annotations

import os
import stat
import time

from knarr.build.events import Finished, Noted, Started
from knarr.engine.build.export.image import store_image
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from knarr.build.events import Report
    from knarr.build.graph import Stack
    from knarr.build.lower import Lowered
    from knarr.build.worker import Cached
    from knarr.engine.engine import Engine
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.util.compression import Writer

LOCAL, TAR, OCI, DOCKER, IMAGE = "local", "tar", "oci", "docker", "image"
_FORMS = {OCI: "oci-archive", DOCKER: "docker-archive"}
_GAINED = stat.S_ISUID | stat.S_ISGID


class Output(Value):
    """One place for the result. `directory` is where files go, `open` gives an archive's file.

    With neither it is the store. `names` are the image's there or in its archive.
    """

    kind: str = IMAGE
    directory: str = ""
    open: Callable[[], AbstractContextManager[Writer]] | None = None
    names: tuple[Reference, ...] = ()

    @property
    def is_store(self) -> bool:
        return not self.directory and self.open is None


class Result(Value):
    """What a build came to: the files, and what the image says."""

    lowered: Lowered
    stack: Stack
    steps: Mapping[str, Cached]


class Built(Value):
    """A finished build: the image's ID and manifest, unless files alone were asked for."""

    image_id: Digest | None = None
    manifest: Mapping[str, object] = {}
    names: tuple[str, ...] = ()


class Exporting:
    """Gives the result of one build to its outputs."""

    def __init__(
        self, engine: Engine, result: Result, report: Report, *, described: bool = False
    ) -> None:
        """Export `result`; with `described` find out the image's manifest."""
        self._described = described
        self._engine = engine
        self._result = result
        self._report = report

    def export(self, outputs: Sequence[Output]) -> Built:
        """Give the result to every output.

        Raises: Conflict, InvalidArgument, PermissionDenied, Corrupt
        """
        images = [each for each in outputs if each.kind not in (LOCAL, TAR)]
        for output in outputs:
            if output.kind in (LOCAL, TAR):
                self._files(output)
        return self._image(images) if images else Built()

    def _files(self, output: Output) -> None:
        name = f"exporting to {'client directory' if output.kind == LOCAL else 'client tarball'}"
        activity = f"internal export {output.directory or output.kind}"
        self._report(Started(activity, name))
        root_fd = self._engine.layers.mount(self._result.stack, readonly=True)
        try:
            if output.kind == LOCAL:
                copy_out(root_fd, output.directory)
            else:
                from knarr.snapshot.pack import Packer  # noqa: PLC0415 - for who asks for it

                assert output.open is not None
                with output.open() as out:
                    Packer(root_fd, out).pack()
        finally:
            os.close(root_fd)
        self._report(Finished(activity))

    def _image(self, outputs: Sequence[Output]) -> Built:
        engine, report, began_ns = self._engine, self._report, time.time_ns()
        archives = [each for each in outputs if not each.is_store]
        kept = len(archives) < len(outputs)
        activity = "internal export"
        report(Started(activity, "exporting to image" if kept else "exporting image to archive"))
        result = self._result
        image_id = store_image(engine, result.lowered, result.stack, result.steps)
        report(Noted(activity, f"writing image {image_id} done"))
        try:
            for output in archives:
                self._archive(output, image_id)
            manifest = self._manifest(image_id) if self._described else {}
        finally:
            if not kept:
                self._forget(image_id, began_ns)
        names = dict.fromkeys(name for each in outputs for name in each.names)
        for reference in dict.fromkeys(
            name for each in outputs if each.is_store for name in each.names
        ):
            engine.images.set_tag(reference, image_id)
            report(Noted(activity, f"naming to {reference} done"))
        report(Finished(activity))
        return Built(image_id, manifest, tuple(map(str, names)))

    def _archive(self, output: Output, image_id: Digest) -> None:
        from knarr.engine.image.places.archivetarget import ArchiveTarget  # noqa: PLC0415
        from knarr.engine.image.places.directory import DirectoryTarget  # noqa: PLC0415
        from knarr.engine.image.saving import give  # noqa: PLC0415 - for who asks for it

        chosen = {image_id: [str(name) for name in output.names]}
        if output.open is None:
            give(self._engine, chosen, DirectoryTarget(output.directory))
            return
        with output.open() as out:
            target = ArchiveTarget(out, docker=output.kind == DOCKER)
            give(self._engine, chosen, target)
            target.close()

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


def copy_out(root_fd: int, directory: str) -> None:
    """Copy files into a directory of the caller, which is made if need be.

    They become the caller's, so they lose what would give others his rights: the set-user-ID and
    set-group-ID bits. Devices are left out. No link that is there is followed.

    Raises: Conflict, InvalidArgument, PermissionDenied
    """
    from knarr.snapshot.copy import SKIP, TAKE, CopyOptions, copy_tree  # noqa: PLC0415
    from knarr.snapshot.faults import storage  # noqa: PLC0415 - for who asks for it

    def select(path: str, is_directory: bool) -> str:  # noqa: FBT001 - as copy_tree has it
        if is_directory:
            return TAKE
        mode = os.lstat(path, dir_fd=root_fd).st_mode
        return SKIP if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else TAKE

    def changed(mode: int, is_directory: bool) -> int:  # noqa: FBT001 - as copy_tree has it
        return mode if is_directory else mode & ~_GAINED

    with storage(f"writing to {directory}"):
        os.makedirs(directory, exist_ok=True)
        target_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = (os.geteuid(), os.getegid())
        options = CopyOptions(owner=owner, mode=changed, select=select)
        copy_tree(root_fd, ".", target_fd, ".", options)
    finally:
        os.close(target_fd)
