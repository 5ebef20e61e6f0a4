"""File systems that are made for a container, and what is copied into them.

A file system is configured in a context that the kernel also writes its complaints into, and
mounted where nobody sees it (`fsopen` … `fsmount`); who made it puts it in its place.

Man: fsopen(2), fsconfig(2), fsmount(2)
"""

from __future__ import annotations

import os
import stat

from knarr.linux import mount


def make_file_system(
    fstype: str, source: str, parameters: list[tuple[str, str | None]], attributes: int
) -> int:
    """Return a detached mount of a new `fstype`; what the kernel says of an error is its note."""
    context = mount.fsopen(fstype)
    try:
        if source:
            mount.fsconfig_string(context, "source", source)
        for key, value in parameters:
            if value is None:
                mount.fsconfig_flag(context, key)
            else:
                mount.fsconfig_string(context, key, value)
        mount.fsconfig_create(context)
        return mount.fsmount(context, attributes)
    except OSError as error:
        for line in kernel_log(context):
            error.add_note(line)
        raise
    finally:
        os.close(context)


def kernel_log(context: int) -> list[str]:
    """Return what the kernel noted in a context of `fsopen`."""
    lines = []
    try:
        while line := os.read(context, 1024):
            lines.append(line.decode(errors="replace").strip())
    except OSError:  # ENODATA: that was all
        pass
    return lines


def copy_up(from_fd: int, to_fd: int) -> None:
    """Copy a directory with its attributes into an empty file system (the option tmpcopyup)."""
    source_fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=from_fd)
    try:
        _copy_directory(source_fd, to_fd)
    finally:
        os.close(source_fd)


def _copy_directory(source_fd: int, target_fd: int) -> None:
    for name in os.listdir(source_fd):
        status = os.lstat(name, dir_fd=source_fd)
        _copy_entry(source_fd, target_fd, name, status)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target_fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target_fd)


def _copy_entry(source_fd: int, target_fd: int, name: str, status: os.stat_result) -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(name, 0o700, dir_fd=target_fd)
        inner = os.open(name, flags | os.O_RDONLY, dir_fd=source_fd)
        outer = os.open(name, flags | os.O_RDONLY, dir_fd=target_fd)
        _copy_directory(inner, outer)
    elif stat.S_ISREG(status.st_mode):
        inner = os.open(name, flags | os.O_RDONLY, dir_fd=source_fd)
        outer = os.open(name, flags | os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=target_fd)
        while os.sendfile(outer, inner, None, 1 << 20):
            pass
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=target_fd)
        return
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target_fd)
        return
    os.close(inner)
    os.close(outer)
