"""Devices, as people write them: `--device`."""

from __future__ import annotations

from knarr.engine.options.values import Device
from knarr.errors import InvalidArgument

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CDI = _LETTERS | frozenset("0123456789_-.")


def is_qualified_device(text: str) -> bool:
    """Tell whether a `--device` is `vendor/class=name`, which a CDI file describes, and no path."""
    kind, equals, name = text.partition("=")
    vendor, slash, group = kind.partition("/")
    plain = all(
        part[:1] in _LETTERS and _CDI.issuperset(part) for part in (vendor, group) if equals
    )
    return bool(slash and vendor and group and name and plain and (_CDI | {":"}).issuperset(name))


def parse_device(text: str) -> Device:
    """Return the device of `--device /dev/a[:/dev/b][:rwm]`.

    Raises: InvalidArgument
    """
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        message = f"bad format for path: {text}"
        raise InvalidArgument(message)
    source, target, permissions = parts[0], "", "rwm"
    if len(parts) == 3:
        target, permissions = parts[1], parts[2]
        if not _permissions(permissions):
            message = f"bad mode specified: {permissions}"
            raise InvalidArgument(message)
    elif len(parts) == 2:
        if _permissions(parts[1]):
            permissions = parts[1]
        else:
            target = parts[1]
    target = target or source
    for path in (source, target):
        if not path.startswith("/"):
            message = f"{path} is not an absolute path"
            raise InvalidArgument(message)
    return Device(source, target, permissions)


def _permissions(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")
