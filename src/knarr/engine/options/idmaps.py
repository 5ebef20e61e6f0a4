"""Owners in a bind mount that are others on the disk: `idmap`, with a mapping or without.

    idmap                                the container's user stands for the directory's owner
    idmap=uids=1000-0-1#2000-1-10;gids=1000-0-1

A range is written first ID on the disk, first ID in the mount, and how many; with `@` before the
ranges those in the mount are the container's own numbers, which matters with `--userns`.

Podman: the option idmap of -v and --mount
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.engine.options.values import IdRange

    Ranges = list[tuple[int, int, int]]

LAST = (1 << 32) - 2  # the highest ID there is


def check_idmap(text: str) -> str:
    """Return the mapping `text`, which may be empty, if it is one.

    Raises: InvalidArgument
    """
    parse_idmap(text, (), ())
    return text


def parse_idmap(
    text: str, uids: Iterable[IdRange], gids: Iterable[IdRange]
) -> tuple[Ranges, Ranges]:
    """Return the ranges of users and of groups that `text` says, none of what it does not say.

    `uids` and `gids` are the container's own, for ranges that are relative to them.

    Raises: InvalidArgument
    """
    found: dict[str, Ranges] = {"uids": [], "gids": []}
    for part in text.split(";") if text else ():
        key, equals, value = part.partition("=")
        if key not in found or not equals or found[key]:
            raise _invalid(text)
        own = list(uids if key == "uids" else gids)
        relative = value.startswith("@")
        for triplet in value.removeprefix("@").split("#"):
            disk, seen, size = _numbers(triplet, text)
            found[key].append((disk, translate(seen, own) if relative else seen, size))
    return found["uids"], found["gids"]


def _numbers(triplet: str, text: str) -> tuple[int, int, int]:
    words = triplet.split("-")
    if len(words) != 3 or not all(word.isdecimal() and word.isascii() for word in words):
        raise _invalid(text)
    disk, seen, size = map(int, words)
    if not size or max(disk, seen) + size - 1 > LAST:
        raise _invalid(text)
    return disk, seen, size


def _invalid(text: str) -> InvalidArgument:
    message = f"invalid idmap: {text}"
    hint = "It is idmap=uids=DISK-MOUNT-SIZE[#…];gids=…, as idmap=uids=1000-0-1;gids=1000-0-1."
    return InvalidArgument(message, hint=hint)


def translate(number: int, ranges: Iterable[IdRange]) -> int:
    """Return what an ID of the container is outside; itself if the container has no users."""
    for each in ranges:
        if each.inside <= number < each.inside + each.size:
            return each.outside + number - each.inside
    return number


def owner_ranges(owner: int, user: int, ranges: Iterable[IdRange]) -> Ranges:
    """Return the mapping in which `owner` on the disk is `user` in the container.

    All other IDs are the same on the disk as in the container, whose own `ranges` are. What then
    has no number on the other side is nobody's: the user's number on the disk, the owner's in the
    container. So nobody inside but the user gets what belongs to the owner, and nobody makes files
    of, say, root on the host but root inside.
    """
    own = [(one.inside, one.outside, one.size) for one in ranges] or [(0, 0, LAST + 1)]
    found = [(owner, translate(user, ranges), 1)]
    for inside, outside, size in own:
        for first, count in _without(inside, size, sorted({owner, user})):
            found.append((first, outside + first - inside, count))
    return found


def _without(first: int, count: int, numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Yield first and count of what is left of a range without some numbers."""
    end = first + count
    for number in numbers:
        if first <= number < end:
            if number > first:
                yield first, number - first
            first = number + 1
    if first < end:
        yield first, end - first
