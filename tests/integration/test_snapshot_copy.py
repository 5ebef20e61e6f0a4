"""Copies between roots: COPY, ADD and cp, with targets that set traps."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knarr.errors import Conflict, Corrupt, InvalidArgument
from knarr.snapshot.archive import unpack_archive_into
from knarr.snapshot.copy import SEARCH, SKIP, TAKE, CopyOptions, copy_tree
from support.archives import archive
from support.trees import fill, listing

pytestmark = pytest.mark.root


@pytest.fixture
def source(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "source"
    (path / "src/deep").mkdir(parents=True)
    (path / "src/app.py").write_text("print()")
    (path / "src/app.py").chmod(0o640)
    (path / "src/deep/data").write_text("data")
    (path / "src/link").symlink_to("/etc/passwd")
    os.link(path / "src/app.py", path / "src/deep/again")
    for name in ("src/app.py", "src/deep/data", "src/deep", "src"):
        os.utime(path / name, ns=(1, 1_500_000_000_123_456_789))
        os.chown(path / name, 1000, 1000)
    descriptor = os.open(path, os.O_RDONLY)
    yield path, descriptor
    os.close(descriptor)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A root file system whose links lead out of it for those who follow them carelessly."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/canary").write_text("canary")
    path = tmp_path / "target"
    (path / "usr/lib").mkdir(parents=True)
    (path / "etc").mkdir(mode=0o700)
    os.chown(path / "etc", 5, 5)
    (path / "etc/file").write_text("old")
    (path / "lib").symlink_to("usr/lib")
    (path / "absolute").symlink_to("/usr/lib")
    (path / "out").symlink_to("../outside")
    (path / "dangling").symlink_to("/srv/www")
    (path / "file-link").symlink_to("etc/file")
    descriptor = os.open(path, os.O_RDONLY)
    yield path, descriptor
    os.close(descriptor)
    assert listing(tmp_path / "outside", times=False) == ["- 0644 0:0 canary 6 'canary'"]


Root = tuple[Path, int]


def copy(source: Root, target: Root, from_path: str, to_path: str, **options: object) -> None:
    copy_tree(source[1], from_path, target[1], to_path, CopyOptions(**options))  # type: ignore[arg-type]


def test_everything_about_files_is_kept(source: Root, target: Root, tmp_path: Path) -> None:
    fill(source[0] / "all")
    copy(source, target, "all", "/copy")
    assert listing(target[0] / "copy") == listing(source[0] / "all")
    assert (target[0] / "copy").stat().st_mode & 0o7777 == 0o755
    sparse = (target[0] / "copy/var/sparse").stat()
    assert sparse.st_blocks * 512 < sparse.st_size


def test_owner_mode_and_time_of_the_options(source: Root, target: Root) -> None:
    copy(source, target, "src", "/new/app", owner=(7, 8), mode=0o750, mtime_ns=5 * 10**9)
    assert listing(target[0] / "new", root_too=False) == [
        "d 0750 7:8 5.000000000 app",
        "- 0750 7:8 5.000000000 app/app.py 7 'print()'",
        "d 0750 7:8 5.000000000 app/deep",
        "- 0750 7:8 5.000000000 app/deep/again == app/app.py",
        "- 0750 7:8 5.000000000 app/deep/data 4 'data'",
        "l 0777 7:8 5.000000000 app/link -> /etc/passwd",
    ]
    assert (target[0] / "new").stat().st_uid == 7


def test_modes_that_depend_on_what_it_is(source: Root, target: Root) -> None:
    def symbolic(mode: int, directory: bool) -> int:
        return mode | 0o100 if directory else mode & ~0o040

    copy(source, target, "src", "/app", mode=symbolic)
    assert (target[0] / "app/app.py").stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize(
    ("to_path", "real"),
    [
        ("/lib/app", "usr/lib/app"),
        ("absolute/app", "usr/lib/app"),
        ("/out/app", "outside/app"),
        ("../../up", "up"),
        ("/dangling/app", "srv/www/app"),
        ("dangling", "srv/www"),
        ("/lib", "usr/lib"),
    ],
)
def test_links_in_the_target_lead_inside_it(
    source: Root, target: Root, to_path: str, real: str
) -> None:
    copy(source, target, "src", to_path)
    assert (target[0] / real / "app.py").read_text() == "print()"


def test_a_file_is_written_where_a_link_leads(source: Root, target: Root) -> None:
    copy(source, target, "src/app.py", "/file-link")
    assert (target[0] / "file-link").is_symlink()
    assert (target[0] / "etc/file").read_text() == "print()"


def test_links_in_the_source_lead_inside_it(source: Root, target: Root, tmp_path: Path) -> None:
    (source[0] / "etc").mkdir()
    (source[0] / "etc/passwd").write_text("the source's own")
    copy(source, target, "src/link", "/passwd")
    assert (target[0] / "passwd").read_text() == "the source's own"
    copy(source, target, "src/link", "/link", follow=False)
    assert os.readlink(target[0] / "link") == "/etc/passwd"
    (source[0] / "escape").symlink_to("../outside/canary")
    with pytest.raises(FileNotFoundError):
        copy(source, target, "escape", "/stolen")


def test_directories_that_exist(source: Root, target: Root) -> None:
    """The top one keeps what it is, those below take over the source's; nothing is removed."""
    (target[0] / "etc/deep").mkdir()
    (target[0] / "etc/deep/kept").touch()
    copy(source, target, "src", "/etc", owner=(0, 0))
    assert listing(target[0] / "etc", times=False) == [
        "- 0640 0:0 app.py 7 'print()'",
        "d 0755 0:0 deep",
        "- 0640 0:0 deep/again == app.py",
        "- 0644 0:0 deep/data 4 'data'",
        "- 0644 0:0 deep/kept 0 ''",
        "- 0644 0:0 file 3 'old'",
        "l 0777 0:0 link -> /etc/passwd",
    ]
    status = (target[0] / "etc").stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o700, 5)


