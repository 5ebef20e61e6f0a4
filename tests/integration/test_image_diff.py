"""`image diff`: in which files one image differs from another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.archives import archive
from support.engine import lent_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

BASE = images.layer_tar(
    {"etc/": b"", "etc/hello": b"hello", "etc/other": b"1", "etc/gone": b"123", "same": b"same"}
)
TOP = images.layer_tar(
    {"etc/.wh.gone": b"", "etc/hello": b"hullo", "etc/other": b"22", "new/": b"", "new/f": b"y" * 9}
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Knarr]:
    """Lend a command with an empty store."""
    with lent_store(tmp_path / "store") as lent:
        lent("load", stdin=images.docker_archive([BASE], "base:1"))
        lent("load", stdin=images.docker_archive([BASE, TOP], "made:1"))
        yield lent


def test_what_a_layer_changes(store: Knarr) -> None:
    lines = [
        line.split(maxsplit=1) for line in store("image", "diff", "base:1", "made:1").splitlines()
    ]
    assert lines == [
        ["D", "3B /etc/gone"],
        ["C", "5B /etc/hello"],
        ["C", "1B → 2B /etc/other"],
        ["A", "0B /new"],
        ["A", "9B /new/f"],
    ]


def test_the_other_way_round_as_json(store: Knarr) -> None:
    said = store("image", "diff", "--format", "json", "made:1", "base:1")
    assert [json.loads(line) for line in said.splitlines()] == [
        {"Kind": "A", "Path": "/etc/gone", "OldSize": 0, "NewSize": 3},
        {"Kind": "C", "Path": "/etc/hello", "OldSize": 5, "NewSize": 5},
        {"Kind": "C", "Path": "/etc/other", "OldSize": 2, "NewSize": 1},
        {"Kind": "D", "Path": "/new", "OldSize": 0, "NewSize": 0},
        {"Kind": "D", "Path": "/new/f", "OldSize": 9, "NewSize": 0},
    ]


def test_times_and_layers_do_not_count(store: Knarr) -> None:
    parts = [
        images.layer_tar({"etc/": b"", "etc/gone": b"123"}),
        archive(
            "dir etc\nfile etc/hello data=hello mtime=7\nfile etc/other data=1\nfile same data=same"
        ).getvalue(),
    ]
    whole = archive(
        "dir etc\nfile etc/gone data=123\nfile etc/hello data=hello\n"
        "file etc/other data=1\nfile same data=same"
    )
    store("load", stdin=images.docker_archive(parts, "parts:1"))
    store("load", stdin=images.docker_archive([whole.getvalue()], "whole:1"))
    assert store("image", "diff", "parts:1", "whole:1") == ""


def test_links_modes_and_types_count(store: Knarr) -> None:
    before = archive(
        "symlink a to=x\nfile b data=1 mode=644\nfile c data=1\ndir d\nfile d/e data=1"
    )
    after = archive("symlink a to=y\nfile b data=1 mode=755\nsymlink c to=b\nfile d data=22")
    store("load", stdin=images.docker_archive([before.getvalue()], "before:1"))
    store("load", stdin=images.docker_archive([after.getvalue()], "after:1"))
    lines = store("image", "diff", "before:1", "after:1").splitlines()
    assert [(line[0], line.rpartition(" ")[2]) for line in lines] == [
        ("C", "/a"), ("C", "/b"), ("C", "/c"), ("C", "/d"), ("D", "/d/e"),
    ]  # fmt: skip


def test_an_image_and_itself(store: Knarr) -> None:
    assert store("image", "diff", "made:1", "made:1") == ""


def test_what_is_refused(store: Knarr) -> None:
    assert "no such image: nope:latest" in store.fails("image", "diff", "base:1", "nope")
    assert "invalid format" in store.fails("image", "diff", "--format", "x", "base:1", "made:1")
