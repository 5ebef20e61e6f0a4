"""Trees as hostile as a container can make them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.linux import tree


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def dig(root: int, levels: int) -> None:
    """Make a chain of directories longer than any path can name."""
    current = os.dup(root)
    for _ in range(levels):
        os.mkdir("directory", dir_fd=current)
        below = os.open("directory", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)


def test_walk_is_sorted_with_parents_first(root: int, tmp_path: Path) -> None:
    for name in ("b/x", "b.txt", "a/1", "a/0", "a/ä", "a/\udcff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("a")
    found = [path for path, _, _, _ in tree.Walk(root)]
    assert found == ["a", "a/0", "a/1", "a/ä", "a/\udcff", "b", "b/x", "b.txt", "link"]


def test_walk_can_leave_out_a_directory(root: int, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "c/d").mkdir(parents=True)
    walk = tree.Walk(root)
    found = []
    for path, _, _, _ in walk:
        found.append(path)
        if path == "a":
            walk.prune()
    assert found == ["a", "c", "c/d"]


def test_walk_survives_what_vanishes(root: int, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name / "below").mkdir(parents=True)
    found = []
    for path, _, _, _ in tree.Walk(root):
        found.append(path)
        if path == "a":
            (tmp_path / "b/below").rmdir()
            (tmp_path / "b").rmdir()
    assert found == ["a", "a/below", "b", "c", "c/below"]


def test_trees_deeper_than_a_path(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dig(root, 600)
    assert sum(1 for _ in tree.Walk(root)) == 600
    tree.remove_tree(root, "directory")
    assert os.listdir(root) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_removing_follows_no_link(root: int, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "doomed").mkdir()
    (tmp_path / "doomed/link").symlink_to("../kept")
    tree.remove_tree(root, "doomed")
    tree.remove_tree(root, "doomed")
    assert os.listdir(root) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]
