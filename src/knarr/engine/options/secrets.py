"""`--secret` as people write it: `NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]`.

Podman: specgenutil of its command line
"""

from __future__ import annotations

from knarr.engine.options.csvline import split_csv
from knarr.engine.options.values import SecretRequest
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_ID = 0x7FFFFFFF
LARGEST_MODE = 0o7777


def parse_secret(text: str) -> SecretRequest:
    """Return what one `--secret` asks for.

    Raises: InvalidArgument
    """
    first, *rest = split_csv(text)
    fields: dict[str, Any] = {}
    if "=" in first:
        rest.insert(0, first)
    else:
        fields["name"] = first
    for field in rest:
        key, equals, value = field.partition("=")
        if not equals:
            message = f"option {field} must be in form option=value: invalid secret"
            raise InvalidArgument(message)
        fields |= _field(key, value)
    if not fields.get("name"):
        message = f"no source found {text}: invalid secret"
        raise InvalidArgument(message)
    if fields.get("kind") == "env" and fields.keys() & {"uid", "gid", "mode"}:
        message = "UID, GID, Mode options cannot be set with secret type env: invalid secret"
        raise InvalidArgument(message)
    return SecretRequest(**fields)


def _field(key: str, value: str) -> dict[str, Any]:
    if key in ("source", "name"):
        return {"name": value}
    if key == "target":
        return {"target": value}
    if key == "type" and value in ("mount", "env"):
        return {"kind": value}
    if key == "type":
        message = f"type {value} is invalid: invalid secret"
        raise InvalidArgument(message, hint="It is mount or env.")
    if key in ("uid", "gid"):
        return {key: _number(key, value, 10, LARGEST_ID)}
    if key == "mode":
        return {key: _number(key, value, 8, LARGEST_MODE)}
    message = f"option {key}={value} invalid: invalid secret"
    raise InvalidArgument(message)


def _number(key: str, text: str, base: int, largest: int) -> int:
    digits = "0123456789"[:base]
    if text and not set(text) - set(digits) and int(text, base) <= largest:
        return int(text, base)
    message = f"{key} {text} invalid: invalid secret"
    raise InvalidArgument(message)
