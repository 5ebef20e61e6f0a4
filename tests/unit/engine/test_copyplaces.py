"""Docker's rules about where copies end up, as tables."""

from __future__ import annotations

import os
import stat

import pytest

from knarr.engine.copying.places import (
    Destination,
    PathStat,
    base_name,
    clean,
    land,
    split_argument,
)
from knarr.engine.copying.view import hidden_devices
from knarr.errors import KnarrError

NOTHING = Destination("/way/new")
SLASH = Destination("/way/new/")
FILE = Destination("/way/file", exists=True)
DIRECTORY = Destination("/way/dir", exists=True, is_directory=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web:/tmp", ("web", "/tmp")),
        ("web:tmp", ("web", "tmp")),
        ("web:", ("web", "")),
        ("/path:with/colon", ("", "/path:with/colon")),
        ("./web:/tmp", ("", "./web:/tmp")),
        (".:x", ("", ".:x")),
        ("plain", ("", "plain")),
        ("-", ("", "-")),
    ],
)
def test_arguments(text: str, expected: tuple[str, str]) -> None:
    assert split_argument(text) == expected


@pytest.mark.parametrize(
    ("path", "cleaned", "name"),
    [
        ("", "/", "."),
        ("/", "/", "."),
        ("a", "/a", "a"),
        ("/a/", "/a/", "a"),
        ("/a/.", "/a/.", "."),
        ("/a/b/..", "/a", "a"),
        ("../../etc", "/etc", "etc"),
        ("//a//b", "/a/b", "b"),
        (".", "/.", "."),
    ],
)
def test_paths(path: str, cleaned: str, name: str) -> None:
    assert clean(path) == cleaned
    assert base_name(cleaned) == name


@pytest.mark.parametrize(
    ("source", "directory", "destination", "expected"),
    [
        ("/a/x", False, NOTHING, ("/way", "new")),
        ("/a/x", False, SLASH, "no such directory: /way/new/"),
        ("/a/x", False, FILE, ("/way", "file")),
        ("/a/x", False, DIRECTORY, ("/way/dir", "x")),
        ("/a/d", True, NOTHING, ("/way", "new")),
        ("/a/d", True, SLASH, ("/way", "new")),
        ("/a/d", True, FILE, "cannot copy directory /a/d to /way/file, which is none"),
        ("/a/d", True, DIRECTORY, ("/way/dir", "d")),
        ("/a/d/.", True, NOTHING, ("/way", "new")),
        ("/a/d/.", True, FILE, "cannot copy directory /a/d/. to /way/file, which is none"),
        ("/a/d/.", True, DIRECTORY, ("/way/dir", ".")),
        ("/a/d/", True, DIRECTORY, ("/way/dir", "d")),
    ],
)
def test_the_table(
    source: str, directory: bool, destination: Destination, expected: tuple[str, str] | str
) -> None:
    if isinstance(expected, str):
        with pytest.raises(KnarrError) as caught:
            land(source, destination, directory=directory)
        assert caught.value.message == expected
        return
    landing = land(source, destination, directory=directory)
    assert (landing.directory, landing.name) == expected


def test_several_go_into_a_directory() -> None:
    assert land("/a", DIRECTORY, directory=False, several=True).name == "a"
    for destination in (NOTHING, FILE):
        with pytest.raises(KnarrError, match="must be a directory"):
            land("/a", destination, directory=False, several=True)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFREG | 0o6755, 1 << 23 | 1 << 22 | 0o755),
        (stat.S_IFCHR | 0o666, 1 << 26 | 1 << 21 | 0o666),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
    ],
)
def test_modes_as_go_has_them(mode: int, expected: int) -> None:
    document = PathStat("x", 5, mode, 1_500_000_000_000_000_000).document()
    assert document == {
        "name": "x",
        "size": 5,
        "mode": expected,
        "mtime": "2017-07-14T02:40:00Z",
        "linkTarget": "",
    }


def test_devices_that_hold_no_files() -> None:
    lines = [
        "1 0 0:30 / / rw - overlay overlay rw",
        "2 1 0:31 / /proc rw shared:1 - proc proc rw",
        "3 1 0:32 / /dev rw - tmpfs tmpfs rw",
        "4 1 0:33 / /data rw - tmpfs tmpfs rw",
        "5 1 0:34 / /sys/fs/cgroup/memory ro - cgroup cgroup rw",
    ]
    assert hidden_devices(lines) == {os.makedev(0, minor) for minor in (31, 32, 34)}
