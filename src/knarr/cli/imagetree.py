"""The tree of `images --tree`: each name with the platforms behind it, as wide as the terminal.

IMAGE                           ID             DISK USAGE   CONTENT SIZE   EXTRA
debian:latest                   6d5e0bd6c4f5        216MB         98.4MB   U
├─ linux/amd64                  6d5e0bd6c4f5        124MB         48.5MB   U
└─ linux/arm64                  a1c3bb9ce9ae         92MB         49.9MB

Docker: columns, widths and signs of 28.2; the longest name comes first
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.engine.image.family.tree import Family, Relative

UNTAGGED = "<untagged>"
_GAP = "   "
_LEAST = 10  # columns for names on a terminal that is too narrow
# Title, width, to which side; names have what is left.
_COLUMNS = (("ID", 12, "<"), ("DISK USAGE", 10, ">"), ("CONTENT SIZE", 12, ">"), ("EXTRA", 5, "<"))
_TAKEN = sum(width + len(_GAP) for _, width, _ in _COLUMNS)
_IN_USE = "U"
_LEGEND = " Info ->  U In Use "


def lines(families: Iterable[Family], columns: int) -> Iterator[str]:
    """Yield the lines of the tree on a terminal that has `columns`."""
    names = max(columns - _TAKEN, _LEAST)
    yield f"{_LEGEND:>{names + _TAKEN}}"
    yield ""
    yield _line(names, "IMAGE", [title for title, _, _ in _COLUMNS]).rstrip()
    for family in families:
        yield from _family(family, names)
        yield ""


def _family(family: Family, width: int) -> Iterator[str]:
    names = sorted((name.familiar() for name in family.names), key=len, reverse=True)
    *others, last = names or [UNTAGGED]
    yield from others
    yield _line(width, last, _cells(family))
    for position, relative in enumerate(family.relatives, 1):
        branch = "└─" if position == len(family.relatives) else "├─"
        yield _line(width, f"{branch} {relative.platform}", _cells(relative))


def _cells(what: Family | Relative) -> list[str]:
    from knarr.util.text import human_size  # noqa: PLC0415 - for who asks for the tree

    sizes = [human_size(size, precision=3) for size in (what.disk, what.content)]
    return [what.id.short, *sizes, _IN_USE if what.used else ""]


def _line(width: int, name: str, cells: list[str]) -> str:
    shown = [f"{cell:{side}{room}}" for cell, (_, room, side) in zip(cells, _COLUMNS, strict=True)]
    return _GAP.join([f"{_cut(name, width):<{width}}", *shown])


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
