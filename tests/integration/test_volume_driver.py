"""Volumes with options of the driver: other directories, memory, devices, nothing on the host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

TMPFS = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt")


def run(knarr: Knarr, *words: str) -> str:
    return knarr("run", "--rm", "--network", "none", *words)


def start(knarr: Knarr, name: str, *words: str) -> None:
    knarr("run", "-d", "--name", name, "--network", "none", *words, "busybox", "sleep", "60")


def create(knarr: Knarr, name: str, **options: str) -> None:
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    assert knarr("volume", "create", *words, name) == f"{name}\n"


def mounts(knarr: Knarr) -> list[str]:
    """Return what is mounted on the host in the directories of the engine."""
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if str(knarr.directory) in line]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("foo=bar",), 'create data: invalid option: "foo"'),
        (("type=tmpfs",), 'create data: missing required option: "device"'),
        (("device=tmpfs",), 'create data: missing required option: "type"'),
        (("o=size=1m",), 'create data: missing required option: "device"'),
        (("size=1g",), "create data: quota size requested but no quota support"),
        (("size=abc",), "create data: invalid size: 'abc'"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_as_by_docker(
    knarr: Knarr, options: tuple[str, ...], said: str
) -> None:
    words = [word for option in options for word in ("--opt", option)]
    assert knarr.fails("volume", "create", *words, "data") == f"knarr: {said}\n"
    assert knarr("volume", "ls", "-q") == ""


def test_options_are_shown_and_those_of_the_first_count(knarr: Knarr) -> None:
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=1m")
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=2m")
    (shown,) = json.loads(knarr("volume", "inspect", "data"))
    assert shown["Options"] == {"device": "tmpfs", "o": "size=1m", "type": "tmpfs"}
    assert shown["Mountpoint"] == knarr.engine.volumes.path("data")


def test_a_bind_shows_a_directory_of_the_host(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    create(knarr, "data", type="none", device=f"{tmp_path}/host", o="bind,nosuid,noexec")
    run(knarr, "-v", "data:/x", "busybox", "sh", "-c", "echo seen > /x/file")
    assert (tmp_path / "host/file").read_text() == "seen\n"
    shown = run(knarr, "-v", "data:/x", "busybox", "grep", " /x ", "/proc/mounts")
    assert "nosuid" in shown
    assert "noexec" in shown
    readonly = ("-v", "data:/x:ro", "busybox", "touch", "/x/new")
    assert "Read-only" in knarr.fails("run", "--rm", "--network", "none", *readonly)
    assert os.listdir(knarr.engine.volumes.path("data")) == []


def test_an_empty_directory_of_the_host_gets_what_the_image_has(
    knarr: Knarr, tmp_path: Path
) -> None:
    knarr.add_image("filled", files={"data/file": "from the image\n"})
    (tmp_path / "host").mkdir()
    create(knarr, "data", type="none", device=f"{tmp_path}/host", o="bind")
    assert run(knarr, "-v", "data:/data", "filled", "cat", "/data/file") == "from the image\n"
    assert (tmp_path / "host/file").read_text() == "from the image\n"


def test_memory_is_shared_while_a_container_runs(knarr: Knarr) -> None:
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=1m,uid=1000,mode=0700")
    assert mounts(knarr) == []
    start(knarr, "one", "-v", "data:/x")
    knarr("exec", "one", "sh", "-c", "echo kept > /x/file")
    assert knarr("exec", "one", "stat", "-c", "%u %a", "/x") == "1000 700\n"
    assert run(knarr, "-v", "data:/y", "busybox", "cat", "/y/file") == "kept\n"
    start(knarr, "two", "-v", "data:/z:ro")
    knarr("rm", "-f", "one")
    start(knarr, "three", "-v", "data:/x")
    assert knarr("exec", "three", "cat", "/x/file") == "kept\n"
    assert mounts(knarr) == []
    assert knarr.do("volume", "export", "data").stdout.count("kept") == 1
    knarr("rm", "-f", "two", "three")
    assert run(knarr, "-v", "data:/x", "busybox", "ls", "/x") == ""


def test_memory_outlives_a_restart_by_its_other_user(knarr: Knarr) -> None:
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=1m")
    start(knarr, "keeper", "-v", "data:/x")
    knarr(
        "run", "-d", "--name", "again", "--restart", "always", "--network", "none",
        "-v", "data:/y", "busybox", "sh", "-c",
        "echo run >> /y/runs; test $(wc -l < /y/runs) = 4 && sleep 60",
    )  # fmt: skip
    knarr.wait_until(lambda: knarr("exec", "keeper", "cat", "/x/runs").count("run") == 4)


def test_what_a_container_puts_in_the_place_is_not_shared(knarr: Knarr) -> None:
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=1m")
    knarr(
        "run", "-d", "--name", "one", "--network", "none", "--privileged", "-v", "data:/x",
        "busybox", "sh", "-c", "mount -t proc proc /x; touch /ready; sleep 60",
    )  # fmt: skip
    knarr.wait_until(lambda: knarr.do("exec", "one", "test", "-e", "/ready").returncode == 0)
    shown = run(knarr, "-v", "data:/x", "busybox", "grep", " /x ", "/proc/mounts")
    assert shown.split(" ")[:3] == ["tmpfs", "/x", "tmpfs"]


def test_six_starts_at_once_share_one(knarr: Knarr) -> None:
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=1m")
    script = "touch /x/$HOSTNAME; while test $(ls /x | wc -l) -lt 6; do sleep 0.05; done"
    started = [
        knarr.start(
            "run", "--rm", "--network", "none", "-h", f"h{n}", "-v", "data:/x", "busybox",
            "sh", "-c", script,
        )
        for n in range(6)
    ]  # fmt: skip
    assert [(*one.communicate(timeout=30), one.returncode) for one in started] == [
        (b"", b"", 0)
    ] * 6


def test_a_part_of_a_volume_with_options(knarr: Knarr) -> None:
    create(knarr, "data", type="tmpfs", device="tmpfs", o="size=1m")
    start(knarr, "one", "-v", "data:/x")
    knarr("exec", "one", "sh", "-c", "mkdir -p /x/a/b; echo deep > /x/a/b/c; ln -s /etc /x/out")
    part = "type=volume,src=data,dst=/y,volume-subpath="
    assert run(knarr, "--mount", f"{part}a/b", "busybox", "cat", "/y/c") == "deep\n"
    words = ("run", "--rm", "--network", "none", "--mount", f"{part}out", "busybox", "true")
    assert "out of tmpfs tmpfs: it is not there" in knarr.fails(*words, status=125)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """Return a block device with a file system, owner 7 at its top."""
    if shutil.which("mkfs.ext4") is None or not os.path.exists("/dev/loop-control"):
        pytest.skip("no block device with a file system can be made here")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-E", "root_owner=7:7", str(image)], check=True)
    found = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    )
    try:
        yield found.stdout.strip()
    finally:
        subprocess.run(["losetup", "-d", found.stdout.strip()], check=True)


def test_a_device_is_mounted_for_the_container_alone(knarr: Knarr, disk: str) -> None:
    create(knarr, "data", type="ext4", device=disk, o="noatime")
    assert mounts(knarr) == []
    start(knarr, "one", "-v", "data:/x")
    assert knarr("exec", "one", "stat", "-c", "%u", "/x") == "7\n"
    knarr("exec", "one", "sh", "-c", "echo kept > /x/file")
    assert "noatime" in knarr("exec", "one", "grep", " /x ", "/proc/mounts")
    assert run(knarr, "-v", "data:/y", "busybox", "cat", "/y/file") == "kept\n"
    assert mounts(knarr) == []
    knarr("kill", "one")
    knarr("wait", "one")
    assert knarr.do("cp", "one:/x/file", "-").stdout.count("kept") == 1
    knarr("volume", "clone", "data", "copy")
    assert run(knarr, "-v", "copy:/x", "busybox", "cat", "/x/file") == "kept\n"
    knarr("start", "one")
    assert knarr("exec", "one", "cat", "/x/file") == "kept\n"


def test_a_device_with_users_of_the_container_s_own(knarr: Knarr, disk: str) -> None:
    create(knarr, "data", type="ext4", device=disk)
    words = ("--userns", "auto", "-v", "data:/x", "busybox", "sh", "-c")
    assert run(knarr, *words, "stat -c %u /x; touch /x/file; stat -c %u /x/file") == "7\n0\n"
    assert run(knarr, "-v", "data:/x", "busybox", "stat", "-c", "%u", "/x/file") == "0\n"


FAILED = "error while mounting volume '{}': failed to mount local volume: mount "


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"type": "none", "device": "/nowhere", "o": "bind"},
            "/nowhere:{}, flags: 0x1000: no such file or directory",
        ),
        ({"type": "nosuchfs", "device": "x"}, "x:{}: no such device"),
        ({"type": "none", "device": "/tmp"}, "/tmp:{}: no such device"),
        (
            {"type": "ext4", "device": "/dev/nosuch", "o": "ro"},
            "/dev/nosuch:{}, flags: 0x1: no such file or directory",
        ),
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "size=1x,noexec"},
            "tmpfs:{}, flags: 0x8, data: size=1x: invalid argument",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_mounted_is_said_as_by_docker(
    knarr: Knarr, options: dict[str, str], said: str
) -> None:
    create(knarr, "data", **options)
    path = knarr.engine.volumes.path("data")
    words = ("run", "--rm", "--network", "none", "-v", "data:/x", "busybox", "true")
    assert knarr.fails(*words, status=125) == f"knarr: {FAILED.format(path)}{said.format(path)}\n"
    assert knarr("ps", "-aq") == ""


def test_a_server_is_looked_up_by_name_and_a_password_is_not_shown(knarr: Knarr) -> None:
    create(knarr, "data", type="nfs", device=":/x", o="addr=nosuch.invalid,nfsvers=4")
    words = ("run", "--rm", "--network", "none", "-v", "{}:/x", "busybox", "true")
    said = knarr.fails(*(word.format("data") for word in words), status=125)
    assert "error resolving passed in network volume address: lookup nosuch.invalid" in said
    create(knarr, "secret", type="nosuchfs", device="//a/b", o="password=hunter2")
    said = knarr.fails(*(word.format("secret") for word in words), status=125)
    assert "password=********" in said
    assert "hunter2" not in said


def test_options_of_a_mount_make_the_volume(knarr: Knarr) -> None:
    mount = "type=volume,src=data,dst=/x,volume-opt=type=tmpfs,volume-opt=device=tmpfs"
    words = ("--mount", f"{mount},volume-opt=o=size=1m,volume-label=a=b", "busybox", "df", "/x")
    assert " 1024 " in run(knarr, *words)
    (shown,) = json.loads(knarr("volume", "inspect", "data"))
    assert shown["Options"] == {"device": "tmpfs", "o": "size=1m", "type": "tmpfs"}
    assert shown["Labels"] == {"a": "b"}
    bad = ("--mount", "type=volume,dst=/x,volume-opt=foo=bar", "busybox", "true")
    assert 'invalid option: "foo"' in knarr.fails("run", "--rm", *bad, status=125)


def test_volumes_with_options_are_not_pruned_nor_replaced(knarr: Knarr, tmp_path: Path) -> None:
    create(knarr, "data", type="none", device=str(tmp_path), o="bind")
    knarr("volume", "create", "plain")
    assert knarr("volume", "prune", "-af").splitlines()[:2] == ["Deleted Volumes:", "plain"]
    said = knarr.do("volume", "import", "data", stdin=b"").stderr
    assert "its content is not kept by knarr" in said
    knarr("volume", "rm", "data")
    assert tmp_path.exists()
