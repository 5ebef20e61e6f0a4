"""What is mounted, as people write it: `-v`, `--mount`, `--tmpfs`.

Docker: volume/mounts of moby for `-v`, opts/mount of its command line for `--mount`.
"""

from __future__ import annotations

import os

from knarr.engine.options.csvline import split_csv
from knarr.engine.options.idmaps import check_idmap
from knarr.engine.options.mountmodes import PROPAGATIONS, parse_mode
from knarr.engine.options.values import MountRequest
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECURSIONS = frozenset(("enabled", "disabled", "writable", "readonly"))
TMPFS_WORDS = frozenset((
    "rw", "ro", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync",
    "remount", "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "bind", "rbind",
    "relatime", "norelatime", "strictatime", "nostrictatime", "private", "rprivate", "shared",
    "rshared", "slave", "rslave", "unbindable", "runbindable",
))  # fmt: skip
# What else may be mounted anew, with the parameters of each. Podman: devpts, ramfs
FILE_SYSTEMS = {"devpts": frozenset(("uid", "gid", "mode", "max")), "ramfs": frozenset(("mode",))}
_PARAMETERS = frozenset().union(*FILE_SYSTEMS.values())
TMPFS_KEYS = frozenset(("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"))


def parse_volume(text: str) -> MountRequest:
    """Return the mount of one `-v`: `/host:/at[:mode]`, `name:/at[:mode]` or `/at`.

    Raises: InvalidArgument
    """
    parts = text.split(":")
    message = ""
    if not text:
        message = "invalid empty volume spec"
    elif "" in parts:
        message = f"invalid spec: {text}: empty section between colons"
    elif len(parts) > 3:
        message = f"invalid volume specification: '{text}'"
    if message:
        raise InvalidArgument(message)
    if len(parts) == 1:
        return MountRequest("volume", _target(text, text))
    source, target = parts[0], parts[1]
    mode = parts[2] if len(parts) == 3 else ""
    target = _target(target, text)
    if source.startswith((".", "~")):
        source = os.path.abspath(os.path.expanduser(source))
    if source.startswith("/"):
        mode_fields = parse_mode(mode, text, bind=True)
        source = os.path.normpath(source)
        return MountRequest(
            "bind", target, source, creates_source=True, mode_text=mode, **mode_fields
        )
    return MountRequest(
        "volume", target, source, mode_text=mode, **parse_mode(mode, text, bind=False)
    )


def _target(target: str, text: str) -> str:
    if not target.startswith("/"):
        message = (
            f"invalid volume specification: '{text}': invalid mount path: '{target}' "
            "mount path must be absolute"
        )
        raise InvalidArgument(message)
    target = os.path.normpath(target)
    if target in ("/", "//"):
        message = (
            f"invalid volume specification: '{text}': invalid specification: "
            "destination can't be '/'"
        )
        raise InvalidArgument(message)
    return target


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """Return the container that one `--volumes-from` names, and whether only to read.

    Raises: InvalidArgument
    """
    name, colon, mode = text.partition(":")
    message = ""
    if not text:
        message = "volumes-from specification cannot be an empty string"
    elif not name:
        message = 'invalid name or ID supplied: ""'
    elif colon and not mode:
        message = f"invalid mode: {mode}"
    if message:
        raise InvalidArgument(message)
    fields = parse_mode(mode, text, bind=False)
    if not {"readonly"}.issuperset(fields):
        message = f"invalid mode: {mode}"
        raise InvalidArgument(message)
    return name, bool(fields.get("readonly"))


def parse_tmpfs(text: str) -> MountRequest:
    """Return the mount of `--tmpfs /run[:options]`.

    Raises: InvalidArgument
    """
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        message = f"invalid mount path: '{target}' mount path must be absolute"
        raise InvalidArgument(message)
    for word in options.split(",") if options else ():
        key, equals, value = word.partition("=")
        if not (key in TMPFS_KEYS and value) if equals else key not in TMPFS_WORDS:
            message = f'invalid tmpfs option ["{word}"]'
            raise InvalidArgument(message)
    if os.path.normpath(target).strip("/") == "":
        message = "invalid specification: destination can't be '/'"
        raise InvalidArgument(message)
    return MountRequest("tmpfs", os.path.normpath(target), tmpfs_options=options)


def parse_mount(text: str) -> MountRequest:
    """Return the mount of `--mount type=bind,src=/a,dst=/b,readonly`.

    Raises: InvalidArgument
    """
    fields: dict[str, Any] = {}
    kind, source, target = "volume", "", ""
    prefixes = set()
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals and key not in _SWITCHES and key != "idmap":
            message = f"invalid field '{field}' must be a key=value pair"
            raise InvalidArgument(message)
        prefixes.add(key.partition("-")[0] if "-" in key else "")
        if key == "type":
            kind = value.lower()
        elif key in ("source", "src"):
            source = value
        elif key in ("target", "dst", "destination"):
            target = value
        else:
            _mount_field(fields, key, value, field, given=bool(equals))
    for prefix in ("volume", "bind", "tmpfs", "image"):
        if prefix in prefixes and kind != prefix:
            message = f"cannot mix '{prefix}-*' options with mount type '{kind}'"
            raise InvalidArgument(message)
    _check_recursion(fields)
    return make_mount(kind, source, target, fields, text=text)


def _check_recursion(fields: dict[str, Any]) -> None:
    """Raise unless what `bind-recursive` says of read-only mounts is said of one."""
    word = fields.pop("recursion", "")
    message = ""
    if word in ("writable", "readonly") and not fields.get("readonly"):
        message = (
            f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"
        )
    elif word == "readonly" and fields.get("propagation", "rprivate") != "rprivate":
        message = (
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
            "specified in conjunction"
        )
    if message:
        raise InvalidArgument(message)


