"""Limits of what the files of a container or a volume may take: `--storage-opt size=`, `-o size=`.

On XFS that is mounted with `prjquota` (see `linux.quota`) each of them gets a project of its own,
by a number that is drawn and that nobody uses. The directories carry it: there is nothing to
record. Elsewhere a limit is refused, on ext4 too: it lets root pass, and what overlay writes is
root's.

Docker: "overlay over xfs with 'pquota' mount option"
"""

from __future__ import annotations

import os
from contextlib import closing

from knarr.errors import InvalidArgument
from knarr.linux import quota
from knarr.linux.mount import XFS_SUPER_MAGIC, filesystem_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIRST = 1 << 16  # below are the numbers that administrators like
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Open:
    """A directory, open for a `with` statement."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, _DIRECTORY)

    def close(self) -> None:
        os.close(self.descriptor)


def supported(directory: str) -> bool:
    """Tell whether what is below a directory can be limited."""
    with closing(_Open(directory)) as place:
        is_xfs = filesystem_type(place.descriptor) == XFS_SUPER_MAGIC
        return is_xfs and quota.enforced(place.descriptor)


def container_size(options: Mapping[str, str], directory: str) -> int:
    """Return the bytes that `--storage-opt` allows the files of a container in `directory`.

    Raises: InvalidArgument
    """
    from knarr.util.text import parse_size  # noqa: PLC0415 - for few containers

    size = 0
    for key, text in options.items():
        if key.lower() != "size":
            message = f"Unknown option {key}"
            raise InvalidArgument(message)
        size = parse_size(text)
    if not supported(directory):
        message = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        hint = (
            f"{directory} is on a file system that counts no projects: XFS or ext4 with prjquota."
        )
        raise InvalidArgument(message, hint=hint)
    return size


def limit(directories: Sequence[str], size: int) -> None:
    """Let new directories, and what will be in them, take no more than `size` bytes together."""
    with closing(_Open(directories[0])) as place:
        project = _free_project(place.descriptor)
        quota.set_limit(place.descriptor, project, size)
    for path in directories:
        with closing(_Open(path)) as place:
            quota.set_project(place.descriptor, project)


def _free_project(descriptor: int) -> int:
    while True:
        number = int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFF
        if number >= _FIRST and quota.limit_and_use(descriptor, number) == (0, 0):
            return number


def lift(directory: str) -> None:
    """Forget the limit of what is in a directory that is about to go."""
    try:
        with closing(_Open(directory)) as place:
            project = quota.project_of(place.descriptor)
            if project and quota.enforced(place.descriptor):
                quota.set_limit(place.descriptor, project, 0)
    except FileNotFoundError:
        pass
