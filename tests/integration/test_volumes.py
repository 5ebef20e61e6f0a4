"""Volumes as containers see them: filled from the image, kept, shared, removed with whom."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.oci.config import RunConfig

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

FILES: dict[str, str | bytes] = {
    "data/file": "from the image\n",
    "data/sub/deep": "deep\n",
    "plain": "a file\n",
}


def run(knarr: Knarr, *words: str) -> str:
    return knarr("run", "--rm", "--network", "none", *words)


@pytest.fixture
def image(knarr: Knarr) -> str:
    knarr.add_image("filled", files=FILES)
    script = "chown -R 12:34 /data; chmod 1770 /data; chmod 4755 /data/file; ln /data/file /data/l"
    knarr("run", "--name", "maker", "--network", "none", "filled", "sh", "-c", script)
    knarr("commit", "maker", "owned")
    knarr("rm", "maker")
    return "owned"


def test_an_empty_volume_gets_what_the_image_has(knarr: Knarr, image: str) -> None:
    assert run(knarr, "-v", "vol:/data", image, "cat", "/data/sub/deep") == "deep\n"
    path = knarr.engine.volumes.path("vol")
    top, file = os.stat(path), os.stat(f"{path}/file")
    assert (top.st_uid, top.st_gid, top.st_mode & 0o7777) == (12, 34, 0o1770)
    assert (file.st_uid, file.st_gid, file.st_mode & 0o7777) == (12, 34, 0o4755)
    assert file.st_ino == os.stat(f"{path}/l").st_ino
    assert os.listdir(os.path.dirname(path)) == ["_data"]


def test_what_is_in_a_volume_stays(knarr: Knarr, image: str) -> None:
    run(knarr, "-v", "vol:/x", image, "sh", "-c", "echo mine > /x/mine")
    assert run(knarr, "-v", "vol:/data", image, "ls", "/data") == "mine\n"


def test_nocopy_leaves_a_volume_empty(knarr: Knarr, image: str) -> None:
    assert run(knarr, "-v", "vol:/data:nocopy", image, "ls", "/data") == ""


@pytest.mark.parametrize("target", ["/plain/x", "/nowhere"])
def test_nothing_is_copied_from_where_no_directory_is(
    knarr: Knarr, image: str, target: str
) -> None:
    knarr.do("run", "--rm", "--network", "none", "-v", f"vol:{target}", image, "true")
    assert os.listdir(knarr.engine.volumes.path("vol")) == []


def test_a_link_in_the_image_leads_nowhere_else(knarr: Knarr, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    knarr.add_image("busybox")
    script = f"ln -s {secret} /trap; ln -s ../../../../../../..{secret} /climb"
    knarr("run", "--name", "maker", "--network", "none", "busybox", "sh", "-c", script)
    knarr("commit", "maker", "hostile")
    knarr("rm", "maker")
    for name in ("trap", "climb"):
        knarr.do("create", "--network", "none", "-v", f"{name}:/{name}", "hostile", "true")
        assert os.listdir(knarr.engine.volumes.path(name)) == []


def test_two_containers_share_a_volume(knarr: Knarr) -> None:
    knarr.add_image()
    knarr(
        "run", "-d", "--network", "none", "--name", "one", "-v", "vol:/x", "busybox",
        "sh", "-c", "while ! test -e /x/go; do sleep 0.05; done; echo seen > /x/answer; sleep 60",
    )  # fmt: skip
    run(knarr, "-v", "vol:/y", "busybox", "touch", "/y/go")
    answer = f"{knarr.engine.volumes.path('vol')}/answer"
    knarr.wait_until(lambda: os.path.exists(answer) and os.path.getsize(answer))
    assert "volume is in use" in knarr.fails("volume", "rm", "vol")
    knarr("rm", "-f", "one")
    assert knarr("volume", "rm", "vol") == "vol\n"


def test_anonymous_volumes_go_with_rm(knarr: Knarr) -> None:
    knarr.add_image("with-volume", config=RunConfig(volumes=("/x",), env=("PATH=/bin",)))
    run(knarr, "with-volume", "touch", "/x/file")
    assert knarr("volume", "ls", "-q") == ""
    for words, left in ((("rm", "-v"), 0), (("rm",), 1)):
        knarr("create", "--name", "box", "--network", "none", "-v", "/y", "with-volume", "true")
        assert len(knarr("volume", "ls", "-q").split()) == 2
        knarr(*words, "box")
        assert len(knarr("volume", "ls", "-q").split()) == 2 * left
    assert knarr("volume", "prune", "-f").startswith("Deleted Volumes:\n")


def test_named_volumes_stay(knarr: Knarr) -> None:
    knarr.add_image()
    run(knarr, "-v", "vol:/x", "busybox", "touch", "/x/file")
    assert knarr("volume", "ls") == "DRIVER    VOLUME NAME\nlocal     vol\n"
    assert run(knarr, "-v", "vol:/x", "busybox", "ls", "/x") == "file\n"


@pytest.mark.parametrize("point", ["volumes:directory-made", "volumes:copied"])
def test_a_volume_is_whole_or_empty_after_a_crash(knarr: Knarr, image: str, point: str) -> None:
    words = ("create", "--network", "none", "-v", "vol:/data", image, "true")
    assert knarr.do(*words, trace=f"{point}=kill").returncode == -signal.SIGKILL
    path = knarr.engine.volumes.path("vol")
    assert os.listdir(path) == []
    knarr.do("ps")  # says that it cleaned up
    assert run(knarr, "-v", "vol:/data", image, "cat", "/data/sub/deep") == "deep\n"
    assert os.listdir(os.path.dirname(path)) == ["_data"]


def test_a_volume_that_others_look_at_is_filled_where_it_is(knarr: Knarr, image: str) -> None:
    knarr(
        "run", "-d", "--network", "none", "--name", "one", "-v", "vol:/elsewhere", image,
        "sh", "-c", "while ! test -e /elsewhere/file; do sleep 0.05; done; sleep 60",
    )  # fmt: skip
    run(knarr, "-v", "vol:/data", image, "true")
    assert knarr("exec", "one", "cat", "/elsewhere/file") == "from the image\n"


SCRIPT = """
i=0; while :; do i=$((i+1)); echo "line $i" >> /x/log; sync /x/log 2>/dev/null; echo $i; done
"""


@pytest.mark.parametrize("victim", ["container", "supervisor", "both"])
def test_what_was_written_survives_every_kill(knarr: Knarr, victim: str) -> None:
    knarr(
        "run", "-d", "--network", "none", "--name", "one", "-v", "vol:/x", "busybox",
        "sh", "-c", SCRIPT,
    )  # fmt: skip
    path = Path(knarr.engine.volumes.path("vol"), "log")
    knarr.wait_until(lambda: path.exists() and path.stat().st_size > 1000)
    pid = int(knarr("inspect", "one", "--format", "{{.State.Pid}}"))
    supervisors = [one for one, words in knarr.processes() if "supervis" in words]
    pids = {"container": [pid], "supervisor": supervisors, "both": [*supervisors, pid]}[victim]
    assert pids
    for one in pids:
        os.kill(one, signal.SIGKILL)
    done = knarr.do("ps", "-a", "--format", "{{.State}}")
    lines = path.read_text().splitlines()
    assert lines[:3] == ["line 1", "line 2", "line 3"]
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]
    if victim == "supervisor":
        assert done.stdout == "running\n"
    said = int(knarr("logs", "--tail", "1", "one") or 0)
    knarr("rm", "-f", "one")
    assert len(path.read_text().splitlines()) >= said
    assert knarr("volume", "ls", "-q") == "vol\n"


def test_special_files_are_copied_too(knarr: Knarr) -> None:
    knarr.add_image("plain", files={"data/file": "x"})
    script = (
        "cd /data && mkfifo -m 640 fifo && mknod -m 600 zero c 1 5 && ln -s /etc/passwd link"
        " && mkdir -m 2750 dir && chown -h 9:9 link fifo zero && chown 5:6 dir && touch -d @1 file"
    )
    knarr("run", "--name", "maker", "--network", "none", "plain", "sh", "-c", script)
    knarr("commit", "maker", "special")
    knarr("rm", "maker")
    knarr("create", "--network", "none", "-v", "vol:/data", "special", "true")
    path = knarr.engine.volumes.path("vol")
    found = {name: os.lstat(f"{path}/{name}") for name in os.listdir(path)}
    assert sorted(found) == ["dir", "fifo", "file", "link", "zero"]
    assert os.readlink(f"{path}/link") == "/etc/passwd"
    owners = {name: (one.st_uid, one.st_gid) for name, one in found.items()}
    assert owners == {
        "dir": (5, 6), "fifo": (9, 9), "file": (0, 0), "link": (9, 9), "zero": (9, 9),
    }  # fmt: skip
    assert found["dir"].st_mode & 0o7777 == 0o2750
    assert (found["zero"].st_rdev, found["zero"].st_mode) == (os.makedev(1, 5), 0o020600)
    assert found["fifo"].st_mode == 0o010640
    assert found["file"].st_mtime == 1


def test_lists_are_filtered_and_formatted(knarr: Knarr) -> None:
    knarr("volume", "create", "--label", "a=1", "--label", "b", "one")
    knarr("volume", "create", "--label", "a=2", "two")
    knarr("create", "--network", "none", "-v", "two:/x", "busybox", "true")
    for filters, names in (
        (("label=a",), "one two"), (("label=a=2",), "two"), (("label=a", "label=b"), "one"),
        (("name=on",), "one"), (("name=on", "name=wo"), "one two"), (("dangling=true",), "one"),
        (("dangling=0",), "two"), (("driver=local",), "one two"), (("driver=nfs",), ""),
    ):  # fmt: skip
        words = [word for text in filters for word in ("--filter", text)]
        assert knarr("volume", "ls", "-q", *words).split() == names.split(), filters
    line = knarr("volume", "ls", "--filter", "name=one", "--format", "json")
    assert json.loads(line) == {
        "Availability": "N/A", "Driver": "local", "Group": "N/A", "Labels": "a=1,b=",
        "Links": "N/A", "Mountpoint": knarr.engine.volumes.path("one"), "Name": "one",
        "Scope": "local", "Size": "N/A", "Status": "N/A",
    }  # fmt: skip
    assert knarr("volume", "prune", "-af", "--filter", "label!=b").count("one") == 0
    assert knarr("volume", "prune", "-f", "--filter", "all=1").splitlines()[1] == "one"
    assert knarr("volume", "ls", "-q") == "two\n"


def test_disk_use_counts_volumes_and_snapshots(knarr: Knarr) -> None:
    knarr("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    run(knarr, "-v", "vol:/x", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /x/big")
    knarr("volume", "snapshot", "vol@one")
    lines = knarr("system", "df", "-v").partition("Local Volumes space usage:")[2]
    table = [line.split() for line in lines.partition("Build cache")[0].splitlines() if line]
    assert table == [["VOLUME", "NAME", "LINKS", "SIZE"], ["vol", "0", "100kB"],
                     ["vol@one", "0", "100kB"]]  # fmt: skip
