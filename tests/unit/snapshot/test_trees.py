"""Trees under their names: whole or not at all, and durable when recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from knarr.snapshot import marks
from knarr.snapshot.trees import Trees

NAME = "ab" * 32


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(str(tmp_path / "layers"))


def publish(trees: Trees, content: str = "content", name: str = NAME) -> bool:
    with trees.incoming() as incoming:
        Path(incoming.path, "file").write_text(content)
        return incoming.publish(name)


def left(trees: Trees) -> list[str]:
    return sorted(name for name in os.listdir(trees.directory) if name != ".unsynced")


def mark_as_of_an_earlier_boot(trees: Trees, name: str = NAME) -> None:
    link = Path(trees.directory, ".unsynced", name)
    link.unlink(missing_ok=True)
    link.symlink_to("00000000-0000-0000-0000-000000000000-x")


def test_a_tree_has_its_name_when_it_is_published(trees: Trees) -> None:
    assert not trees.has(NAME)
    with trees.incoming() as incoming:
        assert not trees.has(NAME)
        incoming.publish(NAME)
        assert trees.has(NAME)
    assert left(trees) == [NAME]


def test_what_is_not_published_is_removed(trees: Trees) -> None:
    with pytest.raises(ZeroDivisionError), trees.incoming() as incoming:
        os.makedirs(f"{incoming.path}/deep/below")
        raise ZeroDivisionError
    assert left(trees) == []


def test_the_first_one_is_kept(trees: Trees) -> None:
    assert publish(trees, "first")
    assert not publish(trees, "second")
    assert Path(trees.path(NAME), "file").read_text() == "first"
    assert left(trees) == [NAME]


def test_removing(trees: Trees) -> None:
    publish(trees)
    trees.remove(NAME)
    trees.remove(NAME)
    assert left(trees) == []
    assert not marks.Marks(f"{trees.directory}/.unsynced").all()


def test_sweeping_leaves_what_someone_works_on(trees: Trees) -> None:
    publish(trees)
    with trees.incoming() as incoming:
        assert trees.sweep() == []
        assert os.path.isdir(incoming.path)
    os.makedirs(trees.path(".incoming-dead/below"))
    os.makedirs(trees.path(".removed-dead/below"))
    assert sorted(trees.sweep()) == [".incoming-dead", ".removed-dead"]
    assert left(trees) == [NAME]


def test_what_was_not_synced_before_a_power_cut_is_denied(trees: Trees) -> None:
    publish(trees)
    mark_as_of_an_earlier_boot(trees)
    assert not trees.has(NAME)
    assert trees.sweep() == [NAME]
    assert left(trees) == []


def test_what_was_synced_is_not(trees: Trees) -> None:
    publish(trees)
    trees.sync()
    assert marks.Marks(f"{trees.directory}/.unsynced").all() == {}
    assert trees.sweep() == []
    assert trees.has(NAME)


def test_finding_a_synced_tree_does_not_make_it_doubtful(trees: Trees) -> None:
    publish(trees)
    trees.sync()
    publish(trees)
    assert marks.Marks(f"{trees.directory}/.unsynced").all() == {}


def test_a_doubtful_tree_is_replaced(trees: Trees) -> None:
    publish(trees, "old")
    mark_as_of_an_earlier_boot(trees)
    assert publish(trees, "new")
    assert trees.has(NAME)
    assert Path(trees.path(NAME), "file").read_text() == "new"


def test_syncing_makes_the_trees_of_others_durable_too(trees: Trees) -> None:
    publish(trees)
    Trees(trees.directory).sync()
    assert marks.Marks(f"{trees.directory}/.unsynced").all() == {}


def test_the_empty_directory_is_the_same_everywhere(trees: Trees) -> None:
    status = os.stat(trees.empty())
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o755, 0)
    assert trees.names() == []


PROGRAM = f"""
import os
from knarr.snapshot.trees import Trees
trees = Trees(os.environ["LAYERS"])
with trees.incoming() as incoming:
    open(incoming.path + "/file", "w").write("content")
    incoming.publish("{NAME}")
trees.sync()
trees.remove("{NAME}")
"""


@pytest.mark.parametrize(
    ("point", "there"),
    [
        ("trees.publish:before-rename", False),
        ("trees.sync:before-clear", True),
        ("trees.remove:before-delete", False),
    ],
)
def test_killed_at_any_point(trees: Trees, point: str, there: bool) -> None:
    environment = os.environ | {"LAYERS": trees.directory, "KNARR_TRACE": f"{point}=kill"}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=False)
    assert ended.returncode == -9
    assert trees.has(NAME) is there
    trees.sweep()
    assert left(trees) == ([NAME] if there else [])
    assert trees.has(NAME) is there
    assert publish(trees) is not there
    trees.sync()
    assert trees.has(NAME)
