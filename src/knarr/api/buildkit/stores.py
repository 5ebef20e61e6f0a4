"""Stores of blobs that a client has: OCI layouts that images and caches come from, and go to.

    oci:NAME     an image that is a context with a name     read
    local:DIR    a build cache                              read, written
    export       an image that is a result                  written

What is read becomes a layout here, all that the client has of it: a cache may be without blobs that
others have. What is written was a layout here; the client keeps the index of its own. Nothing
needs to be verified here: who reads a layout does that.

Spec: containerd, content.proto; BuildKit, package session/content
"""

from __future__ import annotations

import asyncio
import os

from grpclib import GRPCError
from grpclib.const import Status

from knarr.api.buildkit.schema import CONTENT, message
from knarr.api.buildkit.trees import pieces
from knarr.engine.build.caching.places import LOCAL
from knarr.engine.build.layouts import LAYOUT
from knarr.errors import Corrupt, NotFound
from knarr.oci import document, layout
from knarr.oci.descriptor import INDEXES, MANIFESTS, encode_descriptor
from knarr.oci.digest import Digest
from knarr.oci.manifest import Index, decode_manifest
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from knarr.api.buildkit.sessions import Session
    from knarr.engine.build.caching.places import CachePlace, CacheTarget
    from knarr.engine.build.sent import SentFiles
    from knarr.oci.descriptor import Descriptor
    from knarr.oci.manifest import Manifest

    Ask = Callable[[Coroutine[Any, Any, Any]], Any]

EXPORT = "export"
_HEADER = "buildkit-attachable-store-id"
_STAT, _WRITE, _COMMIT = range(3)
_PIECE = 1 << 20


class Stores:
    """The stores of a build's client, for the thread that builds; `ask` has the loop do things."""

    def __init__(self, ask: Ask, session: Session, files: SentFiles) -> None:
        self._ask = ask
        self._session = session
        self._files = files
        self._targets: dict[str, str] = {}

    def image(self, text: str) -> str:
        """Return where the image `STORE[:TAG]@DIGEST` of the client's is now, for the builder."""
        place, _, digest = text.partition("@")
        above, slash, name = place.rpartition("/")
        store = f"{above}{slash}{name.partition(':')[0]}"
        return f"{LAYOUT}{self._receive(f'oci:{store}', digest)}@{digest}"

    def source(self, place: CachePlace) -> CachePlace:
        """Return a place to read a cache from, as it is here."""
        if place.kind != LOCAL:
            return place
        directory = self._receive(f"{LOCAL}:{place.directory}", place.digest or "")
        return place.replace(directory=directory, called=place.directory)

    def target(self, target: CacheTarget) -> CacheTarget:
        """Return a place to write a cache to, as it is here until `deliver`."""
        place = target.place
        if place.kind != LOCAL:
            return target
        store = f"{LOCAL}:{place.directory}"
        self._targets[store] = directory = self._files.path(f"to {store}")
        here = place.replace(directory=directory, called=place.directory)
        return target.replace(place=here)

    def deliver(self) -> dict[str, str]:
        """Give the client the caches, and return what it is told of them."""
        told = {}
        for store, directory in self._targets.items():
            if os.path.exists(f"{directory}/{layout.INDEX_FILE}"):  # else it failed, and may
                root = self._ask(give(self._session, store, directory))
                told["cache.manifest"] = jsontext.dumps(encode_descriptor(root))
        return told

    def _receive(self, store: str, digest: str) -> str:
        directory = self._files.path(f"from {store} {digest}")
        if not os.path.exists(directory):
            self._ask(_Receiver(self._session, store, directory).receive(Digest(digest)))
        return directory


class _Receiver:
    """A layout that comes from a store."""

    def __init__(self, session: Session, store: str, directory: str) -> None:
        self._session = session
        self._store = store
        self._directory = directory

    async def receive(self, digest: Digest) -> None:
        """Get everything below the manifest or index with `digest`. Raises: NotFound, Corrupt"""
        if not await self._blob(digest):
            words = f"the client's store {self._store} has no {digest}"
            raise NotFound(words)
        root = await self._document(digest)
        waiting, known = [root], {digest}
        while waiting:
            for child in _children(waiting.pop()):
                if child.digest in known or not await self._blob(child.digest):
                    continue
                known.add(child.digest)
                if child.media_type in MANIFESTS | INDEXES:
                    waiting.append(await self._document(child.digest))
        for name, raw in (
            (layout.LAYOUT_FILE, layout.render_layout()),
            (layout.INDEX_FILE, layout.render_index([("", root.descriptor)])),
        ):
            await asyncio.to_thread(_write, f"{self._directory}/{name}", raw)

    def _path(self, digest: Digest) -> str:
        return f"{self._directory}/{layout.blob_path(digest)}"

    async def _blob(self, digest: Digest) -> bool:
        """Get a blob; tell whether the client has it."""
        path = self._path(digest)
        method = self._session.reading()
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with await asyncio.to_thread(open, path, "wb") as file:
            try:
                async with method.open(metadata=[(_HEADER, self._store)]) as stream:
                    await stream.send_message(method.request_type(digest=digest), end=True)
                    async for packet in stream:
                        await asyncio.to_thread(file.write, packet.data)
            except GRPCError as error:
                if error.status is not Status.NOT_FOUND:
                    raise
                os.unlink(path)
                return False
        return True

    async def _document(self, digest: Digest) -> Manifest | Index:
        path = self._path(digest)
        if os.stat(path).st_size > document.MAX_SIZE:
            words = f"{digest} is too large for a manifest"
            raise Corrupt(words)
        return decode_manifest(await asyncio.to_thread(_read, path))


def _children(found: Manifest | Index) -> tuple[Descriptor, ...]:
    return found.manifests if isinstance(found, Index) else (found.config, *found.layers)


async def give(session: Session, store: str, directory: str) -> Descriptor:
    """Put the blobs of a layout into a store, and return what its index lists last."""
    for algorithm in os.listdir(f"{directory}/{layout.BLOBS_DIR}"):
        above = f"{directory}/{layout.BLOBS_DIR}/{algorithm}"
        for name in os.listdir(above):
            await _give_blob(session, store, f"{algorithm}:{name}", f"{above}/{name}")
    raw = await asyncio.to_thread(_read, f"{directory}/{layout.INDEX_FILE}")
    return layout.parse_index(raw).manifests[-1]


async def _give_blob(session: Session, store: str, digest: str, path: str) -> None:
    """Put one blob into a store, unless that has it."""
    method, size = session.writing(), os.stat(path).st_size
    whole: dict[str, Any] = {"total": size, "expected": digest}
    try:
        async with method.open(metadata=[(_HEADER, store)]) as stream:
            if await _say(stream, action=_STAT, ref=os.urandom(16).hex(), **whole):
                offset = 0
                async for piece in pieces(path, _PIECE):
                    await _say(stream, action=_WRITE, offset=offset, data=piece)
                    offset += len(piece)
                await _say(stream, end=True, action=_COMMIT, offset=offset, **whole)
            else:
                await stream.end()
    except GRPCError as error:
        if error.status is not Status.ALREADY_EXISTS:
            raise


async def _say(stream: Any, *, end: bool = False, **fields: Any) -> bool:
    """Send a request, the last one with `end`; tell whether it was answered.

    What is not answered was refused: then leaving the stream raises the reason. The last one says
    so itself, since a client that has done it ends the stream at once, for both sides.
    """
    await stream.send_message(message(f"{CONTENT}.WriteContentRequest")(**fields), end=end)
    return await stream.recv_message() is not None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
