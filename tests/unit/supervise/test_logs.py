"""The file of the json-file driver: rotation, torn entries, full disks."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest

from knarr.supervise import logs
from knarr.supervise.loop import Loop
from knarr.supervise.messages import STDERR, STDOUT, LogOptions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def options(path: Path, *, size: int = 0, files: int = 1) -> LogOptions:
    return LogOptions(path=str(path), max_size=size, max_file=files)


def texts(*paths: Path) -> list[str]:
    return [json.loads(line)["log"] for path in paths for line in path.read_bytes().splitlines()]


def test_streams_are_told_apart(path: Path) -> None:
    log = logs.JsonFile(options(path))
    log.write(STDOUT, b"out\n")
    log.write(STDERR, b"err\n")
    log.close()
    streams = [json.loads(line)["stream"] for line in path.read_bytes().splitlines()]
    assert streams == ["stdout", "stderr"]


def test_a_log_is_continued(path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = logs.JsonFile(options(path))
        log.write(STDOUT, text)
        log.close()
    assert texts(path) == ["one\n", "two\n"]


def test_what_is_held_back_is_written_at_the_end(path: Path) -> None:
    log = logs.JsonFile(options(path))
    log.write(STDOUT, b"prompt> ")
    assert log.pending()
    assert path.read_bytes() == b""
    log.close()
    assert texts(path) == ["prompt> "]


def test_files_are_rotated_without_losing_a_line_of_those_kept(path: Path) -> None:
    log = logs.JsonFile(options(path, size=1000, files=3))
    for number in range(100):
        log.write(STDOUT, b"%d\n" % number)
    log.close()
    kept = [path.with_name("log.2"), path.with_name("log.1"), path]
    numbers = [int(text) for text in texts(*kept)]
    assert numbers == list(range(numbers[0], 100))
    assert sorted(os.listdir(path.parent)) == ["log", "log.1", "log.2"]
    assert all(kept_path.stat().st_size < 1100 for kept_path in kept)


def test_a_batch_is_spread_over_files_by_whole_entries(path: Path) -> None:
    log = logs.JsonFile(options(path, size=1000, files=50))
    log.write(STDOUT, b"".join(b"%d\n" % number for number in range(200)))
    log.close()
    files = sorted(path.parent.iterdir(), key=lambda p: -int(p.suffix[1:] or 0))
    assert len(files) > 10
    assert [int(text) for text in texts(*files)] == list(range(200))


def test_a_single_file_begins_again(path: Path) -> None:
    log = logs.JsonFile(options(path, size=500))
    for number in range(50):
        log.write(STDOUT, b"%d\n" % number)
    log.close()
    assert texts(path)[-1] == "49\n"
    assert os.listdir(path.parent) == ["log"]


def test_without_a_limit_nothing_is_rotated(path: Path) -> None:
    log = logs.JsonFile(options(path, files=3))
    log.write(STDOUT, b"x\n" * 10000)
    log.close()
    assert os.listdir(path.parent) == ["log"]


@pytest.mark.parametrize("torn", [b'{"log":"ha', b"x" * 200_000], ids=["short", "long"])
def test_a_torn_entry_is_cut_off(path: Path, torn: bytes) -> None:
    whole = b'{"log":"whole\\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}\n'
    path.write_bytes(whole + torn)
    log = logs.JsonFile(options(path))
    log.write(STDOUT, b"more\n")
    log.close()
    assert texts(path) == ["whole\n", "more\n"]


def test_a_full_disk_leaves_a_note_of_what_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [False]

    def write(point: str) -> None:
        if point == "log:write" and full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(logs, "trace", write)
    log = logs.JsonFile(options(path))
    log.write(STDOUT, b"before\n")
    full[0] = True
    log.write(STDOUT, b"1234\n")
    log.write(STDOUT, b"5678\n")
    full[0] = False
    log.write(STDOUT, b"after\n")
    log.close()
    before, note, after = texts(path)
    assert (before, after) == ("before\n", "after\n")
    assert "10 bytes of output are missing" in note
    assert "No space left on device" in note


def test_the_driver_none_keeps_nothing(path: Path) -> None:
    log = logs.open_log(LogOptions("none", str(path)), Loop())
    log.write(STDOUT, b"secret\n")
    log.close()
    assert not path.exists()
