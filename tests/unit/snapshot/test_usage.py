"""Sizes as Docker shows them."""

from __future__ import annotations

import os
from pathlib import Path

from knarr.snapshot import usage
from knarr.snapshot.snapshotter import Usage


def test_sizes(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/file").write_bytes(b"x" * 10_000)
    os.link(tmp_path / "directory/file", tmp_path / "again")
    (tmp_path / "link").symlink_to("directory")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 30)
    found = usage.of(str(tmp_path))
    assert found.size == 10_000 + len("directory") + (1 << 30)
    assert found.inodes == 4
    assert 8192 <= found.disk < 1 << 20


def test_nothing(tmp_path: Path) -> None:
    assert usage.of(str(tmp_path)) == Usage(0, 0, 0)
