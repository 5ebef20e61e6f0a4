"""A container's files as its program sees them: links stay inside, mounts are crossed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from knarr.engine.explaining import facts as kinds
from knarr.engine.explaining.programs import Account, look
from knarr.engine.explaining.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path


def make(directory: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    for name, target in (links or {}).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return directory


def tree(root: Path, mounts: dict[str, str | None] | None = None) -> Tree:
    return Tree(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), mounts)


def test_links_stay_inside(tmp_path: Path) -> None:
    root = make(
        tmp_path / "root",
        {"etc/name": "inner"},
        {"up": "../../../../etc/name", "abs": "/etc/name", "loop": "loop", "away": "/etc/passwd"},
    )
    with tree(root) as files:
        assert files.read("/up", 99) == b"inner"
        assert files.read("abs", 99) == b"inner"
        assert files.read("/etc/../abs", 99) == b"inner"
        assert not files.exists("/away")
        with pytest.raises(OSError, match="symbolic links"):
            files.open("/loop")


def test_mounts_are_crossed(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"etc/name": "inner", "data/x": "hidden"}, {"link": "/data/x"})
    host = make(
        tmp_path / "host", {"x": "mounted"}, {"back": "/etc/name", "out": "../root/etc/name"}
    )
    mounts = {"/data": str(host), "/file": str(host / "x"), "/data/tmp": None}
    with tree(root, mounts) as files:
        assert files.read("/link", 99) == b"mounted"
        assert files.read("/file", 99) == b"mounted"
        assert files.read("/data/back", 99) == b"inner"  # as the container sees it
        assert not files.exists("/data/out")
        assert not files.exists("/data/tmp/anything")
        assert sorted(files.names("/data")) == ["back", "out", "x"]
        assert files.names("/nosuch") == []


def test_pipes_are_not_read(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"x": ""})
    os.mkfifo(root / "pipe", 0o755)
    with tree(root) as files:
        assert files.read("/pipe", 9) == b""


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("tool", "/opt:/bin", kinds.SCRIPT),
        ("tool", "/opt", kinds.NO_BIT),
        ("nosuch", "/bin", kinds.MISSING),
        ("./tool", "", kinds.SCRIPT),
        ("/opt", "", kinds.DIRECTORY),
        ("/bin/argued", "", kinds.SCRIPT),
    ],
)
def test_looking_a_program_up(tmp_path: Path, name: str, path: str, kind: str) -> None:
    root = make(
        tmp_path / "root",
        {"bin/tool": "#!/bin/tool\n", "opt/tool": "", "bin/argued": "#!/bin/tool -x\r\n"},
    )
    (root / "opt/tool").chmod(0o644)
    with tree(root) as files:
        found = look(files, name, search_path=path, working_dir="/bin", account=Account())
    assert found.kind == kind
    assert not found.carriage_return
    assert not found.helper_missing


def test_permissions(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"app": "#!/app\n"})
    (root / "app").chmod(0o710)
    group = os.stat(root / "app").st_gid
    with tree(root) as files:
        for account, kind in (
            (Account(), kinds.SCRIPT),
            (Account(4711, (4711,)), kinds.DENIED),
            (Account(4711, (group,)), kinds.SCRIPT),
        ):
            found = look(files, "/app", search_path="", working_dir="", account=account)
            assert found.kind == kind
