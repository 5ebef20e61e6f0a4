"""knarr cp: files into containers and out of them, running and stopped, and what is refused."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
SLEEP = ("sleep", "1000")


@pytest.fixture(params=["running", "stopped"])
def web(request: pytest.FixtureRequest, knarr: Knarr) -> str:
    """Make a container called web that has /data/{a,sub/b} and runs, or does not any more."""
    script = "mkdir -p /data/sub; echo a > /data/a; echo b > /data/sub/b; chown 7:8 /data/a"
    knarr("run", "-d", *NONE, "--stop-signal", "KILL", "--name", "web", "busybox", *SLEEP)
    knarr("exec", "web", "sh", "-c", script)
    if request.param == "stopped":
        knarr("stop", "web")
    return "web"


def tree(path: Path) -> dict[str, str]:
    return {
        str(each.relative_to(path)): each.read_text()
        for each in sorted(path.rglob("*"))
        if each.is_file()
    }


def inside(knarr: Knarr, path: str) -> dict[str, tuple[int, int, bytes]]:
    """Return what is at a path in the container: owner and content by name."""
    done = subprocess.run(knarr.command("cp", f"web:{path}", "-"), capture_output=True, check=True)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member) if member.isfile() else None
            found[member.name] = (member.uid, member.gid, file.read() if file else b"")
    return found


# where things end up: the table of "docker cp"


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        pytest.param("/data/a", "out", {"out": "a\n"}, id="file, nothing there"),
        pytest.param("/data/a", "dir", {"dir/a": "a\n"}, id="file, directory"),
        pytest.param("/data/a", "dir/", {"dir/a": "a\n"}, id="file, directory with slash"),
        pytest.param("/data/a", "file", {"file": "a\n"}, id="file, file"),
        pytest.param(
            "/data", "out", {"out/a": "a\n", "out/sub/b": "b\n"}, id="directory, nothing there"
        ),
        pytest.param(
            "/data/", "out/", {"out/a": "a\n", "out/sub/b": "b\n"}, id="directory, new with slash"
        ),
        pytest.param(
            "/data",
            "dir",
            {"dir/data/a": "a\n", "dir/data/sub/b": "b\n"},
            id="directory, directory",
        ),
        pytest.param(
            "/data/.", "dir", {"dir/a": "a\n", "dir/sub/b": "b\n"}, id="contents, directory"
        ),
        pytest.param(
            "data/./sub/../.", "out", {"out/a": "a\n", "out/sub/b": "b\n"}, id="contents, nothing"
        ),
        pytest.param("/data/s?b/*", "dir", {"dir/b": "b\n"}, id="pattern, one"),
        pytest.param("/data/*", "dir", {"dir/a": "a\n", "dir/sub/b": "b\n"}, id="pattern, several"),
    ],
)
def test_from_a_container(
    knarr: Knarr, web: str, tmp_path: Path, source: str, target: str, expected: dict[str, str]
) -> None:
    place = tmp_path / "place"
    (place / "dir").mkdir(parents=True)
    (place / "file").write_text("old")
    expected = {"file": "old"} | expected
    knarr("cp", f"{web}:{source}", f"{place}/{target}")
    assert tree(place) == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        pytest.param("a", "/new", {"new": b"a"}, id="file, nothing there"),
        pytest.param("a", "/data/", {"data/": b"", "data/a": b"a"}, id="file, directory"),
        pytest.param("a", "/data/a", {"a": b"a"}, id="file, file"),
        pytest.param("d", "/new", {"new/": b"", "new/b": b"b"}, id="directory, nothing there"),
        pytest.param("d", "/data/sub", {"d/": b"", "d/b": b"b"}, id="directory, directory"),
        pytest.param("d/.", "/data/sub", {"sub/": b"", "sub/b": b"b"}, id="contents, directory"),
    ],
)
def test_into_a_container(
    knarr: Knarr, web: str, tmp_path: Path, source: str, target: str, expected: dict[str, bytes]
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "d" / "b").write_text("b")
    os.chown(tmp_path / "a", 1234, 1234)
    knarr("cp", f"{tmp_path}/{source}", f"{web}:{target}")
    top = next(iter(expected)).rstrip("/")
    place = target.rstrip("/") if target.rstrip("/").endswith(f"/{top}") else f"{target}/{top}"
    found = inside(knarr, place)
    for name, content in expected.items():
        assert found[name.rstrip("/")] == (0, 0, content)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("a", "b"), "must specify at least one container source"),
        (("web:/a", "web:/b"), "copying between containers is not supported"),
        (("", "web:/b"), "source can not be empty"),
        (("web:/data/x", "out"), "Could not find the file /data/x in container web"),
        (("web:/data/*.x", "out"), "Could not find the file /data/*.x in container web"),
        (("web:/data", "file"), "cannot copy directory /data"),
        (("web:/data/*", "file"), "must be a directory"),
        (("web:/data/a", "new/"), "no such directory"),
        (("web:/data/a", "no/such"), 'invalid output path: directory "no" does not exist'),
        (("web:/data/a/", "out"), "is not a directory"),
        (("nothing", "web:/data"), "no such file or directory"),
        (("file/", "web:/data"), "not a directory"),
        (("file", "web:/no/such"), "Could not find the file /no in container web"),
        (("file", "web:/new/"), "no such directory: /new/"),
        (("dir", "web:/data/a"), "cannot copy directory dir"),
        (("-", "web:/data/a"), 'destination "web:/data/a" must be a directory'),
        (("-", "web:/data/x"), "Could not find the file /data/x in container web"),
        (("web:/data", "-", "--chown", "1"), "--chown is for what is copied into a container"),
        (("file", "web:/data", "--chown", "nobody-knows"), "unable to find user nobody-knows"),
        (("file", "none:/data"), "no such container: none"),
    ],
)
def test_what_is_refused(
    knarr: Knarr, tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    knarr("create", "--name", "web", "busybox")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as making:
        kinds = {"data": tarfile.DIRTYPE, "data/a": tarfile.REGTYPE, "data/b": tarfile.REGTYPE}
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mode = 0o755
            making.addfile(member)
    knarr("cp", "-", "web:/", stdin=archive.getvalue())
    (tmp_path / "file").write_text("x")
    (tmp_path / "dir").mkdir()
    done = subprocess.run(
        knarr.command("cp", *words), cwd=tmp_path, capture_output=True, check=False, input=b""
    )
    assert done.returncode == 1
    assert complaint in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_file_and_a_directory_never_replace_each_other(
    knarr: Knarr, web: str, tmp_path: Path
) -> None:
    (tmp_path / "d" / "a").mkdir(parents=True)
    complaint = knarr.fails("cp", f"{tmp_path}/d/.", f"{web}:/data")
    assert 'cannot overwrite non-directory "a" with directory "a"' in complaint
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "sub").write_text("file")
    complaint = knarr.fails("cp", f"{tmp_path}/f/.", f"{web}:/data")
    assert 'cannot overwrite directory "sub" with non-directory "sub"' in complaint


# whose, and which


def test_owners(knarr: Knarr, web: str, tmp_path: Path) -> None:
    knarr("cp", f"{web}:/data/a", str(tmp_path))
    assert (tmp_path / "a").stat().st_uid == os.geteuid()
    knarr("cp", "-a", f"{web}:/data/a", str(tmp_path))
    assert ((tmp_path / "a").stat().st_uid, (tmp_path / "a").stat().st_gid) == (7, 8)
    knarr("cp", "-a", f"{tmp_path}/a", f"{web}:/kept")
    knarr("cp", "--chown", "5:6", f"{tmp_path}/a", f"{web}:/given")
    knarr("cp", f"{tmp_path}/a", f"{web}:/plain")
    owners = [inside(knarr, f"/{name}")[name][:2] for name in ("kept", "given", "plain")]
    assert owners == [(7, 8), (5, 6), (0, 0)]


def test_links(knarr: Knarr, web: str, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("content")
    (tmp_path / "link").symlink_to("real")
    knarr("cp", f"{tmp_path}/link", f"{web}:/link")
    knarr("cp", "-L", f"{tmp_path}/link", f"{web}:/followed")
    assert inside(knarr, "/followed")["followed"][2] == b"content"
    knarr("cp", f"{web}:/link", f"{tmp_path}/back")
    assert os.readlink(tmp_path / "back") == "real"
    (tmp_path / "to").symlink_to("/data/a")
    knarr("cp", f"{tmp_path}/to", f"{web}:/to")
    knarr("cp", "-L", f"{web}:/to", f"{tmp_path}/content")
    assert (tmp_path / "content").read_text() == "a\n"
    knarr("cp", f"{tmp_path}/real", f"{web}:/to")  # to where the link leads
    assert inside(knarr, "/data/a")["a"][2] == b"content"


def test_everything_about_a_file_comes_back(knarr: Knarr, web: str, tmp_path: Path) -> None:
    source = tmp_path / "one"
    (source / "sub").mkdir(parents=True)
    (source / "program").write_bytes(os.urandom(3_000_000))
    (source / "program").chmod(0o4751)
    os.link(source / "program", source / "twin")
    with open(source / "sparse", "wb") as file:
        file.truncate(40 << 20)
    os.mkfifo(source / "fifo")
    os.setxattr(source / "program", "user.note", b"\0kept")
    os.utime(source / "program", ns=(1, 1_234_567_890_123_456_789))
    knarr("cp", "-a", str(source), f"{web}:/data")
    knarr("cp", "-a", f"{web}:/data/one", str(tmp_path / "two"))
    two = tmp_path / "two"
    assert sorted(os.listdir(two)) == ["fifo", "program", "sparse", "sub", "twin"]
    status = (two / "program").stat()
    assert (two / "program").read_bytes() == (source / "program").read_bytes()
    assert status.st_mode & 0o7777 == 0o4751
    assert status.st_mtime_ns == 1_234_567_890_123_456_789
    assert status.st_ino == (two / "twin").stat().st_ino
    assert os.getxattr(two / "program", "user.note") == b"\0kept"
    assert (two / "sparse").stat().st_size == 40 << 20
    assert (two / "sparse").stat().st_blocks < 8 << 10


def test_a_tar_in(knarr: Knarr, web: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    os.chown(tmp_path / "x", 3, 4)
    archive = subprocess.run(
        ["tar", "-C", str(tmp_path), "-cz", "x"], capture_output=True, check=True
    ).stdout
    knarr("cp", "-", f"{web}:/data", stdin=archive)
    assert inside(knarr, "/data/x")["x"] == (3, 4, b"x")


def test_what_is_said(knarr: Knarr, web: str, tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x" * 100)
    done = knarr.do("cp", "--quiet=false", f"{tmp_path}/small", f"{web}:/tmp")
    assert done.stderr == "Successfully copied 2.05kB to web:/tmp\n"
    done = knarr.do("cp", "-q=false", f"{web}:/tmp/small", str(tmp_path))
    assert done.stderr == f"Successfully copied 2.05kB to {tmp_path}\n"
    assert knarr.do("cp", f"{web}:/tmp/small", str(tmp_path)).stderr == ""


# what is mounted


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_volumes_and_binds(knarr: Knarr, tmp_path: Path, running: bool) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "there").write_text("there")
    (tmp_path / "new").write_text("new")
    mounts = ("-v", "store:/store", "-v", f"{host}:/host", "-v", f"{host}:/fixed:ro")
    knarr("create", *NONE, *mounts, "--read-only", "--name", "web", "busybox", *SLEEP)
    if running:
        knarr("start", "web")
    knarr("cp", f"{tmp_path}/new", "web:/host/new")
    knarr("cp", f"{tmp_path}/new", "web:/store/new")
    assert (host / "new").read_text() == "new"
    assert knarr("run", "--rm", *NONE, "-v", "store:/s", "busybox", "cat", "/s/new") == "new"
    complaint = knarr.fails("cp", f"{tmp_path}/new", "web:/fixed")
    assert "mounted volume is marked read-only" in complaint
    complaint = knarr.fails("cp", f"{tmp_path}/new", "web:/etc/new")
    assert "container rootfs is marked read-only" in complaint
    knarr("cp", "web:/fixed/there", f"{tmp_path}/back")
    assert (tmp_path / "back").read_text() == "there"


def test_a_tmpfs_and_what_the_kernel_shows(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    knarr("run", "-d", *NONE, "--tmpfs", "/fast", "--name", "web", "busybox", *SLEEP)
    knarr("cp", f"{tmp_path}/new", "web:/fast")
    assert knarr("exec", "web", "cat", "/fast/new") == "new"
    assert inside(knarr, "/proc/1/comm")["comm"][2] == b"sleep\n"
    everything = inside(knarr, "/")
    assert "./fast/new" in everything
    assert not [name for name in everything if name.startswith(("./proc/", "./sys/", "./dev/"))]


def test_a_container_with_users_of_its_own(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    mapping = ("--uidmap", "0:200000:1000")
    knarr("run", "-d", *NONE, *mapping, "-v", "/store", "--name", "web", "busybox", *SLEEP)
    for place in ("/new", "/store/new"):
        knarr("cp", "--chown", "5:6", f"{tmp_path}/new", f"web:{place}")
        assert knarr("exec", "web", "stat", "-c", "%u:%g", place) == "5:6\n"
        assert inside(knarr, place)["new"][:2] == (5, 6)
    knarr("rm", "-f", "-v", "web")


def test_nothing_is_mounted_in_the_host(knarr: Knarr, tmp_path: Path) -> None:
    knarr("create", "-v", f"{tmp_path}:/host", "--name", "web", "busybox")
    before = Path("/proc/self/mountinfo").read_text()
    knarr("cp", "web:/etc/passwd", str(tmp_path))
    assert Path("/proc/self/mountinfo").read_text() == before


def test_from_the_library(knarr: Knarr) -> None:
    """What an API needs: stat, get and put."""
    knarr("create", "--name", "web", "busybox", *SLEEP)
    container = knarr.engine.containers.get("web")
    out = io.BytesIO()
    container.archive_get("/bin/busybox", out)
    container.archive_put("/tmp", io.BytesIO(out.getvalue()), chown="9")
    status = container.archive_stat("/tmp/busybox")
    assert (status.name, status.is_directory, status.link) == ("busybox", False, "")
    link = container.archive_stat("/bin/sh").document()
    assert link["linkTarget"] == "/bin/busybox"
    assert link["mode"] & 1 << 27
    assert container.archive_stat("/").document()["mode"] & 1 << 31


# hostile containers


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_links_never_lead_outside(knarr: Knarr, tmp_path: Path, running: bool) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("host's")
    (tmp_path / "new").write_text("new")
    up = "../" * 30
    script = f"""
        ln -s {secret} /absolute; ln -s {up}{secret} /relative
        ln -s /proc/1/root{secret} /magic; ln -s /proc/self/root /self
        ln -s {secret}/file /file; mkdir /tree; ln -s {secret} /tree/out
    """
    knarr("run", "-d", *NONE, "--stop-signal", "KILL", "--name", "web", "busybox", *SLEEP)
    knarr("exec", "web", "sh", "-c", script)
    if not running:
        knarr("stop", "web")
    for link in ("absolute", "relative", "magic"):
        knarr.fails("cp", f"web:/{link}/file", str(tmp_path / "got"))
        knarr.fails("cp", f"{tmp_path}/new", f"web:/{link}/file")
        knarr.fails("cp", f"web:/{link}/*", str(tmp_path))
    knarr.fails("cp", f"web:/self{secret}/file", str(tmp_path / "got"))
    knarr.fails("cp", "-L", "web:/file", str(tmp_path / "got"))
    assert not (tmp_path / "got").exists()
    assert (secret / "file").read_text() == "host's"
    # A tree with such a link is copied, and the second time the link is not followed.
    for _ in range(2):
        knarr("cp", "web:/tree", str(tmp_path))
    assert os.readlink(tmp_path / "tree" / "out") == str(secret)
    assert sorted(os.listdir(secret)) == ["file"]
    (tmp_path / "tree" / "out").unlink()
    (tmp_path / "tree" / "out").mkdir()
    (tmp_path / "tree" / "out" / "planted").write_text("x")
    knarr.fails("cp", f"{tmp_path}/tree/.", "web:/tree")
    assert sorted(os.listdir(secret)) == ["file"]
