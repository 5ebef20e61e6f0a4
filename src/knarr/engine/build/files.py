"""COPY, ADD and WORKDIR, carried out: changes to the files of a stack become its next layer."""

from __future__ import annotations

import os
import stat
from io import FileIO

from knarr.build.graph import CONTEXT, Copy, MakeDirectory
from knarr.build.modes import parse_mode
from knarr.build.placing import Way, make_directory, mode_of_way, place, target_of
from knarr.build.selection import Taken, Tree, select
from knarr.engine.container.users import MAXIMUM_SIZE, Identity, identify
from knarr.errors import Corrupt, InvalidArgument
from knarr.linux import path as paths
from knarr.util.compression import open_any
from knarr.util.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.build.graph import Files
    from knarr.build.modes import Mode
    from knarr.snapshot.contents import Contents
    from knarr.util.compression import Reader

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_BLOCK = 512


def carry_out(
    files: Files,
    root_fd: int,
    trees: Sequence[Tree],
    context: Tree,
    contents: Contents | None = None,
) -> None:
    """Change the tree `root_fd`; `trees` are the inputs of the operation, the first of them unused.

    What `contents` has of the context is not read again; what it postpones is for who packs.

    Raises: NotFound, Conflict, InvalidArgument, Corrupt
    """
    owners = _Owners(root_fd)
    for action in files.actions:
        if isinstance(action, MakeDirectory):
            owner = owners.find(action.owner) if action.owner else (0, 0)
            make_directory(root_fd, action.path, action.mode, owner)
            continue
        owner_of_files = owners.find(action.chown) if action.chown else None
        mode = parse_mode(action.chmod) if action.chmod else None
        if action.content is not None:
            _write(action, root_fd, owner_of_files, mode)
            continue
        tree = context if action.origin == CONTEXT else trees[action.origin]
        if action.unpack:
            _add(action, tree, root_fd, owner_of_files, mode)
        else:
            place(tree, root_fd, action, owner=owner_of_files, mode=mode, contents=contents)


def only_copies(files: Files) -> bool:
    """Tell whether nothing but copies makes files, so that `contents` knows of all of them."""
    return not any(
        isinstance(action, Copy) and (action.unpack or action.content is not None)
        for action in files.actions
    )


class _Owners:
    """Looks owners up in the passwd and group files of the tree that is changed."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._texts: list[str] | None = None

    def find(self, owner: str) -> tuple[int, int]:
        """Return user and group ID of `user[:group]`. Raises: InvalidArgument"""
        if self._texts is None:
            self._texts = [_read_text(self._root_fd, name) for name in ("etc/passwd", "etc/group")]
        passwd, group = self._texts
        found = self._identify(owner, passwd, group)
        # Docker: a user without a group stands for both, where the number has no line
        name, colon, _ = owner.partition(":")
        if not colon and name.isdecimal():
            return found.uid, int(name)
        return found.uid, found.gid

    @staticmethod
    def _identify(owner: str, passwd: str, group: str) -> Identity:
        try:
            return identify(owner, (), passwd=passwd, group=group)
        except InvalidArgument as error:
            message = f"invalid user or group: {owner}: {error}"
            hint = "Names are looked up in the image's own /etc/passwd and /etc/group."
            raise InvalidArgument(message, hint=hint) from None


def _read_text(root_fd: int, path: str) -> str:
    try:
        descriptor = paths.open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # an image of one program has none
        return ""
    with open(descriptor, "rb", buffering=0) as file:
        return file.read(MAXIMUM_SIZE).decode("utf-8", "surrogateescape")


def _write(copy: Copy, root_fd: int, owner: tuple[int, int] | None, mode: Mode | None) -> None:
    """Write the text of a heredoc. Its time is that of the directory it is in: it has no other."""
    assert copy.content is not None
    taken = Taken("", copy.source, is_directory=False)
    lead, name = target_of(root_fd, copy, taken)
    bits = 0o644 if mode is None else mode.apply(0o644, directory=False)
    with Way(root_fd, lead, mode=mode_of_way(mode), owner=owner or (0, 0)) as way:
        target = f"{way.path}/{name}".lstrip("/")
        with paths.Parent(root_fd, target) as (parent_fd, last):
            try:
                os.unlink(last, dir_fd=parent_fd)
            except FileNotFoundError:
                pass
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(last, flags, 0o600, dir_fd=parent_fd), "wb", buffering=0) as file:
                write_all(file.fileno(), copy.content.encode("utf-8", "surrogateescape"))
                os.fchown(file.fileno(), *(owner or (0, 0)))
                os.fchmod(file.fileno(), bits)
                os.utime(file.fileno(), ns=(way.time_ns, way.time_ns))


def _add(
    copy: Copy, tree: Tree, root_fd: int, owner: tuple[int, int] | None, mode: Mode | None
) -> None:
    """Unpack what is an archive, copy what is none."""
    for taken in select(tree, copy):
        unpack = _archive(tree, taken)
        if unpack is None:
            single = copy.replace(source=_literal(taken.path)) if taken.path else copy
            place(tree, root_fd, single, owner=owner, mode=mode)
        else:
            with Way(root_fd, copy.destination, owner=owner or (0, 0)) as way:
                unpack(root_fd, way.path, owner)


def _literal(path: str) -> str:
    """Return the source that means exactly `path`."""
    return "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in path)


def _archive(tree: Tree, taken: Taken) -> Callable[[int, str, tuple[int, int] | None], None] | None:
    """Return what unpacks a file that is an archive, compressed or not; None for other files."""
    if taken.is_directory or not _is_tar(tree, taken):
        return None
    from knarr.snapshot.archive import unpack_archive_into  # noqa: PLC0415 - COPY does without

    def unpack(root_fd: int, path: str, owner: tuple[int, int] | None) -> None:
        with _open(tree, taken) as file:
            unpack_archive_into(root_fd, path, open_any(file)[0], owner=owner)

    return unpack


def _open(tree: Tree, taken: Taken) -> FileIO:
    return FileIO(paths.open_plain(tree.descriptor, taken.path, _READ))


def _is_tar(tree: Tree, taken: Taken) -> bool:
    descriptor = paths.open_plain(tree.descriptor, taken.path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
    finally:
        os.close(descriptor)
    with _open(tree, taken) as file:
        return is_tar(file)


def is_tar(stream: Reader) -> bool:
    """Tell whether a stream, compressed or not, begins as a tar does."""
    from knarr.util.tar import ZEROS, parse_header  # noqa: PLC0415 - COPY does without

    try:
        reader = open_any(stream)[0]
        block = b""
        while len(block) < _BLOCK:
            data = reader.read(_BLOCK - len(block))
            if not data:
                return False
            block += data
        if block == ZEROS:
            return False
        parse_header(block)
    except Corrupt:
        return False
    return True