@pytest.mark.parametrize(
    ("make", "from_path", "to_path", "words"),
    [
        (
            lambda root: (root / "etc/deep").symlink_to("/usr"),
            "src",
            "/etc",
            "non-directory: /etc/deep",
        ),
        (lambda root: (root / "etc/deep").touch(), "src", "/etc", "non-directory: /etc/deep"),
        (lambda root: (root / "etc/app.py").mkdir(), "src", "/etc", "directory /etc/app.py"),
        (os.listdir, "src/app.py", "/etc", "directory /etc"),
        (os.listdir, "src/app.py", "/", "root directory"),
        (os.listdir, "src", "/etc/file/below", "is or is below a file"),
        (os.listdir, "src", "/etc/file", "is or is below a file"),
    ],
)
def test_files_and_directories_do_not_replace_each_other(
    source: Root,
    target: Root,
    make: Callable[[Path], object],
    from_path: str,
    to_path: str,
    words: str,
) -> None:
    make(target[0])
    with pytest.raises(Conflict, match=words):
        copy(source, target, from_path, to_path)


def test_overwriting(source: Root, target: Root) -> None:
    (target[0] / "etc/deep").symlink_to("/usr")
    (target[0] / "etc/app.py").mkdir()
    (target[0] / "etc/app.py/below").touch()
    copy(source, target, "src", "/etc", overwrite=True)
    assert (target[0] / "etc/app.py").read_text() == "print()"
    assert (target[0] / "etc/deep/data").read_text() == "data"
    assert os.listdir(target[0] / "usr") == ["lib"]


def test_selections(source: Root, target: Root) -> None:
    asked: list[tuple[str, bool]] = []

    def select(path: str, directory: bool) -> str:
        asked.append((path, directory))
        return {"deep": SEARCH, "deep/data": TAKE, "app.py": SKIP}.get(path, SKIP)

    (source[0] / "src/unused").mkdir()
    (source[0] / "src/unused/file").touch()
    copy(source, target, "src", "/app", select=select)
    assert listing(target[0] / "app", times=False) == [
        "d 0755 1000:1000 deep", "- 0644 1000:1000 deep/data 4 'data'",
    ]  # fmt: skip
    assert ("deep", True) in asked
    assert ("unused/file", False) not in asked


def test_searched_directories_without_a_find_are_not_made(source: Root, target: Root) -> None:
    def select(path: str, directory: bool) -> str:
        return SEARCH if directory else SKIP

    copy(source, target, "src", "/app", select=select)
    assert os.listdir(target[0] / "app") == []


def test_group_and_mode_do_not_come_from_the_target_directory(source: Root, target: Root) -> None:
    (target[0] / "shared").mkdir()
    os.chown(target[0] / "shared", 0, 99)
    (target[0] / "shared").chmod(0o2777)
    copy(source, target, "src/app.py", "/shared/one", owner=(0, 0))
    copy(source, target, "src", "/shared", owner=(0, 0))
    assert {line for line in listing(target[0] / "shared", times=False) if ":99" in line} == set()


