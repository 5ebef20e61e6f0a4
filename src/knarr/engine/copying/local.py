"""The host's end of a copy: what is taken from there, and what is put there.

The host's paths are those of whoever gives the command, and are resolved as for any program; what
comes out of a container is unpacked without following any link that was in it.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.engine.copying.packing import Source
from knarr.engine.copying.places import Destination, asserts_directory, base_name
from knarr.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class LocalSource:
    """A file or directory of the host, open within the context."""

    def __init__(self, path: str, *, follow: bool = False) -> None:
        """Find it; a link is itself, unless to be followed, or its path ends in a slash.

        Raises: NotFound, InvalidArgument
        """
        self.path = path
        self._whole = asserts_directory(path)
        place = os.path.realpath(path) if follow or self._whole else os.path.abspath(path)
        try:
            status = os.stat(place, follow_symlinks=False)
        except FileNotFoundError as error:
            message = f"lstat {os.path.abspath(path)}: no such file or directory"
            raise NotFound(message) from error
        except NotADirectoryError as error:
            message = f"lstat {path}: not a directory"
            raise InvalidArgument(message) from error
        self.is_directory = stat.S_ISDIR(status.st_mode)
        if self._whole and not self.is_directory:
            message = f"lstat {path}: not a directory"
            raise InvalidArgument(message)
        self.name = base_name(path)
        if self.name == "..":
            self.name = os.path.basename(place)
        self._place = place
        self._fd = -1

    def __enter__(self) -> Self:
        """Open it, or the directory it is in."""
        place = self._place if self.is_directory else os.path.dirname(self._place)
        self._fd = os.open(place, _DIRECTORY)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        os.close(self._fd)

    def under(self, title: str) -> Source:
        """Return what is to be packed, called `title`."""
        return Source(self._fd, "" if self.is_directory else os.path.basename(self._place), title)


def local_destination(path: str) -> Destination:
    """Return what is where a copy is to be put; a link leads to where it does.

    Raises: InvalidArgument
    """
    directory = os.path.dirname(os.path.normpath(path))
    if directory not in ("", ".") and not os.path.exists(directory):
        message = f'invalid output path: directory "{directory}" does not exist'
        raise InvalidArgument(message)
    place = os.path.realpath(path)
    try:
        mode = os.stat(place).st_mode
    except FileNotFoundError:
        slash = "/" if asserts_directory(path) else ""
        return Destination(place.rstrip("/") + slash)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        message = f"invalid output path: {path}: {(error.strerror or '').lower()}"
        raise InvalidArgument(message) from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        message = f'invalid output path: "{path}" must be a directory or a regular file'
        raise InvalidArgument(message)
    if asserts_directory(path) and not stat.S_ISDIR(mode):
        message = f"{path} is not a directory"
        raise InvalidArgument(message)
    return Destination(place, exists=True, is_directory=stat.S_ISDIR(mode))
