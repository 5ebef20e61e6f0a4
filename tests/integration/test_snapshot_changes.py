"""What `knarr diff` lists, from changes made in a real mount."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.snapshot.overlay import Layers
from support.archives import archive

if TYPE_CHECKING:
    from knarr.snapshot.snapshotter import Stack

pytestmark = pytest.mark.root

BASE = """
dir  etc/
file etc/passwd data=root mtime=1.5
file etc/group data=root
dir  etc/deep/
dir  etc/deep/er/
file etc/deep/er/file data=1
dir  gone/
file gone/below data=1
file file data=1
dir  opaque/
file opaque/a data=1
file opaque/b data=1
symlink link to=file
dir  tmp/ mode=1777
"""


def touch_and_copy_up(root: Path) -> None:
    """Make overlay copy a file up without a change."""
    with open(root / "etc/passwd", "r+b"):
        pass


def remove(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def replace_directory(root: Path) -> None:
    remove(root, "opaque/a", "opaque/b", "opaque")
    (root / "opaque").mkdir()
    (root / "opaque/b").write_text("longer")
    (root / "opaque/c").touch()


def add_tree(root: Path) -> None:
    (root / "new/deep").mkdir(parents=True)
    (root / "new/deep/file").touch()


def file_for_directory(root: Path) -> None:
    remove(root, "gone/below", "gone")
    (root / "gone").write_text("file")


def directory_for_file(root: Path) -> None:
    remove(root, "file")
    (root / "file").mkdir()
    (root / "file/below").touch()


def come_and_go(root: Path) -> None:
    (root / "etc/temporary").touch()
    remove(root, "etc/temporary")


def another_link(root: Path) -> None:
    remove(root, "link")
    (root / "link").symlink_to("etc")


def capability(root: Path) -> None:
    times = (root / "file").stat()
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(root / "file", "security.capability", value)
    os.utime(root / "file", ns=(times.st_atime_ns, times.st_mtime_ns))


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (os.listdir, ""),
    "copied up only": (touch_and_copy_up, ""),
    "content": (lambda root: (root / "etc/passwd").write_text("x"), "C /etc, C /etc/passwd"),
    "mode": (lambda root: (root / "etc/passwd").chmod(0o600), "C /etc, C /etc/passwd"),
    "owner": (lambda root: os.chown(root / "file", 1, 0), "C /file"),
    "time": (lambda root: os.utime(root / "file", (5, 5)), "C /file"),
    "half a second less": (lambda root: os.utime(root / "etc/passwd", (1, 1)), ""),
    "capability": (capability, "C /file"),
    "directory's time": (lambda root: os.utime(root / "etc", (5, 5)), ""),
    "directory's mode": (lambda root: (root / "etc").chmod(0o700), "C /etc"),
    "added": (add_tree, "A /new, A /new/deep, A /new/deep/file"),
    "added deep": (
        lambda root: (root / "etc/deep/er/x").touch(),
        "C /etc, C /etc/deep, C /etc/deep/er, A /etc/deep/er/x",
    ),
    "come and gone": (come_and_go, ""),
    "deleted file": (lambda root: remove(root, "etc/group"), "C /etc, D /etc/group"),
    "deleted tree": (lambda root: remove(root, "gone/below", "gone"), "D /gone"),
    "replaced directory": (
        replace_directory, "C /opaque, C /opaque/b, A /opaque/c, D /opaque/a",
    ),
    "file for directory": (file_for_directory, "C /gone"),
    "directory for file": (directory_for_file, "C /file, A /file/below"),
    "another link": (another_link, "C /link"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES.keys())
def test_changes(tmp_path: Path, change: Callable[[Path], object], expected: str) -> None:
    layers = Layers(str(tmp_path / "layers"))
    stack: Stack = (layers.apply(archive(BASE)).chain_id,)
    stack += (layers.apply(archive("file other data=1"), parents=stack).chain_id,)
    active = str(tmp_path / "active")
    os.mkdir(active)
    layers.prepare(active, stack)
    mounted = layers.mount(stack, active=active)
    try:
        change(Path(f"/proc/self/fd/{mounted}"))
        found = [f"{one.kind} {one.path}" for one in layers.changes(active, stack)]
    finally:
        os.close(mounted)
    assert ", ".join(found) == expected
