"""The flags of an instruction: `--chown=app`, `--link`, `--exclude=a --exclude=b`."""

from __future__ import annotations

from knarr.build.dockerfile.fault import Fault
from knarr.util.suggest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Flags:
    """The flags that were given, checked against those an instruction knows."""

    def __init__(
        self,
        given: Sequence[str],
        *,
        texts: Sequence[str] = (),
        lists: Sequence[str] = (),
        switches: Sequence[str] = (),
    ) -> None:
        """Check `given`. Raises: Fault"""
        self._values: dict[str, list[str]] = {}
        self._known = (*texts, *lists, *switches)
        for flag in given:
            written, equals, value = flag.partition("=")
            name = written[2:]
            if name not in self._known:
                message = f"unknown flag: {written}{did_you_mean(name, self._known)}"
                raise Fault(message, word=written)
            if name in self._values and name not in lists:
                message = f"duplicate flag specified: {written}"
                raise Fault(message, word=written)
            if name in switches:
                value = _switch(written, value, given=bool(equals))
            elif not equals:
                message = f"missing a value on flag: {written}"
                raise Fault(message, word=written)
            self._values.setdefault(name, []).append(value)

    def text(self, name: str, default: str = "") -> str:
        """Return the value given for `name`."""
        return self._values.get(name, [default])[0]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values given for `name`."""
        return tuple(self._values.get(name, ()))

    def switch(self, name: str) -> bool | None:
        """Return whether `name` was switched on or off, None if it was not mentioned."""
        value = self._values.get(name)
        return None if value is None else value[0] == "true"


def _switch(written: str, value: str, *, given: bool) -> str:
    if given and not value:
        message = f"missing a value on flag: {written}"
        raise Fault(message, word=written)
    lower = value.lower() or "true"
    if lower not in ("true", "false"):
        message = f"expecting boolean value for flag {written}, not: {value}"
        raise Fault(message, word=written)
    return lower
