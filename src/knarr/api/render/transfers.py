"""What a client hears while an image is pulled, pushed, loaded or imported: documents, one a line.

    {"status": "Pulling from library/debian", "id": "bookworm"}
    {"status": "Downloading", "progressDetail": {"current": 1, "total": 9}, "id": "3aab638df1a9", …}
    {"status": "Digest: sha256:…"}

Docker: the words and fields of pkg/jsonmessage
"""

from __future__ import annotations

import threading
import time

from knarr.oci.descriptor import encode_platform
from knarr.util.text import progress_bar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from knarr.engine.image.pulling import Pulled
    from knarr.engine.image.pushing import Pushed
    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference

    Document = dict[str, Any]

_PERIOD = 0.1  # seconds between two documents that say how far the same layer has come


class Layers:
    """Tells of the layers of one image; may be told by several threads.

    `opening` is said before the first of them: with it the answer begins, and until then an error
    is an answer of its own.
    """

    def __init__(self, tell: Callable[[Document], None], *, new: str = "") -> None:
        """Pass documents to `tell`; a layer begins with the word `new`."""
        self.opening: Document | None = None
        self._tell = tell
        self._new = new
        self._lock = threading.Lock()
        self._said: dict[Digest, tuple[str, float]] = {}

    def open(self) -> None:
        """Say the opening, if that was not done."""
        if self.opening is not None:
            opening, self.opening = self.opening, None
            self._tell(opening)

    def __call__(self, digest: Digest, action: str, done: int, whole: int) -> None:
        """Take a change."""
        with self._lock:
            self.open()
            if self._new and digest not in self._said and action == "Waiting":
                self._tell(_layer(digest, self._new, 0, 0))
            said, at = self._said.get(digest, ("", 0.0))
            now = time.monotonic()
            if action == said and (not whole or (done < whole and now - at < _PERIOD)):
                return
            self._said[digest] = (action, now)
            self._tell(_layer(digest, action, done, whole))


def _layer(digest: Digest, action: str, done: int, whole: int) -> Document:
    found: Document = {"status": action, "progressDetail": {}, "id": digest.short}
    if whole:
        found["progressDetail"] = {"current": done, "total": whole}
        found["progress"] = progress_bar(done, whole)
    return found


def status(text: str, id_: str = "") -> Document:
    """Return a line that is about no layer."""
    return {"status": text, "id": id_} if id_ else {"status": text}


def pulling(reference: Reference) -> Document:
    """Return what a pull begins with."""
    wanted = str(reference.digest or reference.tag)
    return status(f"Pulling from {reference.repository}", wanted)


def pulled(result: Pulled) -> list[Document]:
    """Return what a pull ends with."""
    what = "Downloaded newer image for" if result.newer else "Image is up to date for"
    name = result.reference.familiar()
    return [status(f"Digest: {result.digest}"), status(f"Status: {what} {name}")]


def pushing(reference: Reference) -> Document:
    """Return what a push begins with."""
    return status(f"The push refers to repository [{reference.name}]")


def pushed(result: Pushed) -> list[Document]:
    """Return what a push ends with: a line to read, and the same for programs."""
    tag = result.reference.tag
    about = {"Tag": tag, "Digest": str(result.digest), "Size": result.size}
    return [
        status(f"{tag}: digest: {result.digest} size: {result.size}"),
        {"progressDetail": {}, "aux": about},
    ]


def distribution(descriptor: Descriptor, platforms: Iterable[Platform]) -> Document:
    """Return what a registry says of an image."""
    plain = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    return {"Descriptor": plain, "Platforms": [encode_platform(each) for each in platforms]}
