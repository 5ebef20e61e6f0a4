"""The files of what was built, into a directory or an archive, with what is attested of them.

Statements about files are files beside them, `provenance.json` and `sbom.spdx.json`: their subjects
are all regular files by their paths and digests. They take the place of files of these names, if
there are any; `attestation-prefix` is there to avoid that. Of several platforms each has its files
in a directory of its own, and if they all go into one, the platform in the name of its statements.

Docker: BuildKit writes them so for `type=local` and `type=tar`
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager

from knarr.errors import Conflict
from knarr.linux.tree import Walk
from knarr.oci.digest import Digest, hasher
from knarr.snapshot.copy import SKIP, TAKE, CopyOptions, copy_tree
from knarr.snapshot.faults import storage
from knarr.snapshot.pack import Packer, open_file
from knarr.util import tar
from knarr.util.tarwriter import Writer as ArchiveWriter
from knarr.util.threadedhash import digest_file
from knarr.util.times import SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from knarr.engine.build.export.outputs import Output, Result
    from knarr.snapshot.overlay import Layers

_GAINED = stat.S_ISUID | stat.S_ISGID
_MODE = 0o600  # of statements, as BuildKit's


def give_files(layers: Layers, results: Sequence[Result], output: Output) -> None:
    """Give the files of the results, one a platform, to an output.

    Raises: Conflict, InvalidArgument, PermissionDenied
    """
    split = len(results) > 1 if output.split is None else output.split
    told = len(results) > 1 and not split
    if output.open is None:
        for result in results:
            directory = f"{output.directory}/{_folder(result)}" if split else output.directory
            with _mounted(layers, result) as root_fd:
                copy_out(root_fd, directory)
                _put(_statements(result, root_fd, output.prefix, told=told), directory)
        return
    # Docker: in an archive several platforms have their own directories, whatever is said of them
    apart = split or len(results) > 1
    with output.open() as out:
        writer = ArchiveWriter(out)
        for result in results:
            with _mounted(layers, result) as root_fd:
                statements = _statements(result, root_fd, output.prefix, told=told)
                directory = f"{_folder(result)}/" if apart else ""
                latest = result.lowered.latest
                latest_ns = None if latest is None else latest * SECOND_NS
                packer = _FilesPacker(root_fd, out, latest_ns=latest_ns)
                packer.pack_into(writer, directory.encode(), statements)
        writer.close()


@contextmanager
def _mounted(layers: Layers, result: Result) -> Iterator[int]:
    root_fd = layers.mount(result.stack, readonly=True)
    try:
        yield root_fd
    finally:
        os.close(root_fd)


def _folder(result: Result) -> str:
    """Return the name of the directory for the files of one platform."""
    return str(result.lowered.platform).replace("/", "_")


def _statements(result: Result, root_fd: int, prefix: str, *, told: bool) -> dict[str, bytes]:
    """Return the statements about the files of a platform, by their names, which may tell it."""
    if result.attest is None:
        return {}
    found = {}
    for name, raw in result.attest.of_files(_digests(root_fd)):
        if told:
            stem, _, kind = name.rpartition(".")
            name = f"{stem}.{_folder(result)}.{kind}"
        found[f"{prefix}{name}"] = raw
    return found


def _digests(root_fd: int) -> Iterator[tuple[str, Digest]]:
    """Yield path and digest of each regular file."""
    for path, directory_fd, name, status in Walk(root_fd):
        if not stat.S_ISREG(status.st_mode):
            continue
        digest = hasher()
        descriptor = open_file(directory_fd, name)
        try:
            digest_file(digest, descriptor)
        finally:
            os.close(descriptor)
        yield path, Digest(f"sha256:{digest.hexdigest()}")


def copy_out(root_fd: int, directory: str) -> None:
    """Copy files into a directory of the caller, which is made if need be.

    They become the caller's, so they lose what would give others his rights: the set-user-ID and
    set-group-ID bits. Devices are left out. No link that is there is followed.

    Raises: Conflict, InvalidArgument, PermissionDenied
    """

    def select(path: str, is_directory: bool) -> str:  # noqa: FBT001 - as copy_tree has it
        if is_directory:
            return TAKE
        mode = os.lstat(path, dir_fd=root_fd).st_mode
        return SKIP if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else TAKE

    def changed(mode: int, is_directory: bool) -> int:  # noqa: FBT001 - as copy_tree has it
        return mode if is_directory else mode & ~_GAINED

    with storage(f"writing to {directory}"):
        os.makedirs(directory, exist_ok=True)
        target_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = (os.geteuid(), os.getegid())
        options = CopyOptions(owner=owner, mode=changed, select=select)
        copy_tree(root_fd, ".", target_fd, ".", options)
    finally:
        os.close(target_fd)


def _put(files: dict[str, bytes], directory: str) -> None:
    """Write files into a directory, in the place of what has their names."""
    for name, raw in files.items():
        path = f"{directory}/{name}"
        with storage(f"writing {path}"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except IsADirectoryError:
                message = f"cannot replace the directory {path} with a file"
                raise Conflict(message) from None
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(path, flags, _MODE), "wb") as file:
                file.write(raw)


class _FilesPacker(Packer):
    """Writes files below a directory of an archive, and what is beside them."""

    _directory = b""
    _beside: frozenset[bytes] = frozenset()

    def pack_into(self, writer: ArchiveWriter, directory: bytes, beside: dict[str, bytes]) -> None:
        """Write everything below `directory`, which is empty or ends with a slash."""
        now_ns = time.time_ns() // SECOND_NS * SECOND_NS
        time_ns = now_ns if self._latest_ns is None else min(now_ns, self._latest_ns)
        self.writer, self._directory = writer, directory
        self._beside = frozenset(map(os.fsencode, beside))
        if directory:
            writer.add(tar.Entry(directory, tar.DIRECTORY, 0o755, mtime_ns=time_ns))
        for name, raw in beside.items():
            path = directory + os.fsencode(name)
            writer.add(tar.Entry(path, mode=_MODE, size=len(raw), mtime_ns=time_ns), raw)
        self.pack_tree()

    def place(self, path: bytes, directory_fd: int, name: str, status: os.stat_result) -> None:
        if path not in self._beside:
            super().place(self._directory + path, directory_fd, name, status)
