"""Overlay mounts from a list of options, on every kernel since 5.15.

Options are pairs of key and value as the newest kernels take them, lower directories one by one and
the top first:

    [("lowerdir+", "/layers/b"), ("lowerdir+", "/layers/a"), ("upperdir", …), ("workdir", …),
     ("index", "off"), ("volatile", "")]

`source`, if it is among them, is what the mount table calls the mount.

Three ways to mount them, tried in this order:

1. fsconfig(2) with `lowerdir+` (Linux 6.8): any number of lower directories up to the kernel's
   MAX_LOWERS, and a mount that is attached nowhere.
2. fsconfig(2) with one `lowerdir`, if all paths together fit into its 255 bytes.
3. mount(2), whose options are one page of text. To fit many lower directories into it they are
   opened and named by their descriptors, relative to /proc/self/fd as the working directory.
   mount(2) always attaches, so whoever has no mount namespace of its own to do that in
   (`open_mount`) asks a helper process that has: it mounts there, clones the mount, passes the
   clone's descriptor and ends.

The descriptors returned are O_PATH: good for `…at` calls, and for `openat2` of "." to list them.

Man: fsopen(2), fsconfig(2), mount(2)
Spec: kernel Documentation/filesystems/overlayfs.rst
"""

from __future__ import annotations

import errno
import os

from knarr.linux import mount, namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Options = Sequence[tuple[str, str]]

MAX_LOWERS = 500  # OVL_MAX_STACK of fs/overlayfs

_LONGEST_STRING = 255  # bytes that fsconfig(2) takes of a value
_LONGEST_PAGE = 4095  # bytes of text that mount(2) takes
_HELPER = """
import sys
sys.path.insert(0, sys.argv[1])
from knarr.linux import overlay
overlay.help_mounting(int(sys.argv[2]), sys.argv[3:])
"""

_appendable: bool | None = None


def can_append_lowers() -> bool:
    """Tell whether fsconfig(2) takes lower directories one by one. Asked of the kernel once."""
    global _appendable  # noqa: PLW0603 - what the kernel can is asked once
    if _appendable is None:
        _appendable = _refuses_unknown_options() and _accepts("lowerdir+", "/")
    return _appendable


def _refuses_unknown_options() -> bool:
    # Before 6.5 overlay's options were collected as text, and all of them seemed welcome.
    return not _accepts("no-such-option", "1")


def _accepts(key: str, value: str) -> bool:
    fs_fd = mount.fsopen("overlay")
    try:
        mount.fsconfig_string(fs_fd, key, value)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        os.close(fs_fd)
    return True


def open_mount(options: Options, *, attributes: int = 0) -> int:
    """Mount `options` nowhere and return the descriptor; closing it unmounts.

    `attributes` are MOUNT_ATTR_… of `mount`.
    """
    if can_append_lowers():
        return _configure(options, attributes)
    joined = _joined(options)
    if all(len(os.fsencode(value)) <= _LONGEST_STRING for _, value in joined):
        return _configure(joined, attributes)
    return open_mount_by_helper(options, attributes=attributes)


def open_mount_here(options: Options, *, attributes: int = 0) -> int:
    """Do as `open_mount` does, in a process that is alone in a mount namespace of its own.

    It mounts as who it is: files that overlay makes for itself are that user's. On older kernels
    something is mounted over /dev afterwards.
    """
    if can_append_lowers():
        return _configure(options, attributes)
    # Any directory does: the namespace ends with this process, the clone stays.
    mount_page_at(options, "/dev", attributes=attributes)
    return mount.open_tree(mount.AT_FDCWD, "/dev", mount.OPEN_TREE_CLONE)


