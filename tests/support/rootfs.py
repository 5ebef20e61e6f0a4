"""Root file systems small enough to make one for each test: busybox and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

BUSYBOX = "/bin/busybox"
APPLETS = """
    sh cat echo ls true false sleep env id pwd hostname mount umount grep head tail touch mkdir rm
    ln cp mv chmod chown stat readlink test kill ps wc tr cut sort dd seq stty tty nice ulimit sync
    df du find printf expr date uname nc ip wget vi which whoami tee xargs od sed awk yes mkfifo
    mknod nproc setsid timeout trap su cttyhack hexdump md5sum tar gzip free
""".split()  # noqa: SIM905
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


def need_busybox() -> None:
    """Skip unless the static busybox is there."""
    try:
        with open(BUSYBOX, "rb") as file:
            static = b"/lib64/ld-linux" not in file.read(4096)
    except OSError:
        static = False
    if not static:
        pytest.skip("a statically linked /bin/busybox is missing (package busybox-static)")


def make_rootfs(directory: Path, files: dict[str, str | bytes] | None = None) -> Path:
    """Fill `directory` with a rootfs of busybox and of `files`; return it.

    A name in `files` that ends in `/` is a directory; contents that begin with `#!` make an
    executable file.
    """
    need_busybox()
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "run", "usr/bin", "var/tmp"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "tmp").chmod(0o1777)
    program = directory / "bin" / "busybox"
    shutil.copy(BUSYBOX, program)
    program.chmod(0o755)
    for name in APPLETS:
        link = directory / "bin" / name
        if not link.is_symlink():
            link.symlink_to("busybox")
    files = {"etc/passwd": PASSWD, "etc/group": GROUP, **(files or {})}
    for name, contents in files.items():
        path = directory / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = contents.encode() if isinstance(contents, str) else contents
        path.write_bytes(data)
        if data.startswith((b"#!", b"\x7fELF")):
            os.chmod(path, 0o755)
    return directory
