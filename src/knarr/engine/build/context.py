"""What a build is given: a directory, an archive or a lone Dockerfile, and what is to be ignored.

The Dockerfile may lie outside of the context. `<Dockerfile>.dockerignore` beside it counts before
the context's own `.dockerignore`.
"""

from __future__ import annotations

import os
import stat
from io import BytesIO

from knarr.build.ignore import Matcher, read_patterns
from knarr.errors import InvalidArgument, NotFound
from knarr.linux import path as paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from knarr.util.compression import Reader

STDIN = "-"
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
_PEEKED = 1 << 16  # enough of a compressed stream to see what it holds


class BuildContext:
    """A directory that is built from. `directory` is empty if there are no files at all.

    `changed` is when it was, in seconds, if it came from elsewhere and that is known.
    """

    changed: int | None = None

    def __init__(self, directory: str, dockerfile: bytes, name: str, ignored: list[str]) -> None:
        self.directory = directory
        self.dockerfile = dockerfile
        self.name = name
        self.ignored = ignored

    def matcher(self) -> Matcher | None:
        """Return what says which files are left out. Raises: InvalidArgument"""
        return Matcher(self.ignored) if self.ignored else None


def hidden_in(directory: str) -> Matcher | None:
    """Return what a directory's own .dockerignore leaves out. Raises: InvalidArgument"""
    ignored = _ignored(directory, "")
    return Matcher(ignored) if ignored else None


def open_context(
    place: str,
    dockerfile: str,
    *,
    stdin: BinaryIO,
    scratch_dir: str,
    secrets: Mapping[str, bytes] | None = None,
) -> BuildContext:
    """Return the context at `place`, with the Dockerfile at `dockerfile` or where it always is.

    An archive from standard input is unpacked into `scratch_dir`, which is made for it; so is what
    comes from a URL or a repository, with the credentials that `secrets` have for it.

    Raises: InvalidArgument, NotFound, Unavailable, Corrupt
    """
    if place.startswith(_REMOTE) and not os.path.exists(place):
        return _fetched(place, dockerfile, scratch_dir, secrets or {})
    if place == STDIN:
        if dockerfile == STDIN:
            message = "invalid argument: can't use stdin for both build context and dockerfile"
            raise InvalidArgument(message)
        return _from_stream(dockerfile, stdin, scratch_dir)
    if not os.path.exists(place):
        message = f'unable to prepare context: path "{place}" not found'
        raise NotFound(message)
    if not os.path.isdir(place):
        message = f"unable to prepare context: context must be a directory: {place}"
        raise InvalidArgument(message)
    if dockerfile == STDIN:
        return BuildContext(place, stdin.read(), "Dockerfile", _ignored(place, ""))
    return _with_dockerfile(place, dockerfile)


def _fetched(
    place: str, dockerfile: str, scratch_dir: str, secrets: Mapping[str, bytes]
) -> BuildContext:
    """Return a context from a git repository, a URL of an archive, or one of a Dockerfile."""
    from knarr.build.remote import GIT, as_context  # noqa: PLC0415 - few contexts come like this
    from knarr.engine.build.dates import time_of_file  # noqa: PLC0415 - as above
    from knarr.engine.build.fetches import git_auth, http_headers, take_file, take_repository  # noqa: PLC0415

    fetch = as_context(place)
    if fetch is None:
        message = f'unable to prepare context: path "{place}" not found'
        raise NotFound(message)
    if fetch.kind == GIT:
        auth = git_auth(secrets, fetch.url)
        directory, committed = take_repository(fetch, scratch_dir, auth)
        context = _in_scratch(directory, dockerfile)
        context.changed = committed
        return context
    path = take_file(fetch, scratch_dir, http_headers(secrets, fetch.url))
    with open(path, "rb") as file:
        context = _from_stream(dockerfile, file, f"{scratch_dir}/files")
    context.changed = time_of_file(path)
    return context


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


def _from_stream(dockerfile: str, stdin: BinaryIO, scratch_dir: str) -> BuildContext:
    from knarr.engine.build.files import is_tar  # noqa: PLC0415 - few contexts come like this
    from knarr.util.compression import Peeked  # noqa: PLC0415

    peeked = Peeked(stdin, _PEEKED)
    if not is_tar(BytesIO(peeked.start)):
        return BuildContext("", peeked.start + stdin.read(), "Dockerfile", [])
    os.makedirs(scratch_dir, 0o700)
    unpack_context(peeked, scratch_dir)
    return _in_scratch(scratch_dir, dockerfile)


def _in_scratch(directory: str, dockerfile: str) -> BuildContext:
    """Return a context whose Dockerfile lies in it, which may be anybody's: no link leads out."""
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names = (dockerfile,) if dockerfile else ("Dockerfile", "dockerfile")
        found = [(name, data) for name in names if (data := _read_in_root(root, name)) is not None]
        if not found:
            message = f"failed to read dockerfile: open {names[0]}: no such file or directory"
            raise NotFound(message, hint="Name it with -f if it is called otherwise.")
        name, data = found[0]
        lists = (f"{name}.dockerignore", ".dockerignore")
        ignored = next((text for each in lists if (text := _read_in_root(root, each))), b"")
    finally:
        os.close(root)
    return BuildContext(directory, data, dockerfile or "Dockerfile", read_patterns(ignored))


def _read_in_root(root_fd: int, path: str) -> bytes | None:
    try:
        descriptor = paths.open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def unpack_context(stream: Reader, directory: str) -> None:
    """Unpack an archive, compressed or not, into a directory. Raises: Corrupt, InvalidArgument"""
    from knarr.snapshot.archive import unpack_archive_into  # noqa: PLC0415 - as above
    from knarr.util.compression import open_any  # noqa: PLC0415

    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack_archive_into(descriptor, "/", open_any(stream)[0])
    finally:
        os.close(descriptor)
