"""Sizes, spans of time and long names as Docker's users read and write them.

Two families of units, as Docker has them: sizes of images and files count in thousands ("7.81MB"),
memory counts in 1024 ("64MiB"); what a person types is always read as powers of 1024.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
LARGEST_SIZE = (1 << 63) - 1


def human_size(size: float, *, precision: int = 4) -> str:
    """Return a size in units of 1000 with `precision` digits: `7.81MB`, `0B`.

    Docker: images show 4 digits in older versions and 3 in `docker ps -s`
    """
    return _scaled(size, 1000.0, DECIMAL_UNITS, precision, "")


def binary_size(size: float) -> str:
    """Return a size in units of 1024 with 4 digits: `64MiB`, `1.944GiB`."""
    return _scaled(size, 1024.0, BINARY_UNITS, 4, "")


def _scaled(size: float, base: float, units: tuple[str, ...], precision: int, gap: str) -> str:
    index = 0
    while size >= base and index < len(units) - 1:
        size /= base
        index += 1
    return f"{size:.{precision}g}{gap}{units[index]}"


def progress_bar(done: int, whole: int) -> str:
    """Return how far something has come: `[====>     ]  1.05MB/3.8MB`."""
    width = 50
    filled = min(width, width * done // whole)
    bar = "=" * filled + ">" * (filled < width) + " " * (width - filled - 1)
    return f"[{bar}] {human_size(done)}/{human_size(whole)}"


def parse_size(text: str) -> int:
    """Return the bytes of a size as people write it: `64m`, `1.5g`, `10kb`, `1KiB`, `512`.

    Raises: InvalidArgument
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :].lower()
    number = number.removesuffix(" ")
    digits, dot, fraction = number.partition(".")
    plain = digits.isascii() and digits.isdigit()
    if plain and dot:
        plain = fraction.isascii() and fraction.isdigit()
    exponent = _UNIT_EXPONENTS.get(unit)
    if not plain or exponent is None:
        message = f"invalid suffix: '{unit}'" if plain else f"invalid size: '{text}'"
        raise InvalidArgument(message, hint="Write a number and a unit: b, k, m, g or t.")
    scale: int = 1024**exponent
    size = int(digits) * scale
    if fraction:
        size += int(fraction) * scale // 10 ** len(fraction)
    if size > LARGEST_SIZE:
        message = f"invalid size: '{text}'"
        raise InvalidArgument(message, hint="The number is too large.")
    return size


_UNIT_EXPONENTS = {"": 0, "b": 0} | {
    f"{letter}{ending}": exponent
    for exponent, letter in enumerate("kmgtp", 1)
    for ending in ("", "b", "ib")
}


def parse_billionths(text: str) -> int:
    """Return a decimal number such as `1.5` in billionths, as `--cpus` counts them.

    Raises: InvalidArgument
    """
    sign = text[:1] if text[:1] in ("-", "+") else ""
    digits, _, fraction = text[len(sign) :].partition(".")
    whole = (digits or "0") + (fraction or "0")
    if not (digits or fraction) or not (whole.isascii() and whole.isdigit()):
        return _rational(text)
    if len(fraction.rstrip("0")) > 9:
        message = "value is too precise"
        raise InvalidArgument(message)
    value = int(digits or "0") * 10**9 + int(fraction[:9].ljust(9, "0"))
    return -value if sign == "-" else value


def _rational(text: str) -> int:
    """Return a number as Go's big.Rat reads it, such as `1/2` or `5e-1`, in billionths."""
    from fractions import Fraction  # noqa: PLC0415 - nobody writes them so

    try:
        value = Fraction(text) * 10**9
    except (ValueError, ZeroDivisionError):
        message = f"failed to parse {text} as a rational number"
        raise InvalidArgument(message) from None
    if value.denominator != 1:
        message = "value is too precise"
        raise InvalidArgument(message)
    return value.numerator


def human_duration(seconds: float) -> str:
    """Return a span of time in the words of `docker ps`: `About a minute`, `2 hours`."""
    whole = int(seconds)
    minutes = whole // 60
    hours = int(seconds / 3600 + 0.5)
    for fits, words in (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < 60, f"{whole} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{hours // 24} days"),
        (hours < 24 * 30 * 2, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
    ):
        if fits:
            return words
    return f"{whole // 3600 // 24 // 365} years"


def ellipsis(text: str, width: int) -> str:
    """Return `text`, cut to `width` characters with `…` at the end if it is longer."""
    if width <= 0:
        return ""
    if len(text) <= width:
        return text
    return text[: width - 1] + "…"