def test_sockets_are_left_out(source: Root, target: Root) -> None:
    os.mknod(source[0] / "src/socket", stat.S_IFSOCK | 0o600)
    copy(source, target, "src", "/app")
    assert "socket" not in os.listdir(target[0] / "app")


def test_a_missing_source(source: Root, target: Root) -> None:
    with pytest.raises(FileNotFoundError):
        copy(source, target, "nothing", "/app")


def unpack(target: Root, path: str, text: str, **options: object) -> None:
    unpack_archive_into(target[1], path, archive(text), **options)  # type: ignore[arg-type]


def test_archives_are_merged(target: Root) -> None:
    unpack(
        target, "/etc", "dir ./ mode=711\nfile file data=new\ndir sub/ mode=750\nfile .wh.x data=1"
    )
    assert listing(target[0] / "etc", times=False, root_too=True) == [
        "d 0711 0:0 .",
        "- 0644 0:0 .wh.x 1 '1'",
        "- 0644 0:0 file 3 'new'",
        "d 0750 0:0 sub",
    ]


@pytest.mark.parametrize(
    ("path", "name", "real"),
    [
        ("/", "lib/new", "usr/lib/new"),
        ("/", "absolute/deep/new", "usr/lib/deep/new"),
        ("/lib", "new", "usr/lib/new"),
        ("/out", "new", "outside/new"),
        ("/", "out/new", None),
        ("/dangling", "new", "srv/www/new"),
        ("/made/for/it", "a/b/new", "made/for/it/a/b/new"),
    ],
)
def test_archives_go_through_links_of_the_tree(
    target: Root, path: str, name: str, real: str | None
) -> None:
    if real is None:
        with pytest.raises(InvalidArgument, match="a dead link"):
            unpack(target, path, f"file {name} data=1")
    else:
        unpack(target, path, f"file {name} data=1")
        assert (target[0] / real).read_text() == "1"


def test_a_directory_entry_replaces_a_link(target: Root) -> None:
    unpack(target, "/", "dir lib/ mode=700 mtime=5\nfile lib/new data=1")
    assert not (target[0] / "lib").is_symlink()
    assert (target[0] / "lib").stat().st_mtime == 5
    assert os.listdir(target[0] / "usr/lib") == []


def test_attributes_of_directories_behind_links(target: Root) -> None:
    unpack(target, "/", "dir lib/sub/ mode=1777 mtime=5")
    status = (target[0] / "usr/lib/sub").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o1777, 5)


def test_archives_of_someone_else(target: Root) -> None:
    unpack(target, "/new", "dir a/ uid=5\nfile a/b uid=6\nsymlink c to=a", owner=(33, 34))
    assert all(" 33:34 " in line for line in listing(target[0] / "new", root_too=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file ../outside/canary data=evil", "leads out of the root"),
        ("symlink l to=/\nfile l/x data=evil", "goes through the link l beside it"),
        ("symlink l to=outside\nfile l/canary data=evil", "goes through the link l"),
        ("symlink a to=b\nsymlink b to=/\nfile a/x data=evil", "goes through the link a"),
        ("symlink l to=/\ndir l/etc/ mode=777", "goes through the link l"),
        ("link stolen to=../outside/canary", "leads out of the root"),
        ("link stolen to=etc/nothing", "missing"),
        ("symlink usr/l to=../../../outside", "leads out of the root"),
        ("file etc/file/below data=1", "no directory"),
        ("symlink ./ to=/", "would replace"),
    ],
)
def test_hostile_archives(target: Root, text: str, words: str) -> None:
    with pytest.raises((Corrupt, InvalidArgument), match=words):
        unpack(target, "/", text)


def test_links_of_the_archive_may_climb_inside_the_root(target: Root) -> None:
    unpack(target, "/opt/tool", "symlink bin/tool to=../../../usr/bin/tool")
    with pytest.raises(InvalidArgument, match="leads out"):
        unpack(target, "/opt/tool", "symlink bin/tool to=../../../../usr/bin/tool")


def test_hard_links_and_types_that_change(target: Root) -> None:
    text = """
    file new data=1
    link also to=new
    file usr data=2
    dir  etc/file/
    file etc/file/below data=3
    """
    unpack(target, "/", text)
    assert (target[0] / "also").stat().st_nlink == 2
    assert (target[0] / "usr").read_text() == "2"
    assert (target[0] / "etc/file/below").read_text() == "3"
