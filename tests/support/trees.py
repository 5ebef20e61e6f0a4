"""Trees to compare: everything that a layer has to keep, one line a file."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep
LETTERS = {
    stat.S_IFDIR: "d",
    stat.S_IFREG: "-",
    stat.S_IFLNK: "l",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
    stat.S_IFIFO: "p",
    stat.S_IFSOCK: "s",
}


def listing(root: Path | int, *, times: bool = True, root_too: bool = False) -> list[str]:
    """Return a line for everything below `root`, sorted by name; links are not followed."""
    top = f"/proc/self/fd/{root}" if isinstance(root, int) else os.fspath(root)
    names = ["."] if root_too else []
    for directory, directories, files in os.walk(top):
        names += [os.path.relpath(f"{directory}/{name}", top) for name in directories + files]
    first: dict[tuple[int, int], str] = {}
    return [_line(top, name, first, times=times) for name in sorted(names, key=os.fsencode)]


def _line(top: str, name: str, first: dict[tuple[int, int], str], *, times: bool) -> str:
    path = f"{top}/{name}"
    status = os.stat(path) if name == "." else os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    if _whiteout(status):
        return f"c {name} 0:0"
    words = [LETTERS[kind], f"{status.st_mode & 0o7777:04o}", f"{status.st_uid}:{status.st_gid}"]
    if times:
        words.append(f"{status.st_mtime_ns / 10**9:.9f}")
    words.append(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    if kind != stat.S_IFDIR and status.st_nlink > 1:
        earlier = first.setdefault((status.st_dev, status.st_ino), name)
        if earlier != name:
            return " ".join([*words, "==", earlier])
    if kind == stat.S_IFLNK:
        words.append(f"-> {os.readlink(path)}")
    elif kind == stat.S_IFREG:
        data = Path(path).read_bytes()
        short = len(data) <= 20 and data.isascii()
        text = repr(data.decode()) if short else hashlib.sha256(data).hexdigest()[:12]
        words.append(f"{len(data)} {text}")
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        words.append(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    follow = name == "."
    for attribute in sorted(os.listxattr(path, follow_symlinks=follow)):
        value = os.getxattr(path, attribute, follow_symlinks=follow)
        words.append(f"{attribute}={value.hex()}")
    return " ".join(words)


def _whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def fill(root: Path) -> None:
    """Make a tree with one of everything that distributions contain; needs root."""
    files = {
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
        "etc/empty": b"",
        "usr/bin/su": b"\x7fELF",
        "usr/bin/ping": b"\x7fELF ping",
        "usr/bin/wall": b"\x7fELF wall",
        "usr/lib/large.so": os.urandom(300_000),
        "var/tmp/file": b"x" * 70_000,
        "var/data/grüße.txt": "Grüße".encode(),
        "var/data/not-utf8-\udcff\udcfe": b"bytes",
        "var/data/new\nline": b"a name with a line feed",
        "var/data/a=b": b"equals",
        "n" * 255: b"the longest name",
        "/".join(["deep" * 20] * 12) + "/file": b"a path of over 900 bytes",
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    _fill_special(root)
    _fill_attributes(root)
    _fill_times(root)


def _fill_special(root: Path) -> None:
    with open(root / "var/sparse", "wb") as file:
        file.write(b"begin")
        file.seek(3 << 20)
        file.write(b"middle")
        file.truncate(5 << 20)
    os.link(root / "usr/bin/ping", root / "usr/bin/ping4")
    os.link(root / "usr/bin/ping", root / "a-link-that-sorts-first")
    (root / "lib").symlink_to("usr/lib")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("no/such/place")
    (root / "long-target").symlink_to("t" * 300)
    os.link(root / "lib", root / "lib-again", follow_symlinks=False)
    (root / "dev").mkdir()
    os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "dev/sda", stat.S_IFBLK | 0o660, os.makedev(8, 1_000_000 >> 4))
    os.mkfifo(root / "dev/initctl", 0o600)
    (root / "empty-directory").mkdir()


def _fill_attributes(root: Path) -> None:
    os.chmod(root / "dev/null", 0o666)
    os.chmod(root / "var/tmp", 0o1777)
    os.chown(root / "var/data", 33, 33)
    os.chmod(root / "var/data", 0o2775)
    os.chown(root / "usr/bin/wall", 0, 5)
    os.chmod(root / "usr/bin/wall", 0o2755)
    os.chmod(root / "usr/bin/su", 0o4755)
    os.chmod(root / "etc/empty", 0o000)
    os.chown(root / "var/tmp/file", 4_000_000_000, 3_000_000)
    os.chown(root / "dangling", 1000, 1000, follow_symlinks=False)
    os.setxattr(root / "usr/bin/ping", "security.capability", CAPABILITY)
    os.setxattr(root / "etc/passwd", "user.comment", b"with = sign\nand line feed\0and NUL")
    os.setxattr(root / "etc/passwd", "user.na=me", b"equals")
    os.setxattr(root / "var", "user.directory", b"")
    os.setxattr(root / "lib", "trusted.link", b"on a link", follow_symlinks=False)


def _fill_times(root: Path) -> None:
    for number, (directory, directories, files) in enumerate(os.walk(root, topdown=False)):
        for index, name in enumerate(sorted(directories + files)):
            path = f"{directory}/{name}"
            nanoseconds = (1_500_000_000 + number) * 10**9 + index * 1_000_001
            os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)
    os.utime(root / "etc/empty", ns=(-1_500_000_000, -1_500_000_000))
    os.utime(root / "etc/passwd", ns=(0, 0))
    os.utime(root, ns=(1_600_000_000_123_456_789,) * 2)
