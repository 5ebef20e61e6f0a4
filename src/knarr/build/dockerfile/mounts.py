"""`RUN --mount=…`: what each type of mount may say, and its defaults.

Types are bind (the default), cache, tmpfs, secret and ssh. Values may hold variables, which are
known only when the step is lowered: until then `check_mount` looks at what cannot depend on them.
"""

from __future__ import annotations

import re

from knarr.build.dockerfile.fault import Fault
from knarr.util.booleans import find_boolean
from knarr.util.quoting import quote
from knarr.util.suggest import did_you_mean
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")
_KEYS = (
    *("type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode"),
    *("uid", "gid", "src", "dst", "destination", "ro", "rw", "readwrite", "env"),
)
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_SIZE = r"(?i)(\d+(?:\.\d+)?) ?([kmgtp])?i?b?"


class Mount(Value):
    """One mount of a RUN step. `mode`, `uid` and `gid` are None where not given."""

    type: str = "bind"
    origin: str = ""
    source: str = ""
    target: str = ""
    readonly: bool = True
    size: int = 0
    id: str = ""
    sharing: str = ""
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def check_mount(text: str) -> None:
    """Refuse a `from` with a variable, before any stage is lowered. Raises: Fault"""
    for field in _fields(text):
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from" and "$" in value[:-1]:
            message = "'from' doesn't support variable expansion, define alias stage instead"
            raise Fault(message, word=field)


def parse_mount(text: str, expand: Callable[[str], str]) -> Mount:
    """Return the mount that `text` describes. Raises: Fault"""
    given: dict[str, object] = {}
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            given.update(_bare(key, field, str(given.get("type", "bind"))))
            continue
        if key not in _KEYS:
            message = f"unexpected key '{key}' in '{field}'{did_you_mean(key, _KEYS)}"
            raise Fault(message, word=field)
        given.update(_value(key, expand(value), str(given.get("type", "bind"))))
    kind = given.get("type", "bind")
    given.setdefault("readonly", kind not in ("cache", "tmpfs"))
    mount = Mount(**given)  # type: ignore[arg-type] # _value makes each of its field's type
    _check(mount)
    return mount


def _fields(text: str) -> list[str]:
    import csv  # noqa: PLC0415 - only for steps with mounts

    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        message = f"failed to parse csv mounts: {error}"
        raise Fault(message, word=text) from None


def _bare(key: str, field: str, kind: str) -> dict[str, object]:
    if key in ("readonly", "ro"):
        return {"readonly": True}
    if key in ("readwrite", "rw"):
        return {"readonly": False}
    if key == "required":
        return {"required": _required(key, kind)}
    message = f"invalid field '{field}' must be a key=value pair"
    raise Fault(message, word=field)


def _value(key: str, value: str, kind: str) -> dict[str, object]:
    name = _ALIASES.get(key, key)
    converted: object = value
    if name == "type":
        converted = _choice("mount type", value, TYPES)
    elif name == "sharing":
        converted = _choice("sharing value", value, SHARINGS)
    elif name == "readonly":
        converted = _boolean(key, value)
    elif name in ("rw", "readwrite"):
        name, converted = "readonly", not _boolean(key, value)
    elif name == "required":
        converted = _required(key, kind) and _boolean(key, value)
    elif name == "size":
        converted = _size(key, value, kind)
    elif name in ("mode", "uid", "gid"):
        converted = _number(key, value, 8 if name == "mode" else 10)
    return {"origin" if name == "from" else name: converted}


def _required(key: str, kind: str) -> bool:
    if kind not in ("secret", "ssh"):
        _unexpected(key, kind)
    return True


def _unexpected(key: str, kind: str) -> None:
    message = f"unexpected key '{key}' for mount type '{kind}'"
    raise Fault(message, word=key)


def _choice(what: str, value: str, choices: tuple[str, ...]) -> str:
    if value.lower() not in choices:
        message = f"unsupported {what} {quote(value)}{did_you_mean(value, choices)}"
        raise Fault(message, word=value)
    return value.lower()


def _boolean(key: str, value: str) -> bool:
    found = find_boolean(value)
    if found is None:
        message = f"invalid value for {key}: {value}"
        raise Fault(message, word=value)
    return found


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or (number := int(value, base)) >= 1 << 32:
        message = f"invalid value {value} for {key}"
        raise Fault(message, word=value)
    return number


def _size(key: str, value: str, kind: str) -> int:
    if kind != "tmpfs":
        _unexpected(key, kind)
    match = re.fullmatch(_SIZE, value)
    if match is None:
        message = f"invalid value for {key}: {value}"
        raise Fault(message, word=value)
    power = "kmgtp".index(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * 1024**power)


def _check(mount: Mount) -> None:
    if mount.type not in ("secret", "ssh", "cache"):
        for name in ("mode", "uid", "gid"):
            if getattr(mount, name) is not None:
                message = f"{name} not allowed for {quote(mount.type)} type mounts"
                raise Fault(message, word=name)
    if mount.type == "secret":
        _check_secret(mount)
    if mount.sharing and mount.type != "cache":
        message = f"invalid cache sharing set for {mount.type} mount"
        raise Fault(message, word="sharing")


def _check_secret(mount: Mount) -> None:
    message = ""
    if mount.origin:
        message = "secret mount should not have a from"
    elif mount.sharing:
        message = "secret mount should not define sharing"
    elif not (mount.source or mount.target or mount.id):
        message = "invalid secret mount. one of source, target required"
    elif mount.source and mount.id:
        message = "both source and id can't be set"
    if message:
        raise Fault(message, word="secret")
