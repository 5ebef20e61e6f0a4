"""Mount options, sorted."""

from __future__ import annotations

import pytest

from knarr.linux import mount as m
from knarr.runtime.steps.options import clean, parse_options


@pytest.mark.parametrize(
    ("words", "set_", "clear"),
    [
        ("", 0, 0),
        ("ro,nosuid", m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID, 0),
        ("ro,rw", 0, m.MOUNT_ATTR_RDONLY),
        ("rw,ro", m.MOUNT_ATTR_RDONLY, 0),
        ("noatime", m.MOUNT_ATTR_NOATIME, m.MOUNT_ATTR__ATIME),
        ("noatime,strictatime", m.MOUNT_ATTR_STRICTATIME, m.MOUNT_ATTR__ATIME),
        ("noatime,relatime", 0, m.MOUNT_ATTR__ATIME),
        ("defaults,nodiratime", m.MOUNT_ATTR_NODIRATIME, 0),
    ],
)
def test_attributes(words: str, set_: int, clear: int) -> None:
    parsed = parse_options(words.split(",") if words else [])
    assert parsed.set == set_
    assert parsed.clear & ~set_ == clear & ~set_


def test_recursive_attributes_are_apart() -> None:
    parsed = parse_options(["rro", "nosuid", "rnoexec"])
    assert parsed.recursive_set == m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOEXEC
    assert parsed.set == m.MOUNT_ATTR_NOSUID


def test_the_rest_goes_to_the_file_system() -> None:
    parsed = parse_options(["size=64k", "sync", "mode=755", "nr_inodes=5", "flag", "silent"])
    assert parsed.parameters == [
        ("size", "64k"), ("sync", None), ("mode", "755"), ("nr_inodes", "5"), ("flag", None),
    ]  # fmt: skip


def test_propagation_and_binding() -> None:
    parsed = parse_options(["bind", "rbind", "rslave", "private", "tmpcopyup"])
    assert parsed.bind == m.AT_RECURSIVE
    assert parsed.propagation == [(m.MS_SLAVE, m.AT_RECURSIVE), (m.MS_PRIVATE, 0)]
    assert parsed.copy_up
    assert str(parsed) == "rslave,private,tmpcopyup"


def test_words_that_only_begin_like_a_recursive_one() -> None:
    assert parse_options(["relatime"]).recursive_clear == 0
    assert parse_options(["rrelatime"]).recursive_clear == m.MOUNT_ATTR__ATIME


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("", "/"), ("a/b", "/a/b"), ("//a//b/", "/a/b"), ("/a/../../b", "/b"), ("/./", "/")],
)
def test_paths_inside_are_made_plain(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned
