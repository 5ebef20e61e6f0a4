"""What is kept of files that were read, and what is left for later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr.snapshot.contents import LARGE, Contents, key_of


def written(path: Path, content: bytes) -> os.stat_result:
    path.write_bytes(content)
    return path.stat()


def test_what_was_read_is_found_until_the_file_is_another(tmp_path: Path) -> None:
    with Contents() as contents:
        status = written(tmp_path / "f", b"one")
        contents.keep(key_of(status), b"one")
        assert contents.find(status) == b"one"
        (tmp_path / "g").write_bytes(b"two")
        os.replace(tmp_path / "g", tmp_path / "f")
        assert contents.find((tmp_path / "f").stat()) is None
    assert contents.find(status) is None


def test_no_more_is_kept_than_memory_is_of_no_account(tmp_path: Path) -> None:
    status = written(tmp_path / "f", b"")
    piece = bytes(1 << 20)
    with Contents() as contents:
        for number in range(100):
            contents.place(b"%d" % number, piece)
        contents.keep(key_of(status), piece)
        assert contents.find(status) is None
        assert sum(contents.placed(b"%d" % number) is not None for number in range(100)) < 64


def test_what_was_placed_is_had_once_and_never_after_it_was_replaced() -> None:
    with Contents() as contents:
        contents.place(b"a", b"1")
        assert contents.placed(b"a") == b"1"
        assert contents.placed(b"a") is None
        contents.place(b"b", b"2")
        contents.forget(b"b")
        assert contents.placed(b"b") is None


def test_only_large_plain_files_are_postponed(tmp_path: Path) -> None:
    def postponed(name: str) -> bool:
        with (tmp_path / name).open("rb") as file, Contents() as contents:
            return contents.postpone(b"it", file.fileno(), os.fstat(file.fileno()))

    written(tmp_path / "large", bytes(LARGE))
    assert postponed("large")
    written(tmp_path / "small", bytes(LARGE - 1))
    assert not postponed("small")
    written(tmp_path / "setuid", bytes(LARGE))
    os.chmod(tmp_path / "setuid", 0o4755)
    assert not postponed("setuid")
    os.truncate(tmp_path / "large", 2 * LARGE)
    assert not postponed("large"), "it has a hole"
    os.link(tmp_path / "small", tmp_path / "other")
    os.truncate(tmp_path / "small", 0)
    written(tmp_path / "small", bytes(LARGE))
    assert not postponed("other"), "it has two names"


def test_what_was_postponed_has_to_be_copied(tmp_path: Path) -> None:
    status = written(tmp_path / "f", bytes(LARGE))
    with (tmp_path / "f").open("rb") as file, Contents() as contents:
        assert contents.postpone(b"here", file.fileno(), status)
        with pytest.raises(RuntimeError, match="here"):
            contents.check()
        source_fd = contents.postponed(b"here")
        contents.check()
        assert os.fstat(source_fd).st_ino == status.st_ino
        os.close(source_fd)
        assert contents.postponed(b"here") == -1


def test_descriptors_of_what_was_postponed_are_let_go(tmp_path: Path) -> None:
    status = written(tmp_path / "f", bytes(LARGE))
    before = len(os.listdir("/proc/self/fd"))
    with (tmp_path / "f").open("rb") as file, Contents() as contents:
        contents.postpone(b"one", file.fileno(), status)
        contents.postpone(b"two", file.fileno(), status)
        contents.forget(b"one")
    assert len(os.listdir("/proc/self/fd")) == before
