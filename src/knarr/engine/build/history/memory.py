"""What entered the cache keys of the last build of a source, to tell the next one what changed.

One file a source: the length of a JSON document, the document, and the listings of copied trees. It
is written only when a key is another than before: a build of which everything is cached reads the
document and no more. Nothing here is needed: a file that is gone or damaged costs an explanation.
"""

from __future__ import annotations

import os

from knarr.build.reasons.values import Entered, decode_entered, encode
from knarr.engine.build.workplace import builds_dir
from knarr.util import jsontext
from knarr.util.files import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.engine.paths import Paths

_LENGTH = 8
_LIMIT = 32 << 20  # bytes of listings for one source


def entered_dir(paths: Paths) -> str:
    """Return where the files are."""
    return f"{builds_dir(paths)}/history/entered"


class Memory:
    """What is remembered of one source."""

    def __init__(self, paths: Paths, source: str) -> None:
        """Read the steps of `source`, a name for a file."""
        self._path = f"{entered_dir(paths)}/{source}"
        self._lengths: list[tuple[str, int]] = []
        self._at = 0
        self.steps: tuple[Entered, ...] = ()
        try:
            self._read()
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return

    def _read(self) -> None:
        with open(self._path, "rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "big")
            document = jsontext.loads(file.read(length).decode("utf-8", "surrogateescape"))
        self._at = _LENGTH + length
        self._lengths = [(digest, size) for digest, size in document["listings"]]
        self.steps = tuple(decode_entered(each) for each in document["steps"])

    def listings(self) -> dict[str, bytes]:
        """Return the listings that were kept, by digest."""
        if not self._lengths:
            return {}
        found = {}
        with open(self._path, "rb") as file:
            file.seek(self._at)
            for digest, size in self._lengths:
                found[digest] = file.read(size)
        return found

    def save(self, steps: Sequence[Entered], listings: Mapping[str, bytes]) -> None:
        """Remember `steps`, and those of `listings` that they speak of."""
        kept = {}
        room = _LIMIT
        for digest in _digests(steps):
            data = listings.get(digest)
            if data is not None and len(data) <= room:
                kept[digest] = data
                room -= len(data)
        document = {
            "steps": [encode(each) for each in steps],
            "listings": [[digest, len(data)] for digest, data in kept.items()],
        }
        text = jsontext.dumps(document).encode("utf-8", "surrogateescape")
        os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
        data = b"".join((len(text).to_bytes(_LENGTH, "big"), text, *kept.values()))
        write_atomically(self._path, data, mode=0o600, durable=False)


def _digests(steps: Sequence[Entered]) -> dict[str, None]:
    """Return the digests of all trees that the steps copied, in order."""
    from knarr.build.reasons.listings import parts  # noqa: PLC0415 - not if all is cached

    return {
        digest: None
        for step in steps
        for action in step.about.get("actions", ())
        for digest, _ in parts(str(action.get("copy", "")))
    }
