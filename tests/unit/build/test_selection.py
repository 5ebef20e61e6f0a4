"""Which files a COPY takes, where they go, and what of them counts for the cache."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from knarr.build.graph import CONTEXT, Copy
from knarr.build.ignore import Matcher
from knarr.build.modes import parse_mode
from knarr.build.placing import make_directory, place
from knarr.build.selection import Tree, fingerprint
from knarr.errors import Conflict, InvalidArgument, NotFound
from knarr.snapshot.treehash import StatCache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = (os.getuid(), os.getgid())


class Place:
    """A context with files, and an empty tree to copy to."""

    def __init__(self, top: Path) -> None:
        self.context = top / "context"
        self.root = top / "root"
        self.context.mkdir()
        self.root.mkdir()
        self.context_fd = os.open(self.context, os.O_PATH)
        self.root_fd = os.open(self.root, os.O_PATH)

    def write(self, *names: str) -> None:
        for name in names:
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    def tree(self, *ignored: str) -> Tree:
        return Tree(self.context_fd, Matcher(ignored) if ignored else None)

    def names(self, source: str, *ignored: str, **fields: object) -> list[str]:
        """Return what is taken, by copying it into a directory of its own."""
        self.copy(source, "/taken/", *ignored, **fields)
        taken = self.root / "taken"
        found = sorted(str(path.relative_to(taken)) for path in taken.rglob("*"))
        if taken.exists():
            shutil.rmtree(taken)
        return found

    def copy(self, source: str, destination: str, *ignored: str, **fields: object) -> list[str]:
        tree, copy = self.tree(*ignored), copy_of(source, destination, **fields)
        mode = parse_mode(copy.chmod) if copy.chmod else None
        place(tree, self.root_fd, copy, owner=OWN, mode=mode)
        return self.found()

    def found(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))

    def fingerprint(self, source: str, *ignored: str, **fields: object) -> str:
        return fingerprint(self.tree(*ignored), copy_of(source, "/", **fields), StatCache())


def copy_of(source: str, destination: str, **fields: object) -> Copy:
    return Copy(CONTEXT, source, destination).replace(**fields)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    os.close(made.context_fd)
    os.close(made.root_fd)


def test_directory_stands_for_its_contents(there: Place) -> None:
    there.write("b/y", "b/x/z", "a")
    assert there.names(".") == ["a", "b", "b/x", "b/x/z", "b/y"]
    assert there.names("/b/") == ["x", "x/z", "y"]


def test_globs_fit_names_of_one_directory(there: Place) -> None:
    there.write("a.txt", "b.txt", "c.md", "d/e.txt", "d/f/g.txt")
    assert there.names("*.txt") == ["a.txt", "b.txt"]
    assert there.names("d/*.txt") == ["e.txt"]
    assert there.names("?/f") == ["g.txt"]
    assert there.names("[bc].*") == ["b.txt", "c.md"]
    assert there.names("*.nothing") == []
    assert there.names("nowhere/*") == []


@pytest.mark.parametrize("source", ["gone", "a/gone", "a/../gone", "dangling"])
def test_missing_sources(there: Place, source: str) -> None:
    there.write("a")
    os.symlink("nothing", there.context / "dangling")
    with pytest.raises(NotFound, match="not found"):
        there.names(source)


def test_links_are_followed_inside_the_context_alone(there: Place) -> None:
    there.write("real/file", "etc/passwd")
    os.symlink("real", there.context / "link")
    os.symlink("/etc/passwd", there.context / "absolute")
    os.symlink("../../../../etc/passwd", there.context / "upwards")
    assert there.names("link") == ["file"]
    assert there.names("link/file") == ["file"]
    for name in ("absolute", "upwards"):
        there.copy(name, "/passwd")
        assert (there.root / "passwd").read_text() == "etc/passwd"
    assert there.names("real/..") == there.names(".")


def test_ignored_files_are_not_there(there: Place) -> None:
    there.write("keep", "drop", "dir/keep", "dir/drop", "dir/sub/drop")
    assert there.names(".", "**/drop") == ["dir", "dir/keep", "dir/sub", "keep"]
    with pytest.raises(NotFound):
        there.names("drop", "drop")
    with pytest.raises(NotFound):
        there.names("dir/sub", "dir")
    os.symlink("drop", there.context / "link")
    with pytest.raises(NotFound):
        there.names("link", "drop")


def test_exceptions_bring_back_what_is_below_an_ignored_directory(there: Place) -> None:
    there.write("a/b/keep", "a/b/drop", "a/drop", "c/drop")
    assert there.names(".", "**", "!a/b/keep") == ["a", "a/b", "a/b/keep"]
    assert there.names("a", "**", "!a/b/keep") == ["b", "b/keep"]
    assert there.names("*", "**", "!a/b/keep") == ["b", "b/keep"]
    with pytest.raises(NotFound):
        there.names("c", "**", "!a/b/keep")


def test_exclude_is_relative_to_the_source(there: Place) -> None:
    there.write("src/a.md", "src/b.py", "src/docs/c.md")
    assert there.names("src", exclude=("*.md",)) == ["b.py", "docs", "docs/c.md"]
    assert there.names("src", exclude=("docs", "**/*.md")) == ["b.py"]


def test_parents_keep_the_directories_that_lead_to_a_file(there: Place) -> None:
    there.write("x/y/a.txt", "x/y/b.md", "x/z/c.txt")
    assert there.names("x/y/a.txt", parents=True) == ["x", "x/y", "x/y/a.txt"]
    assert there.names("x/./y/a.txt", parents=True) == ["y", "y/a.txt"]
    assert there.names("x/**/*.txt", parents=True) == [
        "x", "x/y", "x/y/a.txt", "x/z", "x/z/c.txt",
    ]  # fmt: skip
    with pytest.raises(NotFound):
        there.names("x/gone", parents=True)


@pytest.mark.parametrize(
    ("source", "destination", "found"),
    [
        ("f", "/app", ["app"]),
        ("f", "/app/", ["app", "app/f"]),
        ("f", "/deep/er/app", ["deep", "deep/er", "deep/er/app"]),
        ("d", "/app", ["app", "app/x"]),
        ("d", "/app/", ["app", "app/x"]),
        ("d", "/", ["x"]),
        (".", "/app", ["app", "app/d", "app/d/x", "app/f"]),
        ("[d]", "/app", ["app", "app/x"]),
    ],
)
def test_destinations(there: Place, source: str, destination: str, found: list[str]) -> None:
    there.write("f", "d/x")
    assert there.copy(source, destination) == found


def test_file_goes_into_a_directory_that_is_there(there: Place) -> None:
    there.write("f")
    (there.root / "app").mkdir()
    assert there.copy("f", "/app") == ["app", "app/f"]
    os.symlink("app", there.root / "link")
    assert there.copy("f", "/link") == ["app", "app/f", "link"]


def test_absolute_links_in_the_target_stay_in_it(there: Place) -> None:
    there.write("f")
    os.symlink("/inside", there.root / "link")
    assert there.copy("f", "/link/f") == ["inside", "inside/f", "link"]


def test_file_and_directory_never_take_each_other_s_place(there: Place) -> None:
    there.write("f", "d/x")
    (there.root / "file").write_text("")
    (there.root / "x").mkdir()
    with pytest.raises(Conflict, match="cannot copy to non-directory: /file"):
        there.copy("d", "/file")
    with pytest.raises(Conflict, match="cannot replace the directory /x with a file"):
        there.copy("d", "/")
    with pytest.raises(Conflict, match="cannot copy to /file: a file is where"):
        there.copy("f", "/file/f")


def test_several_sources_need_a_directory(there: Place) -> None:
    there.write("a", "b")
    with pytest.raises(InvalidArgument, match="must be a directory and end with a /"):
        there.copy("a", "/app", several=True)
    (there.root / "app").mkdir()
    assert there.copy("a", "/app", several=True) == ["app", "app/a"]


def test_modes_and_times_go_with_the_files(there: Place) -> None:
    there.write("d/x", "d/sub/y")
    os.chmod(there.context / "d/sub", 0o711)
    os.chmod(there.context / "d/x", 0o4711)
    for name in ("d/x", "d/sub", "d/sub/y"):
        os.utime(there.context / name, ns=(5, 1_000_000_007))
    there.copy("d", "/app")
    for name, mode in (("x", 0o4711), ("sub", 0o711)):
        status = os.stat(there.root / "app" / name)
        assert (status.st_mode & 0o7777, status.st_mtime_ns) == (mode, 1_000_000_007)
    there.copy("d", "/other/", chmod="u=rwX,go=")
    assert os.stat(there.root / "other/x").st_mode & 0o7777 == 0o700
    assert os.stat(there.root / "other/sub").st_mode & 0o7777 == 0o700
    there.copy("d", "/third/", chmod="640")
    assert os.stat(there.root / "third").st_mode & 0o7777 == 0o640


def test_directories_on_the_way_keep_or_inherit_their_time(there: Place) -> None:
    there.write("f")
    (there.root / "old").mkdir()
    os.utime(there.root / "old", ns=(7, 7))
    os.utime(there.root, ns=(9, 9))
    there.copy("f", "/old/new/f")
    make_directory(there.root_fd, "/a/b", 0o755, OWN)
    times = {
        name: os.stat(there.root / name).st_mtime_ns for name in ("old", "old/new", "a", "a/b")
    }
    assert times == {"old": 7, "old/new": 7, "a": 9, "a/b": 9}
    assert os.stat(there.root).st_mtime_ns == 9


def test_hard_links_stay_one_file(there: Place) -> None:
    there.write("d/a")
    os.link(there.context / "d/a", there.context / "d/b")
    there.copy("d", "/")
    assert os.stat(there.root / "a").st_ino == os.stat(there.root / "b").st_ino


def test_fingerprint_is_of_what_arrives(there: Place) -> None:
    there.write("d/a", "d/b")
    before = there.fingerprint("d")
    os.utime(there.context / "d/a", ns=(1, 1))
    assert there.fingerprint("d") == before
    os.chmod(there.context / "d/a", 0o600)
    assert there.fingerprint("d") != before
    assert there.fingerprint("d", chmod="644") == there.fingerprint("d", chmod="644")
    os.chmod(there.context / "d/a", 0o644)
    changed = there.fingerprint("d", "d/b")
    assert changed != there.fingerprint("d")
    (there.context / "d/a").write_text("other")
    assert there.fingerprint("d", "d/b") != changed
    assert there.fingerprint("d/a") != there.fingerprint("d/b")
