"""What the modules here share: bodies read with care, and numbers that may be negative."""

from __future__ import annotations

from contextlib import contextmanager

from knarr.errors import Corrupt, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.oci.document import Fields

LOWEST = -(1 << 63)


@contextmanager
def reading() -> Iterator[None]:
    """Let a field of the wrong type be the client's fault: `Fields` is made for stored documents.

    Raises: InvalidArgument
    """
    try:
        yield
    except Corrupt as error:
        message = f"invalid JSON: {error.message}"
        raise InvalidArgument(message) from None


def window(size: object) -> tuple[int, int] | None:
    """Return the rows and columns in a `ConsoleSize`, None for none."""
    if isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size):
        return size[0], size[1]
    return None


def number(fields: Fields, key: str) -> int:
    """Return a whole number that may be negative, 0 when absent."""
    return fields.integer(key, lowest=LOWEST)
