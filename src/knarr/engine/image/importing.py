"""Importing: the archive of a root file system becomes an image of one layer."""

from __future__ import annotations

import io
import os
import time

from knarr.engine.image.places.archive import Slice, reopened, spool_file
from knarr.engine.image.places.growth import allowed, open_any
from knarr.engine.image.places.storesource import plain_manifest
from knarr.engine.image.places.storetarget import StoreTarget
from knarr.engine.image.transfer import copy
from knarr.engine.space.collect import collect_all
from knarr.errors import InvalidArgument
from knarr.oci.config import History, RunConfig, encode_config
from knarr.oci.descriptor import OCI_CONFIG, OCI_LAYER, Descriptor, host_platform
from knarr.oci.digest import Digest, hasher
from knarr.util import compression
from knarr.util.files import write_all
from knarr.util.times import render_rfc3339
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Stream
    from knarr.oci.descriptor import Platform
    from knarr.oci.reference import Reference
    from knarr.util.compression import Reader

_CHUNK = 1 << 20


class ImportOptions(Value):
    """What the image is to be like: its name, config, instructions that change it, a comment."""

    reference: Reference | None = None
    config: RunConfig = RunConfig()
    changes: tuple[str, ...] = ()
    message: str = ""
    platform: Platform | None = None


def import_archive(engine: Engine, stream: Reader, options: ImportOptions) -> Digest:
    """Make an image of the archive in `stream`, which may be compressed; return its ID.

    Raises: InvalidArgument, SyntaxFault, Corrupt
    """
    platform = options.platform or host_platform()
    run_config = options.config
    if options.changes:
        from knarr.build.changes import change_config  # noqa: PLC0415 - only for who gives any

        run_config = change_config(run_config, options.changes, platform=platform)
    with _Rootfs(stream, engine) as rootfs:
        created = render_rfc3339(time.time_ns())
        config = encode_config(
            platform=platform,
            created=created,
            config=run_config,
            diff_ids=[rootfs.diff_id],
            history=[History(created=created, comment=options.message)],
        )
        rootfs.describe(config.raw)
        name = str(options.reference.with_default_tag()) if options.reference else ""
        try:
            with engine.journal.begin("import", name) as operation:
                target = StoreTarget(engine, operation)
                copy(rootfs, target, "", as_name=name)
                target.commit()
        except BaseException:
            collect_all(engine)
            raise
    return config.digest


class _Rootfs:
    """The archive as a place with one image, whose digest is known before it is unpacked."""

    made_up = True  # the manifest

    def __init__(self, stream: Reader, engine: Engine) -> None:
        peeked = compression.Peeked(stream)
        if not peeked.start:
            message = "the archive is empty"
            raise InvalidArgument(message)
        kind = compression.kind_of(peeked.start)
        self._documents: dict[str, bytes] = {}
        self._descriptor = -1 if kind else reopened(stream, len(peeked.start))
        self._start = 0
        try:
            if self._descriptor >= 0:
                self._start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
                self._digest_file()
            else:
                self._descriptor = spool_file(engine.blobs.incoming_dir)
                self._spool(open_any(peeked, allowed(engine), "the archive")[0])
        except BaseException:
            os.close(self._descriptor)
            raise

    def _digest_file(self) -> None:
        digest, self._size = hasher(), 0
        while data := os.pread(self._descriptor, _CHUNK, self._start + self._size):
            digest.update(data)
            self._size += len(data)
        self.diff_id = Digest(f"sha256:{digest.hexdigest()}")

    def _spool(self, source: Reader) -> None:
        digest, self._size = hasher(), 0
        while data := source.read(_CHUNK):
            write_all(self._descriptor, data)
            digest.update(data)
            self._size += len(data)
        self.diff_id = Digest(f"sha256:{digest.hexdigest()}")

    def describe(self, config: bytes) -> None:
        """Take the config of the image."""
        digest = Digest(f"sha256:{hasher(config).hexdigest()}")
        layer = Descriptor(OCI_LAYER, self.diff_id, self._size)
        manifest = plain_manifest(Descriptor(OCI_CONFIG, digest, len(config)), [layer])
        self._manifest = manifest.descriptor
        self._documents = {digest: config, manifest.digest: manifest.raw}

    def resolve(self, name: str) -> Descriptor:  # noqa: ARG002 - there is but one
        return self._manifest

    def open(self, descriptor: Descriptor) -> Stream:
        if descriptor.digest in self._documents:
            return io.BytesIO(self._documents[descriptor.digest])
        return Slice(self._descriptor, self._start, self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
