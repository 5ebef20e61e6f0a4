"""Archives written down as text, made by Python's own tarfile: an oracle, and short to read.

    dir      usr/ mode=755 mtime=1.5 uid=1 gid=1
    file     usr/hello data="some text" xattr=user.a=b
    symlink  lib to=usr/lib
    link     usr/again to=usr/hello
    char     dev/null number=1:3
    block    dev/sda number=8:0
    fifo     dev/initctl

Names are used as they are: `..`, absolute and twice if that is what a test wants.
"""

from __future__ import annotations

import io
import shlex
import tarfile
from pathlib import Path

TYPES = {
    "dir": tarfile.DIRTYPE,
    "file": tarfile.REGTYPE,
    "symlink": tarfile.SYMTYPE,
    "link": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def archive(text: str) -> io.BytesIO:
    """Return the archive that `text` describes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                member, data = _member(words)
                tar.addfile(member, io.BytesIO(data))
    out.seek(0)
    return out


def _member(words: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    kind, name, *pairs = words
    member = tarfile.TarInfo(name)
    member.type = TYPES[kind]
    member.mode = 0o755 if kind == "dir" else 0o644
    data = b""
    for key, _, value in (pair.partition("=") for pair in pairs):
        if key == "mode":
            member.mode = int(value, 8)
        elif key in ("uid", "gid"):
            setattr(member, key, int(value))
        elif key == "mtime":
            member.mtime = float(value)
        elif key == "to":
            member.linkname = value
        elif key == "number":
            member.devmajor, member.devminor = map(int, value.split(":"))
        elif key == "xattr":
            attribute, _, content = value.partition("=")
            member.pax_headers = {**member.pax_headers, f"SCHILY.xattr.{attribute}": content}
        else:
            assert key == "data", key
            data = value.encode()
    member.size = len(data)
    return member, data


def archives(path: Path) -> list[io.BytesIO]:
    """Return the archives in a file, which are separated by lines of `--`."""
    return [archive(part) for part in path.read_text().split("--\n")]
