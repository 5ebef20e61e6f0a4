"""What a build is given: a directory, an archive or a lone Dockerfile, and what is to be ignored.

The Dockerfile may lie outside of the context. `<Dockerfile>.dockerignore` beside it counts before
the context's own `.dockerignore`.
"""

from __future__ import annotations

import os
from io import BytesIO

from knarr.build.ignore import Matcher, read_patterns
from knarr.errors import InvalidArgument, NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from knarr.util.compression import Reader

STDIN = "-"
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
_PEEKED = 1 << 16  # enough of a compressed stream to see what it holds


class BuildContext:
    """A directory that is built from. `directory` is empty if there are no files at all."""

    def __init__(self, directory: str, dockerfile: bytes, name: str, ignored: list[str]) -> None:
        self.directory = directory
        self.dockerfile = dockerfile
        self.name = name
        self.ignored = ignored

    def matcher(self) -> Matcher | None:
        """Return what says which files are left out. Raises: InvalidArgument"""
        return Matcher(self.ignored) if self.ignored else None


def open_context(place: str, dockerfile: str, *, stdin: BinaryIO, scratch_dir: str) -> BuildContext:
    """Return the context at `place`, with the Dockerfile at `dockerfile` or where it always is.

    An archive from standard input is unpacked into `scratch_dir`, which is made for it.

    Raises: InvalidArgument, NotFound, Unsupported, Corrupt
    """
    if place.startswith(_REMOTE):
        message = f"unable to prepare context: {place} is not fetched"
        raise Unsupported(message, hint="Fetch it first, and give the directory.")
    if place == STDIN:
        if dockerfile == STDIN:
            message = "invalid argument: can't use stdin for both build context and dockerfile"
            raise InvalidArgument(message)
        return _from_stdin(dockerfile, stdin, scratch_dir)
    if not os.path.exists(place):
        message = f'unable to prepare context: path "{place}" not found'
        raise NotFound(message)
    if not os.path.isdir(place):
        message = f"unable to prepare context: context must be a directory: {place}"
        raise InvalidArgument(message)
    if dockerfile == STDIN:
        return BuildContext(place, stdin.read(), "Dockerfile", _ignored(place, ""))
    return _with_dockerfile(place, dockerfile)


def _with_dockerfile(place: str, dockerfile: str) -> BuildContext:
    path = dockerfile or f"{place}/Dockerfile"
    if not dockerfile and not os.path.exists(path) and os.path.exists(f"{place}/dockerfile"):
        path = f"{place}/dockerfile"
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        shown = dockerfile or "Dockerfile"
        message = f"failed to read dockerfile: open {shown}: no such file or directory"
        raise NotFound(message, hint="Name it with -f if it is called otherwise.") from None
    except IsADirectoryError:
        message = f"failed to read dockerfile: {dockerfile or 'Dockerfile'} is a directory"
        raise InvalidArgument(message) from None
    return BuildContext(place, data, dockerfile or "Dockerfile", _ignored(place, path))


def _ignored(place: str, dockerfile_path: str) -> list[str]:
    beside = [f"{dockerfile_path}.dockerignore"] if dockerfile_path else []
    for path in (*beside, f"{place}/.dockerignore"):
        try:
            with open(path, "rb") as file:
                return read_patterns(file.read())
        except FileNotFoundError:
            continue
    return []


def _from_stdin(dockerfile: str, stdin: BinaryIO, scratch_dir: str) -> BuildContext:
    from knarr.engine.build.files import is_tar  # noqa: PLC0415 - few contexts come like this
    from knarr.util.compression import Peeked  # noqa: PLC0415

    peeked = Peeked(stdin, _PEEKED)
    if not is_tar(BytesIO(peeked.start)):
        return BuildContext("", peeked.start + stdin.read(), "Dockerfile", [])
    os.makedirs(scratch_dir, 0o700)
    _unpack(peeked, scratch_dir)
    found = _with_dockerfile(scratch_dir, f"{scratch_dir}/{dockerfile}" if dockerfile else "")
    found.name = dockerfile or "Dockerfile"
    return found


def _unpack(stream: Reader, directory: str) -> None:
    from knarr.snapshot.archive import unpack_archive_into  # noqa: PLC0415 - as above
    from knarr.util.compression import open_any  # noqa: PLC0415

    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack_archive_into(descriptor, "/", open_any(stream)[0])
    finally:
        os.close(descriptor)