def _configure(options: Options, attributes: int) -> int:
    """Return a detached mount made by fsconfig(2)."""
    fs_fd = mount.fsopen("overlay")
    opened: list[int] = []
    try:
        for key, value in options:
            if not value:
                mount.fsconfig_flag(fs_fd, key)
                continue
            if len(os.fsencode(value)) > _LONGEST_STRING:
                opened.append(os.open(value, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                value = f"/proc/self/fd/{opened[-1]}"
            mount.fsconfig_string(fs_fd, key, value)
        mount.fsconfig_create(fs_fd)
        return mount.fsmount(fs_fd, attributes)
    except OSError as error:
        _explain(fs_fd, error)
        raise
    finally:
        for descriptor in (*opened, fs_fd):
            os.close(descriptor)


def _explain(fs_fd: int, error: OSError) -> None:
    """Add what the kernel logged for this mount; it is often the only hint."""
    try:
        while line := os.read(fs_fd, 1024):
            error.add_note(os.fsdecode(line).strip())
    except OSError:
        pass  # ENODATA: nothing more was logged


def _joined(options: Options) -> list[tuple[str, str]]:
    """Return `options` with all lower directories in one."""
    lowers = ":".join(_escape(value) for key, value in options if key == "lowerdir+")
    others = [(key, value) for key, value in options if key != "lowerdir+"]
    return [("lowerdir", lowers), *others]


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:")


def mount_page_at(options: Options, target: str, *, attributes: int = 0) -> None:
    """Mount `options` at `target` by mount(2); see the module, way 3."""
    target_fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    before_fd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = [target_fd, before_fd]
    source = dict(options).get("source", "overlay")
    try:
        short = []
        for key, value in options:
            if key == "source":
                continue
            if key in ("lowerdir+", "upperdir", "workdir"):
                opened.append(os.open(value, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                value = str(opened[-1])
            short.append((key, value))
        page = ",".join(f"{key}={value}" if value else key for key, value in _joined(short))
        if len(page) > _LONGEST_PAGE:
            raise OSError(errno.E2BIG, "too many lower directories for mount(2)")
        os.chdir("/proc/self/fd")
        mount.mount(source, str(target_fd), "overlay", _flags(attributes), page)
    finally:
        os.fchdir(before_fd)
        for descriptor in opened:
            os.close(descriptor)


def _flags(attributes: int) -> int:
    """Return the MS_… flags for MOUNT_ATTR_… `attributes`."""
    pairs = (
        (mount.MOUNT_ATTR_RDONLY, mount.MS_RDONLY),
        (mount.MOUNT_ATTR_NOSUID, mount.MS_NOSUID),
        (mount.MOUNT_ATTR_NODEV, mount.MS_NODEV),
        (mount.MOUNT_ATTR_NOEXEC, mount.MS_NOEXEC),
        (mount.MOUNT_ATTR_NOATIME, mount.MS_NOATIME),
    )
    return sum(flag for attribute, flag in pairs if attributes & attribute)


def open_mount_by_helper(options: Options, *, attributes: int = 0) -> int:
    """Do as `open_mount` does, by a process that mounts in a namespace of its own."""
    import socket  # noqa: PLC0415 - only older kernels come here
    import sys  # noqa: PLC0415

    package_dir = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    pairs = [f"{key}={value}" for key, value in options]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _HELPER, package_dir, str(attributes), *pairs],
            {"LC_ALL": "C.UTF-8"},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
        )
        theirs.close()
        answer, descriptors, _, _ = socket.recv_fds(ours, 4096, 1, socket.MSG_CMSG_CLOEXEC)
    os.waitpid(pid, 0)
    if descriptors:
        return descriptors[0]
    number, _, note = answer.decode(errors="replace").partition(" ")
    failure = OSError(int(number or errno.EIO), os.strerror(int(number or errno.EIO)))
    failure.add_note(note or "the helper that mounts ended early")
    raise failure


def help_mounting(attributes: int, pairs: list[str]) -> None:
    """Be the helper: mount in a namespace of our own, send the clone to the socket on stdin."""
    import socket  # noqa: PLC0415 - the helper's alone

    options = [(key, value) for key, _, value in (pair.partition("=") for pair in pairs)]
    with socket.socket(fileno=0) as out:
        try:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE, None)
            clone = open_mount_here(options, attributes=attributes)
        except OSError as error:
            notes = "; ".join(getattr(error, "__notes__", (str(error),)))
            out.sendall(f"{error.errno} {notes}".encode()[:4000])
        else:
            socket.send_fds(out, [b"0 "], [clone])


def open_clone(directory: str, *, readonly: bool) -> int:
    """Return a detached mount of one directory tree, as a bind mount would show it."""
    clone = mount.open_tree(mount.AT_FDCWD, directory, mount.OPEN_TREE_CLONE)
    if readonly:
        try:
            mount.mount_setattr(clone, "", mount.AT_EMPTY_PATH, attr_set=mount.MOUNT_ATTR_RDONLY)
        except BaseException:
            os.close(clone)
            raise
    return clone
