"""How much an archive or a layer may grow when it is unpacked.

A few kilobytes can be made that become as many terabytes. What grows as settings allow is believed;
the rest is refused while it is read, as soon as it shows.
"""

from __future__ import annotations

from knarr.engine import settings
from knarr.errors import Corrupt
from knarr.util import compression
from knarr.util.text import human_size
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.util.compression import Reader


class Growth(Value):
    """Up to `free` bytes anything may become, beyond that `times` as much; 0 is no limit."""

    times: int
    free: int


USUAL = Growth(settings.GROWTH.default, settings.GROWTH_FREE.default)


def allowed(engine: Engine) -> Growth:
    """Return what settings allow."""
    get = engine.settings.get
    return Growth(get(settings.GROWTH), get(settings.GROWTH_FREE))


def open_any(reader: Reader, growth: Growth, what: str) -> tuple[Reader, str]:
    """Return `reader` uncompressed, and how it was compressed; `what` it is is for errors.

    Raises: Corrupt, when read
    """
    packed = _Counted(reader)
    unpacked, kind = compression.open_any(packed)
    if not kind or not growth.times:
        return unpacked, kind
    return _Believed(packed, unpacked, growth, what), kind


class _Counted:
    """Counts what is read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._reader.read(size)
        self.count += len(data)
        return data


class _Believed:
    """Hands on what is unpacked, as long as it can be believed."""

    def __init__(self, packed: _Counted, unpacked: Reader, growth: Growth, what: str) -> None:
        self._packed = packed
        self._unpacked = unpacked
        self._growth = growth
        self._what = what
        self._count = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._unpacked.read(size)
        self._count += len(data)
        if self._count > max(self._growth.free, self._growth.times * self._packed.count):
            packed = human_size(self._packed.count, precision=3)
            message = (
                f"{self._what} grows from {packed} to more than "
                f"{human_size(self._count, precision=3)} when it is unpacked"
            )
            hint = f"If that is meant so, raise {settings.GROWTH.name} in the settings."
            raise Corrupt(message, hint=hint)
        return data