def _mount_field(fields: dict[str, Any], key: str, value: str, field: str, *, given: bool) -> None:
    if key in _SWITCHES:
        name, negated = _SWITCHES[key]
        fields[name] = (_boolean(key, value) if given else True) != negated
    elif key in _TEXTS:
        fields[_TEXTS[key]] = value
    elif key in ("volume-label", "volume-opt"):
        name = "labels" if key == "volume-label" else "driver_options"
        option, _, setting = value.partition("=")
        known = fields.get(name)
        fields[name] = {**(known if isinstance(known, dict) else {}), option: setting}
    elif key == "bind-recursive":
        if value not in RECURSIONS:
            message = (
                f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or '
                '"readonly")'
            )
            raise InvalidArgument(message)
        fields["recursion"] = value
        fields["recursive"] = value != "disabled"
        fields["writable_below"] = value == "writable"
    elif key == "tmpfs-size":
        fields["tmpfs_size"] = _tmpfs_size(value)
    elif key == "tmpfs-mode":
        fields["tmpfs_mode"] = _octal(value)
    elif key == "idmap":
        fields["mapped"], fields["idmap"] = True, check_idmap(value)
    elif key in _PARAMETERS and value:
        fields["tmpfs_options"] = f"{fields.get('tmpfs_options', '')},{key}={value}".lstrip(",")
    elif key != "consistency":
        message = f"unexpected key '{key}' in '{field}'"
        raise InvalidArgument(message)


_SWITCHES = {
    "readonly": ("readonly", False),
    "ro": ("readonly", False),
    "volume-nocopy": ("nocopy", False),
    "bind-nonrecursive": ("recursive", True),
    "bind-create-src": ("creates_source", False),
    "rw": ("readonly", True),
    "u": ("chown", False),
    "chown": ("chown", False),
}
_TEXTS = {
    "bind-propagation": "propagation",
    "volume-driver": "driver",
    "volume-subpath": "subpath",
    "image-subpath": "subpath",
    "subpath": "subpath",
}


def make_mount(
    kind: str, source: str, target: str, fields: dict[str, Any], *, text: str = ""
) -> MountRequest:
    """Return a mount of its parts, `fields` being those of `MountRequest`; `text` is for errors.

    Raises: InvalidArgument
    """
    if not target:
        message = "target is required"
        raise InvalidArgument(message)
    if kind not in ("bind", "volume", "tmpfs", "image", *FILE_SYSTEMS):
        message = f'invalid mount config for type "{kind}": mount type unknown'
        raise InvalidArgument(message, hint="It is bind, devpts, image, ramfs, tmpfs or volume.")
    _check_fields(kind, source, fields)
    if kind == "bind":
        source = _bind_source(source)
    elif kind == "image":
        fields = {"readonly": True, **fields}
    try:
        return MountRequest(kind, _target(target, text), source, **fields)
    except InvalidArgument as error:
        reason = error.message.removeprefix(f"invalid volume specification: '{text}': ")
        message = f'invalid mount config for type "{kind}": {reason}'
        raise InvalidArgument(message) from None


def _check_fields(kind: str, source: str, fields: dict[str, Any]) -> None:
    """Raise if what is said of a mount does not go with its kind."""
    message, part = "", fields.get("subpath", "")
    propagation = fields.get("propagation", "")
    if kind in ("bind", "image") and not source:
        message = f'invalid mount config for type "{kind}": field Source must not be empty'
    elif kind == "tmpfs" and source:
        message = 'invalid mount config for type "tmpfs": field Source must not be specified'
    elif propagation and propagation not in PROPAGATIONS:
        message = f'invalid mount config for type "bind": invalid propagation mode: {propagation}'
    elif ".." in part.split("/") or part.startswith("/"):
        message = "subpath must be a relative path within the volume"
    elif fields.get("mapped") and kind != "bind":
        message = f"cannot mix 'idmap' with mount type '{kind}'"
    elif strange := _strange_parameters(kind, fields.get("tmpfs_options", "")):
        message = f"unexpected key '{strange[0].partition('=')[0]}' in '{strange[0]}'"
    elif source and kind in FILE_SYSTEMS:
        message = f'invalid mount config for type "{kind}": field Source must not be specified'
    elif fields.get("chown") and kind not in ("bind", "volume"):
        message = f"cannot mix 'chown' with mount type '{kind}'"
    if message:
        raise InvalidArgument(message)


def _strange_parameters(kind: str, options: str) -> list[str]:
    words = options.split(",") if options else []
    return [word for word in words if word.partition("=")[0] not in FILE_SYSTEMS.get(kind, ())]


def _bind_source(source: str) -> str:
    source = os.path.abspath(source) if source.startswith(".") else source
    if not source.startswith("/"):
        message = (
            f"invalid mount config for type \"bind\": invalid mount path: '{source}' "
            "mount path must be absolute"
        )
        raise InvalidArgument(message)
    return source


def _tmpfs_size(text: str) -> int:
    from knarr.util.text import parse_size  # noqa: PLC0415 - rare

    try:
        return parse_size(text)
    except InvalidArgument:
        message = f"invalid value for tmpfs-size: {text}"
        raise InvalidArgument(message) from None


def _boolean(key: str, text: str) -> bool:
    from knarr.util.booleans import find_boolean  # noqa: PLC0415 - rare

    found = find_boolean(text)
    if found is None:
        message = f"invalid value for {key}: {text}"
        raise InvalidArgument(message)
    return found


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        message = f"invalid value for tmpfs-mode: {text}"
        raise InvalidArgument(message) from None
