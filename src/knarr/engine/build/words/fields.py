"""The grammar that `--output`, `--cache-to` and their like share: `KEY=VALUE,…`."""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.util.booleans import find_boolean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.engine.image.forms import Form

_COMPRESSIONS = {"uncompressed": "", "gzip": "gzip", "zstd": "zstd"}
_LEVELS = {"gzip": 9, "zstd": 22}


def parse_fields(text: str) -> dict[str, str]:
    """Return the fields of `KEY=VALUE,…`; one with a comma in it is quoted, as in CSV.

    Raises: InvalidArgument
    """
    import csv  # noqa: PLC0415 - for who asks for it

    fields = {}
    for part in next(csv.reader([text])):
        key, equals, value = part.partition("=")
        if not equals:
            message = f"invalid value {part}"
            raise InvalidArgument(message, hint="It is type=TYPE,KEY=VALUE…, or a path alone.")
        key = key.strip()
        fields[key if key.startswith("annotation") else key.lower()] = value
    return fields


def parse_compression(fields: Mapping[str, str], *, default: str = "gzip") -> Form:
    """Return how layers are compressed.

    Raises: InvalidArgument
    """
    from knarr.engine.image.forms import Form  # noqa: PLC0415 - for few

    name = fields.get("compression", default)
    if name not in _COMPRESSIONS:
        message = f"unsupported layer compression type: {name}"
        raise InvalidArgument(message, hint=f"It is one of {', '.join(_COMPRESSIONS)}.")
    force = parse_flag(fields, "force-compression", default=False)
    text = fields.get("compression-level", "")
    if not text:
        return Form(_COMPRESSIONS[name], force=force)
    highest = _LEVELS.get(name, 0)
    if not (text.isascii() and text.isdigit() and int(text) <= highest):
        message = f"invalid compression-level {text} of {name}"
        raise InvalidArgument(message, hint=f"It is a number from 0 to {highest}.")
    return Form(_COMPRESSIONS[name], int(text), force)


def parse_flag(fields: Mapping[str, str], key: str, *, default: bool) -> bool:
    """Return what a field says, true without a value. Raises: InvalidArgument"""
    text = fields.get(key)
    if text is None:
        return default
    found = find_boolean(text or "true")
    if found is None:
        message = f"non-bool value {text!r} specified for {key}"
        raise InvalidArgument(message)
    return found
