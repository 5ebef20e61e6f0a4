"""Digests of trees: what counts, what does not, and what is remembered."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knarr.oci.digest import Digest
from knarr.snapshot.copy import SEARCH, SKIP, TAKE
from knarr.snapshot.treehash import StatCache, tree_digest


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Callable[..., Digest]]:
    """Make a small context; return a function for its digest."""
    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "src/app.py").write_text("print()")
    (tmp_path / "src/deep/data").write_bytes(b"data")
    (tmp_path / "src/link").symlink_to("app.py")
    descriptor = os.open(tmp_path, os.O_RDONLY)

    def digest(*paths: str, **options: object) -> Digest:
        return tree_digest(descriptor, paths or ("src",), **options)  # type: ignore[arg-type]

    yield digest
    os.close(descriptor)


def test_times_and_the_top_directory_do_not_count(
    context: Callable[..., Digest], tmp_path: Path
) -> None:
    before = context()
    for name in ("src/app.py", "src/deep", "src"):
        os.utime(tmp_path / name, ns=(5, 5))
    os.chmod(tmp_path / "src", 0o700)
    (tmp_path / "src").rename(tmp_path / "other")
    assert context("other") == before


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda src: (src / "app.py").write_text("print(1)"),
    "mode": lambda src: (src / "app.py").chmod(0o755),
    "mode of a directory": lambda src: (src / "deep").chmod(0o700),
    "name": lambda src: (src / "app.py").rename(src / "main.py"),
    "place": lambda src: (src / "deep/data").rename(src / "data"),
    "new": lambda src: (src / "empty").touch(),
    "new directory": lambda src: (src / "empty").mkdir(),
    "gone": lambda src: (src / "link").unlink(),
    "target": lambda src: replace(src / "link", lambda link: link.symlink_to("deep")),
    "type": lambda src: replace(src / "link", lambda link: link.write_text("app.py")),
    "attribute": lambda src: os.setxattr(src / "app.py", "user.a", b"b"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_counts(
    context: Callable[..., Digest], tmp_path: Path, change: Callable[[Path], object]
) -> None:
    before = context()
    try:
        change(tmp_path / "src")
    except OSError as error:
        pytest.skip(f"the file system of {tmp_path} has no user attributes: {error}")
    assert context() != before


def test_moving_bytes_between_names_counts(context: Callable[..., Digest], tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/ab").write_text("c")
    (tmp_path / "two/a").write_text("bc")
    assert context("one") != context("two")


def test_several_paths_count_in_their_order(context: Callable[..., Digest]) -> None:
    assert context("src/app.py", "src/deep") != context("src/deep", "src/app.py")


def test_a_link_is_followed_inside_the_root(context: Callable[..., Digest], tmp_path: Path) -> None:
    (tmp_path / "up").symlink_to("/src/app.py")
    assert context("up") == context("src/app.py")


def test_what_is_missing_is_an_error(context: Callable[..., Digest]) -> None:
    with pytest.raises(FileNotFoundError):
        context("nothing")


def test_selections(context: Callable[..., Digest], tmp_path: Path) -> None:
    def only_data(path: str, directory: bool) -> str:
        return SEARCH if directory else TAKE if path == "deep/data" else SKIP

    def nothing(path: str, directory: bool) -> str:
        return SEARCH if directory else SKIP

    (tmp_path / "same/deep").mkdir(parents=True)
    (tmp_path / "same/deep/data").write_bytes(b"data")
    (tmp_path / "empty").mkdir()
    assert context(select=only_data) == context("same")
    assert context(select=nothing) == context("empty")


def test_a_file_is_read_once(context: Callable[..., Digest], tmp_path: Path) -> None:
    cache = StatCache()
    first = context(cache=cache)
    assert cache.dump() == b"", "what was written just now may change without a trace"
    time.sleep(0.03)
    context(cache=cache)
    rows = cache.dump()
    assert len(rows) == 2 * 72

    forged = StatCache()
    forged.load(rows.replace(rows[40:72], b"\0" * 32))
    assert context(cache=forged) != first, "the digest comes from the cache"
    later = StatCache()
    later.load(rows)
    assert context(cache=later) == first
    assert later.dump() == rows


def test_a_changed_file_is_read_again(context: Callable[..., Digest], tmp_path: Path) -> None:
    time.sleep(0.03)
    cache = StatCache()
    first = context(cache=cache)
    path = tmp_path / "src/app.py"
    times = path.stat()
    path.write_text("PRINT()")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert context(cache=cache) != first


def test_nonsense_is_no_cache(context: Callable[..., Digest]) -> None:
    cache = StatCache()
    cache.load(b"nonsense")
    assert context(cache=cache) == context()
