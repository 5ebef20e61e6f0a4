from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from knarr.util.files import FileLock, read_file, write_atomically

WRITE = """
import sys
from knarr.util import files
real, files.os.rename = files.os.rename, lambda *paths: files.os.kill(files.os.getpid(), 9)
files.write_atomically(sys.argv[1], b"new")
"""


def test_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for contents in (b"old", b"new"):
        write_atomically(str(path), contents, mode=0o600)
    assert read_file(str(path)) == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_killed_before_the_rename_leaves_the_old_contents(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", WRITE, path], check=False)
    assert killed.returncode == -9
    assert path.read_bytes() == b"old"


def test_a_failed_write_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(str(target), b"")
    assert os.listdir(tmp_path) == ["directory"]


def test_a_lock_excludes_others_until_released(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, second = FileLock(path), FileLock(path)
    with first:
        assert not second.acquire(wait=False)
    assert second.acquire(wait=False)
    second.release()


def test_shared_locks_go_together(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, second, third = FileLock(path), FileLock(path), FileLock(path)
    assert first.acquire(shared=True)
    assert second.acquire(shared=True)
    assert not third.acquire(wait=False)
    first.release()
    second.release()


def test_a_lock_whose_file_was_deleted_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = FileLock(str(path))
    with holder:
        descriptor = os.open(path, os.O_RDONLY)
        path.unlink()
    os.close(descriptor)
    late = FileLock(str(path))
    assert late.acquire(wait=False)
    late.release()
