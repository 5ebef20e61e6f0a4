"""Points in time as text: RFC 3339 with nanoseconds, and what `--since` takes.

A point in time is an int of nanoseconds since 1970 in UTC, everywhere in knarr; a float could not
hold it. Written without `datetime`, which has microseconds only and costs a millisecond to load.
"""

from __future__ import annotations

import time

from knarr.errors import InvalidArgument

SECOND_NS = 10**9
# What Docker shows for "never".
ZERO = "0001-01-01T00:00:00Z"


def render_rfc3339(when_ns: int) -> str:
    """Return a point in time in UTC, with as many decimals as it needs: `…T10:00:00.5Z`."""
    seconds, nanoseconds = divmod(when_ns, SECOND_NS)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    if nanoseconds:
        text += f".{nanoseconds:09}".rstrip("0")
    return f"{text}Z"


def parse_rfc3339(text: str) -> int:
    """Return the nanoseconds since 1970 of a full RFC 3339 time with its zone.

    Raises: InvalidArgument
    """
    found = _parse_iso(text)
    if found is None or found[1] is None:
        message = f"invalid time: {text!r}"
        raise InvalidArgument(message, hint="Write a time like 2026-01-02T15:04:05Z.")
    return found[0] - found[1] * SECOND_NS


def parse_when(text: str, *, now_ns: int) -> int:
    """Return the nanoseconds since 1970 of what `--since` and `--until` take.

    That is seconds since 1970 (`1700000000.5`), a duration before now (`10m`), or a date with as
    much of a time as wanted (`2026-01-02`, `2026-01-02T15:04`), local time unless a zone is given.

    Raises: InvalidArgument
    """
    whole, _, fraction = text.partition(".")
    if whole.isascii() and whole.isdigit() and (not fraction or fraction.isdigit()):
        return int(whole) * SECOND_NS + int(fraction[:9].ljust(9, "0"))
    found = _parse_iso(text)
    if found is not None:
        moment, offset = found
        if offset is None:
            local = time.localtime(moment // SECOND_NS)
            offset = local.tm_gmtoff
        return moment - offset * SECOND_NS
    from knarr.util.durations import parse_duration  # noqa: PLC0415 - loads regular expressions

    try:
        return now_ns - parse_duration(text)
    except ValueError:
        message = f"invalid time: {text!r}"
        hint = "Write seconds since 1970, a duration like 10m, or 2026-01-02T15:04:05Z."
        raise InvalidArgument(message, hint=hint) from None


def _parse_iso(text: str) -> tuple[int, int | None] | None:
    """Return (nanoseconds as if in UTC, offset of the zone in seconds or None), or None."""
    date, _, clock = text.replace("t", "T").replace("z", "Z").partition("T")
    numbers = date.split("-")
    if len(numbers) != 3 or [len(n) for n in numbers] != [4, 2, 2] or not _digits(numbers):
        return None
    year, month, day = (int(number) for number in numbers)
    parts = _parse_clock(clock) if clock else (0, None)
    if parts is None or not 1 <= month <= 12 or not 1 <= day <= _month_days(year, month):
        return None
    days = _days_before(year, month, day)
    return days * 86400 * SECOND_NS + parts[0], parts[1]


def _parse_clock(clock: str) -> tuple[int, int | None] | None:
    offset = None
    if clock.endswith("Z"):
        clock, offset = clock[:-1], 0
    elif "+" in clock or "-" in clock:
        sign = "+" if "+" in clock else "-"
        clock, _, zone = clock.partition(sign)
        hours, colon, minutes = zone.partition(":")
        if not colon or not _digits([hours, minutes]) or len(hours) != 2 or len(minutes) != 2:
            return None
        offset = (int(hours) * 3600 + int(minutes) * 60) * (1 if sign == "+" else -1)
    clock, dot, fraction = clock.partition(".")
    numbers = clock.split(":")
    if len(numbers) > 3 or not _digits(numbers) or any(len(n) != 2 for n in numbers):
        return None
    if dot and not (_digits([fraction]) and len(numbers) == 3):
        return None
    hour, minute, second = (*(int(n) for n in numbers), 0, 0)[:3]
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds = hour * 3600 + minute * 60 + second
    return seconds * SECOND_NS + int(fraction[:9].ljust(9, "0")), offset


def _digits(texts: list[str]) -> bool:
    return all(text.isascii() and text.isdigit() for text in texts)


def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _days_before(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01, counting years from March so that leap days come last."""
    year -= month <= 2
    era_year = year % 400
    year_day = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    era_day = era_year * 365 + era_year // 4 - era_year // 100 + year_day
    return year // 400 * 146097 + era_day - 719468
