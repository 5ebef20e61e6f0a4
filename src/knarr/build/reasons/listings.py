"""In which files two copied trees differ, and how, from the listings that their digests are of."""

from __future__ import annotations

from knarr.build.reasons.values import Cause
from knarr.snapshot.treehash import read_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN = 20
"""Files of one copy that are named."""

_KINDS = {"10": "a file", "4": "a directory", "12": "a link", "2": "a device", "6": "a device"}
_KIND_DIGITS = 4  # the permissions take the last four digits of an octal mode


def compare_copies(
    source: str, before: str, after: str, listings: Mapping[str, bytes]
) -> list[Cause]:
    """Return what differs between two fingerprints of what is copied from `source`.

    `listings` are those of the trees by their digests; of what is not there nothing can be told.
    """
    if not all(digest in listings for text in (before, after) for digest, _ in parts(text)):
        return [Cause("copied", source)]
    old, new = (_entries(source, text, listings) for text in (before, after))
    found = []
    for path in sorted(old.keys() | new.keys()):
        change = _change(old.get(path), new.get(path))
        if change is not None:
            found.append(change.replace(subject=path))
    if len(found) > SHOWN:
        return [*found[:SHOWN], Cause("more-files", str(len(found) - SHOWN))]
    return found or [Cause("copied", source)]


def parts(fingerprint: str) -> Iterator[tuple[str, str]]:
    """Yield digest and name of each match; a directory whose contents are taken has no name."""
    for word in fingerprint.split("sha256:")[1:]:
        hexadecimal, _, name = word.removesuffix(" ").partition(":")
        yield f"sha256:{hexadecimal}", name


def _entries(source: str, fingerprint: str, listings: Mapping[str, bytes]) -> dict[str, bytes]:
    lead = source.strip("/").removeprefix("./")
    lead = "" if lead == "." else lead
    found = {}
    for digest, name in parts(fingerprint):
        for path, description in read_listing(listings[digest]):
            if name:
                above = lead.rpartition("/")[0]
                shown = f"{above}/{name}" if above else name
            else:
                shown = f"{lead}/{path}" if lead else path
            found[shown] = description
    return found


def _change(old: bytes | None, new: bytes | None) -> Cause | None:
    """Return how a file changed, or None if it did not."""
    if old == new:
        return None
    if old is None or new is None:
        return Cause("file-added" if old is None else "file-removed")
    if old.startswith(b"link ") and new.startswith(b"link "):
        return Cause("file-target", before=_target(old), after=_target(new))
    was, now = _kind(old), _kind(new)
    if was != now:
        return Cause("file-kind", before=was, after=now)
    old_mode, *old_owner, old_content = old.split(b" ", 3)
    new_mode, *new_owner, new_content = new.split(b" ", 3)
    if old_content != new_content:
        return Cause("file-content")
    if old_mode != new_mode:
        return Cause("file-mode", before=_mode(old_mode), after=_mode(new_mode))
    return Cause("file-owner", before=_owner(old_owner), after=_owner(new_owner))


def _kind(description: bytes) -> str:
    if description.startswith(b"link "):
        return _KINDS["12"]
    digits = description.partition(b" ")[0].decode()[:-_KIND_DIGITS]
    return _KINDS.get(digits, "a pipe")


def _target(description: bytes) -> str:
    return description.split(b" ", 3)[3].decode("utf-8", "replace")


def _mode(digits: bytes) -> str:
    return digits[-_KIND_DIGITS:].decode()


def _owner(owner: list[bytes]) -> str:
    return b":".join(owner).decode()
