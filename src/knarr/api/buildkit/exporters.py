"""Where a client wants the result of a build: what it calls exporters.

An image goes to the store here or to a registry. What the client itself is to have, an archive or
files, is put aside first and sent to it when the build is done.

Spec: BuildKit, its exporters and package filesync
"""

from __future__ import annotations

import base64

from knarr.api.buildkit import stores, trees
from knarr.engine.build.export.outputs import DOCKER, IMAGE, LOCAL, OCI, TAR, Built, Output
from knarr.engine.build.words.attestations import parse_prefix
from knarr.engine.build.words.fields import parse_flag
from knarr.engine.build.words.packaging import read_packaging
from knarr.engine.images import parse_tag
from knarr.errors import InvalidArgument, Unsupported
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from knarr.api.buildkit.sessions import Session

_MOBY = "moby"
_EXPORTER = "buildkit-attachable-exporter-id"
_PIECE = 1 << 20


class ToFile(Value):
    """Opens a file for an output; a value, since it is told to another process."""

    path: str

    def __call__(self) -> BinaryIO:
        """Open it."""
        return open(self.path, "wb")


class Exporter(Value):
    """Where a client wants its result: number `index` of what it asked for."""

    index: int
    kind: str
    attributes: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that the image is to have."""
        return tuple(name for name in self.attributes.get("name", "").split(",") if name)

    @property
    def pushes(self) -> bool:
        return parse_flag(self.attributes, "push", default=False)

    def output(self, path: str) -> Output:
        """Return it as the builder knows it; what is for the client is put to `path` first.

        Raises: Unsupported, InvalidArgument
        """
        given = self.attributes
        output = Output(
            IMAGE if self.kind == _MOBY else self.kind,
            names=tuple(parse_tag(name) for name in self.names),
            rewrite_timestamp=parse_flag(given, "rewrite-timestamp", default=False),
        )
        if output.kind in (LOCAL, TAR):
            split = given.get("platform-split")
            if split is not None:
                output = output.replace(split=parse_flag(given, "platform-split", default=True))
            output = output.replace(prefix=parse_prefix(given))
            if output.kind == LOCAL:
                return output.replace(directory=path)
            return output.replace(open=ToFile(path))
        packaging = read_packaging(given, archive=output.kind != IMAGE)
        if output.kind == IMAGE:
            by_digest = parse_flag(given, "push-by-digest", default=False)
            kept = self.kind == _MOBY or parse_flag(given, "store", default=True)
            return output.replace(
                packaging=packaging, push=self.pushes, by_digest=by_digest, kept=kept
            )
        if output.kind in (OCI, DOCKER):
            if self.is_layout:
                return output.replace(packaging=packaging, directory=path)
            return output.replace(packaging=packaging, open=ToFile(path))
        message = f"exporter {self.kind} could not be found"
        raise Unsupported(message)

    @property
    def is_layout(self) -> bool:
        """Tell whether the client gets blobs for a store of its own, and no archive of them."""
        archived = parse_flag(self.attributes, "tar", default=True)
        return self.kind in (OCI, DOCKER) and not archived

    @property
    def is_here(self) -> bool:
        """Tell whether the image is only in the store, by whose ID the client will name it."""
        return self.kind == _MOBY and not self.pushes

    @property
    def told(self) -> str:
        """Return what its sending is called."""
        return "copying files" if self.kind == LOCAL else "sending tarball"

    async def send(self, session: Session, path: str) -> None:
        """Give the client what was put to `path`. Raises: Failed"""
        metadata = [(_EXPORTER, str(self.index))]
        if self.kind == LOCAL:
            await trees.send(session, path, metadata)
        elif self.is_layout:
            await stores.give(session, stores.EXPORT, path)
        else:
            await _send_file(session, path, metadata)

    @property
    def is_sent(self) -> bool:
        """Tell whether the client gets it."""
        return self.kind in (LOCAL, TAR, OCI, DOCKER)


async def _send_file(session: Session, path: str, metadata: list[tuple[str, str]]) -> None:
    """Give a client a file. Raises: Failed"""
    kind = "moby.filesync.v1.BytesMessage"
    method = session.outlet(kind)
    async with method.open(metadata=metadata) as stream:
        await stream.send_request()
        async for piece in trees.pieces(path, _PIECE):
            await stream.send_message(method.request_type(data=piece))
        await stream.end()
        await stream.recv_message()


def describe(built: Built, here: Sequence[Exporter]) -> dict[str, str]:
    """Return what clients write into their metadata files.

    Docker: the digest of an image that is in the store alone is its ID
    """
    found = {}
    if built.image_id is not None:
        found["containerimage.config.digest"] = str(built.image_id)
        found["containerimage.digest"] = str(built.image_id)
    if built.manifest:
        if not here:
            found["containerimage.digest"] = str(built.manifest["digest"])
        document = jsontext.dumps(dict(built.manifest)).encode()
        found["containerimage.descriptor"] = base64.b64encode(document).decode()
    if built.names:
        found["image.name"] = ",".join(built.names)
    return found


def read_exporters(found: Sequence[tuple[str, Mapping[str, str]]]) -> tuple[Exporter, ...]:
    """Return the exporters of a request. Raises: InvalidArgument"""
    exporters = tuple(Exporter(i, kind, dict(given)) for i, (kind, given) in enumerate(found))
    for exporter in exporters:
        if exporter.pushes and not exporter.names:
            message = "tag is needed when pushing to registry"
            raise InvalidArgument(message)
    return exporters
