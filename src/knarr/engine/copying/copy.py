"""Copying between host and container, as `knarr cp` does it.

One end packs an archive, the other unpacks it; a pipe and a thread are between the two, so that
nothing is kept in memory or on a disk. An error of the end that unpacks is what counts: the packing
one then only finds its pipe closed.
"""

from __future__ import annotations

import os

from knarr.engine.copying.archive import Files
from knarr.engine.copying.local import LocalSource, local_destination
from knarr.engine.copying.packing import CopyPacker
from knarr.engine.copying.places import Landing, clean, land
from knarr.engine.copying.unpacking import unpack_copy
from knarr.engine.copying.view import View
from knarr.engine.noting import note
from knarr.errors import InvalidArgument
from knarr.util.files import write_all
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.containers import Container
    from knarr.engine.copying.places import PathStat
    from knarr.util.tarreader import Source as Archive
    from knarr.util.tarwriter import Sink

    Owner = Callable[[int, int], tuple[int, int]]


class CopyOptions(Value):
    """How to copy: with `archive` owners are kept, with `follow` the source's link is followed.

    `chown` (user[:group], by the container's own files) is whose everything becomes in a container.
    """

    archive: bool = False
    follow: bool = False
    chown: str = ""


class _Pipe:
    """The end of a pipe that an archive is written to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes, /) -> None:
        """Take all of `data`."""
        write_all(self._descriptor, data)


class _Source:
    """The other end, which the archive is read from."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        return os.read(self._descriptor, size)


def copy_in(container: Container, source: str, path: str, options: CopyOptions) -> int:
    """Copy `source` of the host to `path` in the container; return the archive's size.

    Without -a everything becomes root's.

    Raises: NotFound, InvalidArgument, Conflict, PermissionDenied
    """
    local = LocalSource(source, follow=options.follow)
    with View(container, writing=True) as view, local:
        files = Files(view, container.name)
        owner = _owner_inside(files, options.chown, default=None if options.archive else (0, 0))
        destination = files.destination(clean(path))
        landing = land(source, destination, directory=local.is_directory)
        if landing.name == ".." or (destination.is_directory and landing.name != "."):
            landing = Landing(landing.directory, local.name)

        def pack(out: Sink) -> int:
            return CopyPacker(out).pack_all([local.under(landing.name)])

        size = _through(pack, lambda archive: files.put(landing.directory, archive, owner=owner))
    note(container.engine.paths, container.row, "extract-to-dir")
    return size


def put_archive(
    container: Container, archive: Archive, path: str, *, chown: str = "", merging: bool = True
) -> None:
    """Unpack `archive` in the directory `path` of the container, with its owners unless `chown`.

    Raises: NotFound, InvalidArgument, Conflict, PermissionDenied, Corrupt
    """
    with View(container, writing=True) as view:
        files = Files(view, container.name)
        owner = _owner_inside(files, chown, default=None)
        destination = files.destination(clean(path))
        if not destination.is_directory:
            if not destination.exists:
                files.stat(clean(path))  # which says that there is nothing
            message = f'destination "{container.name}:{path}" must be a directory'
            raise InvalidArgument(message)
        files.put(destination.path, archive, owner=owner, merging=merging)
    note(container.engine.paths, container.row, "extract-to-dir")


def copy_out(container: Container, path: str, target: str, options: CopyOptions) -> int:
    """Copy what `path`, or a pattern, means in the container to the host; return the size.

    Without -a everything becomes the caller's.

    Raises: NotFound, InvalidArgument, Conflict
    """
    with View(container) as view:
        files = Files(view, container.name)
        sources = files.matching(clean(path))
        destination = local_destination(target)
        several = len(sources) > 1
        landings = [
            land(
                source, destination, several=several,
                directory=_is_directory(files, source, follow=options.follow),
            )
            for source in sources
        ]  # fmt: skip
        wanted = [(source, landing.name) for source, landing in zip(sources, landings, strict=True)]
        ids = (os.geteuid(), os.getegid())
        owner = None if options.archive else lambda _uid, _gid: ids

        def unpack(archive: Archive) -> None:
            root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                base = landings[0].directory.lstrip("/")
                unpack_copy(root_fd, base, archive, owner=owner)
            finally:
                os.close(root_fd)

        size = _through(lambda out: files.get(wanted, out, follow=options.follow), unpack)
    note(container.engine.paths, container.row, "archive-path")
    return size


def stat_path(container: Container, path: str) -> PathStat:
    """Return what is at `path` in the container. Raises: NotFound"""
    with View(container) as view:
        return Files(view, container.name).stat(clean(path))


def get_archive(container: Container, path: str, out: Sink, *, follow: bool = False) -> None:
    """Write an archive of what `path`, or a pattern, means in the container.

    Raises: NotFound, InvalidArgument
    """
    with View(container) as view:
        files = Files(view, container.name)
        wanted = [(source, "") for source in files.matching(clean(path))]
        files.get(wanted, out, follow=follow)
    note(container.engine.paths, container.row, "archive-path")


def _is_directory(files: Files, path: str, *, follow: bool) -> bool:
    found = files.stat(path)
    if follow and found.link:
        found = files.stat(found.link)
    return found.is_directory


def _owner_inside(files: Files, chown: str, *, default: tuple[int, int] | None) -> Owner | None:
    """Return what says whose a file becomes in the container; None for whose it is."""
    ids = files.identify(chown) if chown else default
    if ids is None:
        return None
    found = ids
    return lambda _uid, _gid: found


def _through(pack: Callable[[Sink], int], unpack: Callable[[Archive], None]) -> int:
    """Have one thread pack what this one unpacks; return the size of it."""
    from threading import Thread  # noqa: PLC0415 - loaded where something is copied

    read_fd, write_fd = os.pipe()
    sizes: list[int] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            sizes.append(pack(_Pipe(write_fd)))
        except BrokenPipeError:
            pass  # who unpacks has given up, and says why
        except BaseException as error:  # noqa: BLE001 - raised by the other thread
            failures.append(error)
        finally:
            os.close(write_fd)

    thread = Thread(target=work)
    thread.start()
    source = _Source(read_fd)
    try:
        unpack(source)
        while source.read(1 << 16):
            pass
    except BaseException:
        if failures:  # the archive ended too early because of it
            raise failures[0] from None
        raise
    finally:
        os.close(read_fd)
        thread.join()
    if failures:
        raise failures[0]
    return sizes[0]
