"""Durations as Go writes them (`1h30m`, `500ms`), which is how Docker's users do.

Internally a duration is an int of nanoseconds, so that what was written comes out unchanged.
"""

from __future__ import annotations

import re

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_UNITS = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([a-zµμ]*)")


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a text like `1h15m30.5s`, `-2s` or `0`.

    Docker: durations of flags and of HEALTHCHECK are parsed by Go's time.ParseDuration
    Raises: ValueError, with Go's words
    """
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    invalid = f'time: invalid duration "{text}"'
    if not rest:
        raise ValueError(invalid)
    total = 0
    at = 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            raise ValueError(invalid)
        number, unit = part.groups()
        if not unit:
            message = f'time: missing unit in duration "{text}"'
            raise ValueError(message)
        if unit not in _UNITS:
            message = f'time: unknown unit "{unit}" in duration "{text}"'
            raise ValueError(message)
        whole, _, fraction = number.partition(".")
        size = _UNITS[unit]
        total += int(whole or "0") * size + int(fraction or "0") * size // 10 ** len(fraction)
        at = part.end()
    return -total if text[0] == "-" else total


def render_duration(nanoseconds: int) -> str:
    """Return the text of a duration as Go prints it: `1h0m0s`, `1.5s`, `20ms`, `0s`."""
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < SECOND:
        if rest == 0:
            return "0s"
        for unit, size in (("ms", MILLISECOND), ("µs", MICROSECOND), ("ns", NANOSECOND)):
            if rest >= size:
                return f"{sign}{_decimal(rest, size)}{unit}"
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{_decimal(rest, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(number: int, size: int) -> str:
    whole, rest = divmod(number, size)
    if not rest:
        return str(whole)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0")
