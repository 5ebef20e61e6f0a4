"""The options of the driver `local`: a volume that is something else than a directory of ours.

    type=none device=/srv/data o=bind              a directory of the host
    type=tmpfs device=tmpfs o=size=100m,uid=1000   memory, shared by the containers that run
    type=nfs device=:/export o=addr=nas,nfsvers=4  and whatever else mount(2) takes

Docker mounts it on the volume's directory while any container uses it. Here nothing is mounted on
the host: a container's runtime mounts it for the container alone (`runtime.steps.carried`). What is
on a device or a server is the same in every mount. A file system that is new with every mount is
shared by containers that run at the same time, and gone with the last of them, as with Docker.

`find` says what is to be mounted, and tries: so a failure is known before the container is made,
and told in Docker's words.

Docker: volume/local of moby
"""

from __future__ import annotations

import os

from knarr.errors import Failed, InvalidArgument
from knarr.linux import mount
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.oci.runtime import FileSystem

KNOWN = ("type", "o", "device", "size")
# Each of these takes the others behind it.
_REQUIRED = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_NEW_WITH_EACH_MOUNT = ("tmpfs", "ramfs", "overlay")
_NETWORK = ("nfs", "nfs4", "cifs", "smb3")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SECRETS = ("password", "pass")
# What mount(8) writes for flags of mount(2), of which Docker's errors show the number.
_FLAGS = {
    "ro": mount.MS_RDONLY, "nosuid": mount.MS_NOSUID, "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC, "noatime": mount.MS_NOATIME, "bind": mount.MS_BIND,
    "rbind": mount.MS_BIND | mount.MS_REC,
}  # fmt: skip
_ATTRIBUTES = frozenset(_FLAGS) - {"bind", "rbind"} | {
    "rw", "suid", "dev", "exec", "atime", "relatime", "norelatime", "strictatime", "nodiratime",
}  # fmt: skip


class Mounted(Value):
    """What a volume with options is: `path`, a directory of the host, or a `file_system`.

    `words` are what the mount in the container is not to allow, whatever is mounted.
    """

    path: str = ""
    words: tuple[str, ...] = ()
    file_system: FileSystem | None = None


def check_options(name: str, options: Mapping[str, str], directory: str) -> None:
    """Raise unless the driver takes the options of the volume `name`, to be made in `directory`.

    Raises: InvalidArgument
    """
    message = ""
    for option in sorted(options):
        if option not in KNOWN:
            message = f'invalid option: "{option}"'
            break
    if not message and "size" in options:
        message = _refuse_size(options, directory)
    for option, others in _REQUIRED.items():
        for other in others:
            if not message and option in options and other not in options:
                message = f'missing required option: "{other}"'
    if message:
        message = f"create {name}: {message}"
        raise InvalidArgument(message)


def _refuse_size(options: Mapping[str, str], directory: str) -> str:
    from knarr.engine.space.quotas import supported  # noqa: PLC0415 - for few volumes

    try:
        size = size_limit(options)
    except InvalidArgument:
        return f"invalid size: '{options['size']}'"
    if size and not supported(directory):
        return "quota size requested but no quota support"
    return ""


def size_limit(options: Mapping[str, str]) -> int:
    """Return how many bytes a volume may take, 0 for any.

    Raises: InvalidArgument
    """
    if "size" not in options:
        return 0
    from knarr.util.text import parse_size  # noqa: PLC0415 - for few volumes

    return parse_size(options["size"])


def is_plain(options: Mapping[str, str]) -> bool:
    """Tell whether a volume with these options is a directory of ours all the same."""
    return not options.get("device")


def is_shared(options: Mapping[str, str]) -> bool:
    """Tell whether a volume's content lives only as long as a container that has it."""
    return options.get("type") in _NEW_WITH_EACH_MOUNT and not _binds(options)


def _binds(options: Mapping[str, str]) -> bool:
    return not {"bind", "rbind"}.isdisjoint(_words(options))


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for word in options.get("o", "").split(",") if word]


def find(path: str, options: Mapping[str, str], *, shared: str) -> Mounted:
    """Return what is to be mounted for the volume whose directory is `path`.

    `shared` is the file by which containers find what they share.

    Raises: Failed
    """
    words = _words(options)
    kept = tuple(word for word in words if word in _ATTRIBUTES)
    if _binds(options):
        if not os.path.isdir(options["device"]):
            raise _failure(path, options, "no such file or directory")
        recursive = ("rbind",) if "rbind" in words else ("bind",)
        return Mounted(options["device"], (*recursive, *kept))
    described: FileSystem = {
        "type": options["type"],
        "source": options["device"],
        "options": _resolved(path, options, [word for word in words if word not in kept]),
    }
    if is_shared(options):
        described["shared"] = shared
    mounted = Mounted(path, kept, described)
    os.close(open_mounted(path, options, mounted))
    return mounted


def open_mounted(path: str, options: Mapping[str, str], mounted: Mounted) -> int:
    """Return the open top directory of what `find` returned, mounted for the caller alone.

    Raises: Failed
    """
    if mounted.file_system is None:
        return os.open(mounted.path, _DIRECTORY)
    mount_fd = _open_file_system(path, options, mounted.file_system)
    try:
        return os.open(".", _DIRECTORY, dir_fd=mount_fd)
    finally:
        os.close(mount_fd)


def _open_file_system(path: str, options: Mapping[str, str], described: FileSystem) -> int:
    from knarr.runtime.steps.carried import (  # noqa: PLC0415 - for few volumes
        borrow_shared,
        mount_file_system,
    )

    if "shared" in described and (found := borrow_shared(described["shared"])) >= 0:
        return found
    try:
        return mount_file_system(described["type"], described["source"], described["options"])
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _failure(path, options, reason) from error


def _resolved(path: str, options: Mapping[str, str], words: list[str]) -> list[str]:
    """Return the words with the address of the server in the place of its name.

    Docker: the kernel takes numbers alone
    """
    if options["type"] not in _NETWORK:
        return words
    return [
        f"addr={_address(path, word[5:])}" if word.startswith("addr=") else word for word in words
    ]


def _address(path: str, name: str) -> str:
    import socket  # noqa: PLC0415 - for volumes on servers

    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        message = (
            f"error while mounting volume '{path}': error resolving passed in network volume "
            f"address: lookup {name}: {(error.strerror or str(error)).lower()}"
        )
        raise Failed(message) from error
    return str(found[0][4][0])


def _failure(path: str, options: Mapping[str, str], reason: str) -> Failed:
    words = _words(options)
    flags = 0
    for word in words:
        flags |= _FLAGS.get(word, 0)
    data = ",".join(_masked(word) for word in words if word not in _ATTRIBUTES | set(_FLAGS))
    message = (
        f"error while mounting volume '{path}': failed to mount local volume: mount "
        f"{options['device']}:{path}{f', flags: {flags:#x}' if flags else ''}"
        f"{f', data: {data}' if data else ''}: {reason}"
    )
    return Failed(message)


def _masked(word: str) -> str:
    key, equals, _ = word.partition("=")
    return f"{key}=********" if equals and key in _SECRETS else word
