"""Paths that are resolved inside a root, whatever links lie in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.linux import path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A root full of traps; its descriptor."""
    (tmp_path / "outside").write_text("outside")
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (inside / "etc/passwd").write_text("inside")
    (inside / "usr/lib").mkdir(parents=True)
    for name, target in {
        "absolute": "/etc/passwd",
        "up": "../../../../etc/passwd",
        "lib": "usr/lib",
        "dangling": "/srv/data/../www",
        "loop": "loop",
        "magic": f"/proc/{os.getpid()}/root",
        "etc/climb": "../../outside",
    }.items():
        (inside / name).symlink_to(target)
    descriptor = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def read(descriptor: int) -> str:
    with open(descriptor) as file:
        return file.read()


@pytest.mark.parametrize("name", ["etc/passwd", "/etc/passwd", "absolute", "up", "../etc/passwd"])
def test_links_lead_to_places_inside(root: int, name: str) -> None:
    assert read(path.open_in_root(root, name, os.O_RDONLY)) == "inside"


def test_a_link_cannot_climb_out(root: int) -> None:
    with pytest.raises(FileNotFoundError):
        path.open_in_root(root, "etc/climb", os.O_RDONLY)


@pytest.mark.parametrize("name", ["absolute", "lib/x", "../outside", "/etc/passwd"])
def test_plain_paths_have_no_links_and_do_not_climb(root: int, name: str) -> None:
    with pytest.raises(OSError, match=f"Errno ({errno.ELOOP}|{errno.EXDEV})"):
        path.open_plain(root, name, os.O_RDONLY)


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ("/", ""),
        ("lib/x.so", "usr/lib/x.so"),
        ("/lib/../../etc", "etc"),
        ("dangling", "srv/www"),
        ("dangling/a/b", "srv/www/a/b"),
        ("nothing/here/../there", "nothing/there"),
        ("nothing/../lib", "usr/lib"),
        ("absolute", "etc/passwd"),
    ],
)
def test_resolving(root: int, given: str, resolved: str) -> None:
    assert path.resolve_in_root(root, given) == resolved


def test_a_loop_is_an_error(root: int) -> None:
    with pytest.raises(OSError, match=f"Errno {errno.ELOOP}"):
        path.resolve_in_root(root, "loop")


def test_directories_are_made_where_links_lead(root: int, tmp_path: Path) -> None:
    os.close(path.make_directories(root, "/dangling/cache", 0o2777))
    made = tmp_path / "root/srv/www/cache"
    assert made.stat().st_mode & 0o7777 == 0o2777
    assert not (tmp_path / "srv").exists()
    with pytest.raises(NotADirectoryError):
        path.make_directories(root, "absolute/below")


def test_links_are_made_where_links_lead(root: int, tmp_path: Path) -> None:
    path.symlink_in_root("/etc", root, "lib/link")
    assert os.readlink(tmp_path / "root/usr/lib/link") == "/etc"


@pytest.mark.parametrize("name", ["", "/", "..", "etc/..", "."])
def test_paths_without_a_last_name(root: int, name: str) -> None:
    with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
        path.symlink_in_root("/etc", root, name)


def test_directories_are_remembered_and_closed(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    cache = path.Directories(root, limit=2)
    assert cache.find(b"") == root
    for name in (b"a", b"b", b"c"):
        cache.keep(name, path.open_plain(root, "etc"))
    assert cache.find(b"a") is None
    assert cache.find(b"c") is not None
    cache.forget(b"c")
    cache.close()
    assert len(os.listdir("/proc/self/fd")) == before
