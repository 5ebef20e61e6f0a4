"""Devices of the host that a container gets: those asked for, or with `--privileged` all."""

from __future__ import annotations

import os
import stat

from knarr.engine.options.values import Device as Request
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.options.values import Options
    from knarr.oci.runtime import Device

# Of the container's own in every case.
OWN = frozenset(("/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/console"))
DEFAULT_NODES = frozenset((
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx",
))  # fmt: skip


def find_devices(options: Options) -> list[tuple[Device, str]]:
    """Return the nodes to make, each with what the container may do with it.

    Raises: InvalidArgument
    """
    found = []
    if options.security.privileged:
        found = [(node, "rwm") for node in _below("/dev", "/dev") if _extra(node["path"])]
    for request in options.resources.devices:
        found += [(node, request.permissions) for node in _requested(request)]
    return found


def _extra(path: str) -> bool:
    return path not in DEFAULT_NODES and path not in OWN


def find_node(path: str) -> Device:
    """Return the device node at `path`.

    Raises: InvalidArgument
    """
    return _requested(Request(path, path))[0]


def _requested(request: Request) -> list[Device]:
    try:
        source = os.path.realpath(request.source, strict=True)
        if os.path.isdir(source):
            return list(_below(source, request.target))
        node = _node(source, request.target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = (
            f'error gathering device information while adding custom device "{request.source}": '
            f"{reason}"
        )
        raise InvalidArgument(message) from None
    if node is None:
        message = (
            f'error gathering device information while adding custom device "{request.source}": '
            "not a device node"
        )
        raise InvalidArgument(message)
    return [node]


def _below(directory: str, target: str) -> Iterator[Device]:
    """Yield the nodes in a directory and those below it; links are left out, as Docker does."""
    for name in sorted(os.listdir(directory)):
        source, shown = f"{directory}/{name}", f"{target}/{name}"
        if source in OWN or name.startswith(".lxc"):
            continue
        try:
            mode = os.lstat(source).st_mode
            if stat.S_ISDIR(mode):
                yield from _below(source, shown)
                continue
            node = _node(source, shown)
        except OSError:  # gone by now, or not for us to see
            continue
        if node is not None:
            yield node


def _node(source: str, target: str) -> Device | None:
    status = os.lstat(source)
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        return None
    return {
        "path": target,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def block_device_number(path: str) -> tuple[int, int]:
    """Return major and minor of the block device at `path`, for its limits.

    Raises: InvalidArgument
    """
    try:
        status = os.stat(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot limit the device {path}: {reason}"
        raise InvalidArgument(message) from None
    if not stat.S_ISBLK(status.st_mode):
        message = f"cannot limit the device {path}: it is no block device"
        raise InvalidArgument(message)
    return os.major(status.st_rdev), os.minor(status.st_rdev)
