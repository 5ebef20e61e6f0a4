"""Volumes renamed, cloned, kept as snapshots, carried away and brought in: whole, or not at all."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.engine import lent_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

ACL = bytes.fromhex("0200000001000600ffffffff02000600e703000004000400ffffffff")
ACL += bytes.fromhex("10000600ffffffff20000000ffffffff")
DIGITS = 16  # of the time that names a snapshot


def data(knarr: Knarr, name: str) -> str:
    return knarr.engine.volumes.path(name)


def names(knarr: Knarr) -> list[str]:
    return sorted(os.listdir(knarr.engine.paths.volumes_dir))


def write(knarr: Knarr, name: str, text: str, file: str = "file") -> None:
    with open(f"{data(knarr, name)}/{file}", "w") as out:
        out.write(text)


def read(knarr: Knarr, name: str, file: str = "file") -> str:
    with open(f"{data(knarr, name)}/{file}") as source:
        return source.read()


@pytest.fixture
def rich(knarr: Knarr) -> str:
    """Return a volume with everything that a file system can hold."""
    knarr("volume", "create", "rich", "--label", "kind=rich")
    top = data(knarr, "rich")
    os.chmod(top, 0o2750)
    os.chown(top, 70, 71)
    os.mkdir(f"{top}/dir", 0o711)
    with open(f"{top}/dir/file", "w") as file:
        file.write("content")
    os.chown(f"{top}/dir/file", 1000, 2000)
    os.chmod(f"{top}/dir/file", 0o6755)
    os.link(f"{top}/dir/file", f"{top}/second")
    os.symlink("/etc/passwd", f"{top}/link")
    os.lchown(f"{top}/link", 5, 6)
    os.mkfifo(f"{top}/fifo", 0o640)
    os.mknod(f"{top}/null", 0o020666, os.makedev(1, 3))
    os.setxattr(f"{top}/dir/file", "user.note", b"kept")
    os.setxattr(f"{top}/dir", "system.posix_acl_default", ACL)
    os.setxattr(f"{top}/dir/file", "system.posix_acl_access", ACL)
    with open(f"{top}/sparse", "wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    for path in ("dir/file", "dir", "sparse", "."):
        os.utime(f"{top}/{path}", ns=(1_000_000_001, 1_234_567_890_123_456_789))
    return "rich"


def look(top: str) -> dict[str, object]:
    """Return everything about a tree that a copy has to have."""
    found: dict[str, object] = {}
    inodes: dict[int, str] = {}
    for directory, _, files in os.walk(top):
        for path in [directory, *(f"{directory}/{name}" for name in files)]:
            status = os.lstat(path)
            place = os.path.relpath(path, top)
            names = os.listxattr(path, follow_symlinks=False)
            found[place] = (
                status.st_mode, status.st_uid, status.st_gid, status.st_rdev,
                None if os.path.islink(path) else status.st_mtime_ns,
                inodes.setdefault(status.st_ino, place),
                {name: os.getxattr(path, name, follow_symlinks=False) for name in names},
                os.readlink(path) if os.path.islink(path) else status.st_size,
            )  # fmt: skip
    return found


def test_a_clone_is_alike_in_everything(knarr: Knarr, rich: str) -> None:
    before = look(data(knarr, rich))
    assert knarr("volume", "clone", "--label", "own=1", rich, "copy") == "copy\n"
    assert look(data(knarr, "copy")) == before
    assert os.stat(f"{data(knarr, 'copy')}/sparse").st_blocks < 1000
    assert knarr("volume", "inspect", "copy", "--format", "{{json .Labels}}") == '{"own":"1"}\n'
    shutil.rmtree(f"{data(knarr, 'copy')}/dir")
    assert look(data(knarr, rich)) == before


def test_an_archive_brings_everything_back(knarr: Knarr, rich: str, tmp_path: Path) -> None:
    before = look(data(knarr, rich))
    archive = tmp_path / "rich.tar.zst"
    knarr("volume", "export", "--compression", "zstd", "-o", str(archive), rich)
    assert archive.stat().st_size < 100_000
    assert knarr("volume", "import", "back", str(archive)) == ""
    assert look(data(knarr, "back")) == before


def test_an_archive_is_merged_into_what_is_there(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    write(knarr, "data", "old")
    write(knarr, "data", "old", "other")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"new"))
    knarr("volume", "import", "data", "-", stdin=stream.getvalue())
    assert (read(knarr, "data"), read(knarr, "data", "other")) == ("new", "old")


@pytest.mark.parametrize("known", [True, False])
def test_an_archive_that_is_broken_or_hostile_changes_nothing(knarr: Knarr, known: bool) -> None:
    if known:
        knarr("volume", "create", "data")
        write(knarr, "data", "old")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"new"))
        link = tarfile.TarInfo("../../out")
        archive.addfile(link)
    done = knarr.do("volume", "import", "data", stdin=stream.getvalue())
    assert done.returncode == 1
    assert "leads out of the root" in done.stderr
    assert names(knarr) == (["data"] if known else [])
    if known:
        assert read(knarr, "data") == "old"


def test_a_snapshot_is_kept_until_it_is_restored(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    write(knarr, "data", "first")
    assert knarr("volume", "snapshot", "--label", "why=test", "data@first") == "data@first\n"
    write(knarr, "data", "second")
    named = knarr("volume", "snapshot", "data").strip()
    assert named.startswith("data@")
    assert len(named) == len("data@") + DIGITS
    assert knarr("volume", "snapshots", "-q", "data").split() == ["data@first", named]
    assert knarr("volume", "ls", "-q") == "data\n"
    line = knarr("volume", "snapshots", "--format", '{{.Volume}} {{.Label "why"}} {{.Size}}')
    assert line.splitlines()[0] == "data test 5B"
    write(knarr, "data", "third")
    knarr("volume", "restore", "data@first")
    assert read(knarr, "data") == "first"
    knarr("volume", "restore", named)
    assert read(knarr, "data") == "second"
    assert knarr("volume", "clone", "data@first", "copy") == "copy\n"
    assert read(knarr, "copy") == "first"
    with tarfile.open(fileobj=io.BytesIO(knarr.do("volume", "export", named).stdout.encode())) as t:
        assert [entry.name for entry in t] == [".", "file"]
    assert knarr("volume", "rm", "data@first", named).split() == ["data@first", named]
    assert knarr("volume", "snapshots", "-q") == ""
    assert names(knarr) == ["copy", "data"]


def test_a_volume_with_snapshots_goes_by_force_alone(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    knarr("volume", "snapshot", "data@one")
    assert "volume has snapshots - [data@one]" in knarr.fails("volume", "rm", "data")
    assert "data" not in knarr("volume", "prune", "-af")
    knarr("volume", "rm", "-f", "data")
    assert names(knarr) == []


def test_no_container_gets_a_snapshot(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    knarr("volume", "snapshot", "data@one")
    words = ("run", "--rm", "--network", "none", "-v", "data@one:/x", "busybox", "true")
    assert "invalid characters" in knarr.fails(*words, status=125)


def test_a_renamed_volume_keeps_content_and_snapshots(knarr: Knarr) -> None:
    knarr("volume", "create", "old", "--label", "a=b")
    write(knarr, "old", "content")
    knarr("volume", "snapshot", "old@one")
    assert knarr("volume", "rename", "old", "new") == ""
    assert names(knarr) == ["new", "new@one"]
    assert read(knarr, "new") == "content"
    assert knarr("volume", "inspect", "new", "--format", "{{.Labels.a}}") == "b\n"
    assert "no such volume: old" in knarr.fails("volume", "inspect", "old")
    knarr("volume", "restore", "new@one")
    assert os.listdir(os.path.dirname(data(knarr, "new"))) == ["_data"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rename", "data", "other"), "volume other already exists"),
        (("rename", "data", "a/b"), "includes invalid characters"),
        (("rename", "none", "new"), "no such volume: none"),
        (("clone", "data", "other"), "volume other already exists"),
        (("clone", "none", "new"), "no such volume: none"),
        (("clone", "data@none", "new"), "no such volume: data@none"),
        (("snapshot", "data@one"), "snapshot data@one already exists"),
        (("snapshot", "none"), "no such volume: none"),
        (("snapshot", "data@-"), 'invalid snapshot name "-"'),
        (("restore", "data"), "data is no snapshot"),
        (("restore", "data@none"), "no such volume: data@none"),
        (("import", "data@one", "/dev/null"), "snapshot data@one cannot be changed"),
        (("import", "data", "/nowhere"), "open /nowhere: no such file or directory"),
        (("export", "none"), "no such volume: none"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_said(knarr: Knarr, words: tuple[str, ...], said: str) -> None:
    for name in ("data", "other"):
        knarr("volume", "create", name)
    knarr("volume", "snapshot", "data@one")
    assert said in knarr.fails("volume", *words)
    assert names(knarr) == ["data", "data@one", "other"]


def test_what_a_container_uses_keeps_name_and_content(knarr: Knarr) -> None:
    knarr(
        "run", "-d", "--name", "one", "--network", "none", "-v", "data:/x", "busybox", "sleep", "60"
    )
    write(knarr, "data", "first")
    knarr("volume", "snapshot", "data@one")
    assert "rename data: volume is in use - [" in knarr.fails("volume", "rename", "data", "new")
    assert "in use by running containers: one" in knarr.fails("volume", "restore", "data@one")
    assert "in use by running containers" in knarr.do("volume", "import", "data", stdin=b"").stderr
    knarr("kill", "one")
    knarr("wait", "one")
    write(knarr, "data", "second")
    knarr("volume", "restore", "data@one")
    knarr("start", "one")
    assert knarr("exec", "one", "cat", "/x/file") == "first"


WRITER = (
    "i=0; while :; do i=$((i+1)); echo $i > /x/a; echo $i > /x/b; rm -rf /x/d; mkdir /x/d; done"
)


def test_a_snapshot_of_what_is_written_to(knarr: Knarr) -> None:
    knarr(
        "run", "-d", "--name", "one", "--network", "none", "-v", "data:/x", "busybox",
        "sh", "-c", WRITER,
    )  # fmt: skip
    knarr.wait_until(lambda: os.path.exists(f"{data(knarr, 'data')}/d"))
    for number in range(5):
        knarr("volume", "snapshot", f"data@busy{number}")
    for number in range(3):
        knarr("volume", "snapshot", "--pause", f"data@still{number}")
        kept = f"data@still{number}"
        first, second = (int(read(knarr, kept, name) or 0) for name in ("a", "b"))
        # The writer may stand between its two files, or within one.
        assert first - 1 <= second <= first or 0 in (first, second)
    assert knarr("ps", "--format", "{{.State}}") == "running\n"
    before = read(knarr, "data", "a")
    knarr.wait_until(lambda: read(knarr, "data", "a") not in ("", before))


def test_a_container_goes_on_after_a_snapshot_that_was_killed(knarr: Knarr) -> None:
    knarr(
        "run", "-d", "--name", "one", "--network", "none", "-v", "data:/x", "busybox", "sleep", "60"
    )
    words = ("volume", "snapshot", "--pause", "data@one")
    assert knarr.do(*words, trace="volumes:copied=kill").returncode == -signal.SIGKILL
    done = knarr.do("ps", "--format", "{{.State}}")
    assert done.stdout == "running\n"
    assert "let container one go on" in done.stderr
    assert names(knarr) == ["data"]


@pytest.mark.parametrize(
    ("words", "point", "whole"),
    [
        (("clone", "data", "new"), "volumes:copied", False),
        (("clone", "data", "new"), "volumes:published", False),
        (("clone", "data", "new"), "volumes:recorded", True),
        (("snapshot", "data@new"), "volumes:published", False),
        (("snapshot", "data@new"), "volumes:recorded", True),
    ],
)
def test_a_copy_is_there_or_not(
    knarr: Knarr, words: tuple[str, ...], point: str, *, whole: bool
) -> None:
    knarr("volume", "create", "data")
    write(knarr, "data", "content")
    assert knarr.do("volume", *words, trace=f"{point}=kill").returncode == -signal.SIGKILL
    knarr.do("ps")  # says that it cleaned up
    new = words[-1]
    assert names(knarr) == (["data", new] if whole else ["data"])
    if whole:
        assert read(knarr, new) == "content"
    assert "volume" not in knarr("system", "check")


@pytest.mark.parametrize(
    ("point", "kept"), [("volumes:filled", "second"), ("volumes:exchanged", "first")]
)
def test_restoring_is_all_or_nothing(knarr: Knarr, point: str, kept: str) -> None:
    knarr("volume", "create", "data")
    write(knarr, "data", "first")
    knarr("volume", "snapshot", "data@one")
    write(knarr, "data", "second")
    words = ("volume", "restore", "data@one")
    assert knarr.do(*words, trace=f"{point}=kill").returncode == -signal.SIGKILL
    knarr.do("ps")
    assert read(knarr, "data") == kept
    assert names(knarr) == ["data", "data@one"]


@pytest.mark.parametrize("sweeper", ["ps", "rm"])
def test_a_renaming_that_was_killed_is_taken_back(knarr: Knarr, sweeper: str) -> None:
    knarr("volume", "create", "old")
    write(knarr, "old", "content")
    knarr("volume", "snapshot", "old@one")
    words = ("volume", "rename", "old", "new")
    assert knarr.do(*words, trace="volumes:renamed=kill").returncode == -signal.SIGKILL
    if sweeper == "rm":  # of a container with a volume: sweeps too
        knarr.do("run", "--rm", "--network", "none", "-v", "/x", "busybox", "true")
    else:
        knarr.do("ps")
    assert names(knarr) == ["old", "old@one"]
    assert read(knarr, "old") == "content"
    knarr("volume", "rename", "old", "new")


def test_one_name_is_given_once(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    write(knarr, "data", "content")
    started = [knarr.start("volume", "clone", "data", "same") for _ in range(5)]
    said = [one.communicate(timeout=30)[1].decode() for one in started]
    assert sorted(one.returncode for one in started) == [0, 1, 1, 1, 1]
    assert sum("volume same already exists" in words for words in said) == 4
    assert names(knarr) == ["data", "same"]
    assert read(knarr, "same") == "content"


def test_events_say_what_happened(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    knarr("volume", "snapshot", "data@one")
    knarr("volume", "rename", "data", "new")
    knarr("volume", "restore", "new@one")
    said = knarr(
        "events", "--since", "1h", "--until", "0s", "--filter", "type=volume",
        "--format", "{{.Action}} {{.Actor.ID}}",
    )  # fmt: skip
    assert said.splitlines() == [
        "create data", "create data@one", "rename new", "restore new",
    ]  # fmt: skip


def test_a_socket_is_left_out(knarr: Knarr) -> None:
    knarr("volume", "create", "data")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{data(knarr, 'data')}/s")
        knarr("volume", "clone", "data", "copy")
    assert os.listdir(data(knarr, "copy")) == []


@pytest.fixture(params=["btrfs", "xfs"])
def sharing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that can share data, in a namespace of this test's process."""
    kind = request.param
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    with open("/proc/filesystems") as file:
        if kind not in file.read().split():
            pytest.skip(f"the kernel does not know {kind}")
    image, place = tmp_path / "image", tmp_path / "mounted"
    with image.open("wb") as out:
        out.truncate(400 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_copies_share_their_data_where_the_file_system_can(sharing: Path) -> None:
    with lent_engine(sharing / "knarr") as knarr:
        knarr("volume", "create", "data")
        with open(f"{data(knarr, 'data')}/big", "wb") as file:
            file.write(os.urandom(100 << 20))
            os.fsync(file.fileno())
        before = shutil.disk_usage(sharing).used
        knarr("volume", "snapshot", "data@one")
        knarr("volume", "clone", "data", "copy")
        knarr("volume", "restore", "data@one")
        assert shutil.disk_usage(sharing).used - before < 20 << 20
        for name in ("copy", "data@one", "data"):
            assert os.stat(f"{data(knarr, name)}/big").st_size == 100 << 20
    knarr.engine.close()  # the look for leaks has opened it again
