"""What else can be mounted: images, overlays on directories, directories with other owners."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

IMAGE_FILES: dict[str, str | bytes] = {"tools/run": "tool\n", "tools/sub/deep": "deep\n"}


def run(knarr: Knarr, *words: str) -> str:
    return knarr("run", "--rm", "--network", "none", *words)


def refused(knarr: Knarr, *words: str) -> str:
    return knarr.fails("run", "--rm", "--network", "none", *words, "busybox", "true", status=125)


@pytest.fixture
def layered(knarr: Knarr) -> str:
    """Return an image of two layers, the upper of which hides a file of the lower."""
    knarr.add_image("base", files=IMAGE_FILES)
    script = "rm /tools/run; echo new > /tools/new; chown 7:8 /tools"
    knarr("run", "--name", "maker", "--network", "none", "base", "sh", "-c", script)
    knarr("commit", "maker", "layered")
    knarr("rm", "maker")
    return "layered"


# images


@pytest.mark.parametrize(("image", "seen"), [("base", "run\nsub\n"), ("layered", "new\nsub\n")])
def test_an_image_is_mounted_readonly(knarr: Knarr, layered: str, image: str, seen: str) -> None:
    del layered
    mount = ("--mount", f"type=image,source={image},destination=/img")
    assert run(knarr, *mount, "busybox", "ls", "/img/tools") == seen
    words = ("run", "--rm", "--network", "none", *mount, "busybox", "touch", "/img/x")
    assert "Read-only file system" in knarr.fails(*words)


def test_a_part_of_an_image(knarr: Knarr, layered: str) -> None:
    for image in ("base", layered):
        mount = f"type=image,src={image},dst=/img,image-subpath=tools/sub"
        assert run(knarr, "--mount", mount, "busybox", "cat", "/img/deep") == "deep\n"
    mount = f"type=image,src={layered},dst=/img,image-subpath=nowhere"
    assert "it is not there" in refused(knarr, "--mount", mount)


def test_an_image_with_users_of_the_container_s_own(knarr: Knarr, layered: str) -> None:
    mount = f"type=image,src={layered},dst=/img"
    words = ("--userns", "auto", "--mount", mount, "busybox", "stat", "-c", "%u:%g", "/img/tools")
    assert run(knarr, *words) == "7:8\n"


def test_changes_to_an_image_are_for_one_run(knarr: Knarr, layered: str) -> None:
    script = "echo more >> /img/tools/new; cat /img/tools/new"
    knarr(
        "create", "--name", "one", "--network", "none",
        "--mount", f"type=image,src={layered},dst=/img,rw=true", "busybox", "sh", "-c", script,
    )  # fmt: skip
    for _ in range(2):
        assert knarr("start", "-a", "one") == "new\nmore\n"
    assert run(knarr, layered, "cat", "/tools/new") == "new\n"


def test_what_an_image_is_mounted_of_stays(knarr: Knarr, layered: str) -> None:
    knarr(
        "create", "--name", "one", "--network", "none", "--mount",
        f"type=image,src={layered},dst=/img", "busybox", "cat", "/img/tools/new",
    )  # fmt: skip
    knarr("rmi", "-f", layered)
    knarr("image", "prune", "-af")
    assert knarr("start", "-a", "one") == "new\n"
    (shown,) = json.loads(knarr("inspect", "one"))
    (mount,) = shown["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("image", "/img", False)
    before = len(os.listdir(knarr.engine.paths.layers_dir))
    knarr("rm", "one")
    knarr("image", "prune", "-af")
    assert len(os.listdir(knarr.engine.paths.layers_dir)) < before


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("type=image,dst=/x", 'invalid mount config for type "image": field Source must not be'),
        ("type=image,src=none,dst=/x", "no such image: none"),
        ("type=image,src=base,dst=/x,image-subpath=../a", "subpath must be a relative path"),
        ("type=image,src=base,dst=/x,bind-propagation=rshared", "cannot mix 'bind-*' options"),
        ("type=bind,src=/tmp,dst=/x,image-subpath=a", "cannot mix 'image-*' options"),
        ("type=image,src=base,dst=/x,idmap", "cannot mix 'idmap' with mount type 'image'"),
        ("type=cluster,src=base,dst=/x", "mount type unknown"),
    ],
)
def test_wrong_mounts_are_refused(knarr: Knarr, mount: str, said: str) -> None:
    assert said in refused(knarr, "--mount", mount)
    assert knarr("ps", "-aq") == ""


# overlays


@pytest.mark.parametrize("volume", [False, True])
def test_changes_to_an_overlay_stay_out_of_the_source(
    knarr: Knarr, tmp_path: Path, *, volume: bool
) -> None:
    host = tmp_path / "host"
    host.mkdir(mode=0o750)
    if volume:
        knarr("volume", "create", "data")
        source = knarr.engine.volumes.path("data")
    else:
        source = str(host)
    with open(f"{source}/file", "w") as file:
        file.write("old\n")
    os.chown(source, 11, 12)
    script = "stat -c %u:%g:%a /x; cat /x/file; echo new > /x/file; rm -f /x/gone; ls /x"
    words = ("-v", f"{'data' if volume else host}:/x:O", "busybox", "sh", "-c", script)
    knarr("create", "--name", "one", "--network", "none", *words)
    mode = "755" if volume else "750"
    for _ in range(2):
        assert knarr("start", "-a", "one") == f"11:12:{mode}\nold\nfile\n"
    with open(f"{source}/file") as file:
        assert file.read() == "old\n"


def test_an_overlay_can_keep_its_changes_where_the_user_says(knarr: Knarr, tmp_path: Path) -> None:
    for name in ("host", "up", "work"):
        (tmp_path / name).mkdir()
    mode = f"O,upperdir={tmp_path}/up,workdir={tmp_path}/work"
    words = (
        "-v",
        f"{tmp_path}/host:/x:{mode}",
        "busybox",
        "sh",
        "-c",
        "echo more >> /x/f; cat /x/f",
    )
    assert run(knarr, *words) == "more\n"
    assert run(knarr, *words) == "more\nmore\n"
    assert os.listdir(tmp_path / "host") == []
    assert (tmp_path / "up/f").read_text() == "more\nmore\n"
    bad = f"{tmp_path}/host:/x:O,upperdir={tmp_path}/up"
    assert "invalid mode" in refused(knarr, "-v", bad)
    bad = f"{tmp_path}/host:/x:O,upperdir=/nowhere,workdir={tmp_path}/work"
    assert "no such directory: /nowhere" in refused(knarr, "-v", bad)


# owners


def test_a_source_is_given_to_the_user(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "host/sub").mkdir(parents=True)
    (tmp_path / "host/sub/link").symlink_to("/etc/passwd")
    before = os.stat("/etc/passwd").st_uid
    run(knarr, "-u", "1234:56", "-v", f"{tmp_path}/host:/x:U", "busybox", "touch", "/x/sub/new")
    for path in ("host", "host/sub", "host/sub/link", "host/sub/new"):
        status = os.lstat(tmp_path / path)
        assert (status.st_uid, status.st_gid) == (1234, 56)
    assert os.stat("/etc/passwd").st_uid == before
    run(knarr, "-u", "77", "-v", "data:/x:U", "busybox", "touch", "/x/new")
    assert os.stat(f"{knarr.engine.volumes.path('data')}").st_uid == 77


@pytest.mark.parametrize("place", ["/", "/etc", "/usr/..//etc/", "/tmp"])
def test_no_container_is_given_what_the_host_lives_on(knarr: Knarr, place: str) -> None:
    before = os.stat(place)
    assert "the host lives on it" in refused(knarr, "-u", "1234", "-v", f"{place}:/x:U")
    assert os.stat(place).st_uid == before.st_uid


def owners(directory: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for name in sorted(os.listdir(directory)):
        status = os.lstat(directory / name)
        found[name] = (status.st_uid, status.st_gid)
    return found


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a directory of the user 1000:1001."""
    made = tmp_path / "mine"
    made.mkdir()
    os.chown(made, 1000, 1001)
    return made


@pytest.mark.parametrize("users", [(), ("--userns", "auto"), ("--uidmap", "0:300000:5000")])
@pytest.mark.parametrize("user", ["0:0", "33:34"])
def test_files_made_inside_belong_to_who_owns_the_directory(
    knarr: Knarr, mine: Path, users: tuple[str, ...], user: str
) -> None:
    mount = ("--mount", f"type=bind,src={mine},dst=/x,idmap")
    script = "touch /x/file; mkdir /x/dir; ln -s file /x/link; stat -c %u:%g /x /x/file"
    seen = run(knarr, *users, "-u", user, *mount, "busybox", "sh", "-c", script)
    assert seen == f"{user}\n{user}\n"
    assert owners(mine) == dict.fromkeys(("dir", "file", "link"), (1000, 1001))


def test_others_keep_their_numbers_and_nobody_gets_those_of_others(
    knarr: Knarr, mine: Path
) -> None:
    (mine / "root").touch()
    (mine / "other").touch()
    os.chown(mine / "other", 5, 6)
    mount = ("--cap-add", "all", "--mount", f"type=bind,src={mine},dst=/x,idmap", "busybox")
    script = (
        "stat -c '%n %u:%g' /x/root /x/other; touch /x/new && chown 9:9 /x/new;"
        " chown 1000:1000 /x/new || echo refused"
    )
    done = knarr.do("run", "--rm", "--network", "none", *mount, "sh", "-c", script)
    assert done.stdout == "/x/root 65534:65534\n/x/other 5:6\nrefused\n"
    assert owners(mine) == {"new": (9, 9), "other": (5, 6), "root": (0, 0)}


@pytest.mark.parametrize(
    ("users", "mapping", "made"),
    [
        ((), "uids=1000-0-1;gids=1001-0-1", (1000, 1001)),
        ((), "uids=5000-0-10#7-100-1;gids=6000-0-10", (5000, 6000)),
        (("--uidmap", "0:300000:5000"), "uids=1000-300000-1;gids=1001-300000-1", (1000, 1001)),
        (("--uidmap", "0:300000:5000"), "uids=@2000-0-1;gids=@3000-0-1", (2000, 3000)),
    ],
)
def test_a_mapping_can_be_said(
    knarr: Knarr, mine: Path, users: tuple[str, ...], mapping: str, made: tuple[int, int]
) -> None:
    os.chown(mine, *made)  # nobody writes to what has an owner that is not mapped
    mount = f"type=bind,src={mine},dst=/x,idmap={mapping}"
    run(knarr, *users, "--mount", mount, "busybox", "touch", "/x/file")
    assert owners(mine) == {"file": made}
    (mine / "file").unlink()
    run(knarr, *users, "-v", f"{mine}:/x:idmap={mapping}", "busybox", "touch", "/x/file")
    assert owners(mine) == {"file": made}


@pytest.mark.parametrize(
    "mapping", ["uids=1", "uids=a-b-c", "uids=0-0-0", "foo=0-0-1", "uids=0-0-1;uids=0-0-1", "x"]
)
def test_what_is_no_mapping_is_refused(knarr: Knarr, mine: Path, mapping: str) -> None:
    said = refused(knarr, "--mount", f"type=bind,src={mine},dst=/x,idmap={mapping}")
    assert f"invalid idmap: {mapping}" in said


@pytest.fixture
def unmappable(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a file system whose owners the kernel does not map."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    words = ["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "merged")]
    subprocess.run(words, check=True)
    try:
        yield tmp_path / "merged"
    finally:
        subprocess.run(["umount", str(tmp_path / "merged")], check=True)


@pytest.mark.parametrize("users", [(), ("--userns", "auto")])
def test_a_file_system_that_cannot_map_owners_is_named(
    knarr: Knarr, unmappable: Path, users: tuple[str, ...]
) -> None:
    said = refused(knarr, *users, "--mount", f"type=bind,src={unmappable},dst=/x,idmap")
    assert f"mounting {unmappable} at /x: overlay cannot map owners" in said


def test_copies_from_what_does_not_run_see_its_mounts(
    knarr: Knarr, layered: str, mine: Path
) -> None:
    (mine / "file").write_text("mine")
    run(knarr, "-v", "data:/x", "busybox", "sh", "-c", "mkdir /x/sub; echo part > /x/sub/file")
    knarr(
        "run", "--name", "one", "--network", "none",
        "--mount", f"type=image,src={layered},dst=/img,image-subpath=tools",
        "--mount", "type=volume,src=data,dst=/part,volume-subpath=sub",
        "--mount", f"type=bind,src={mine},dst=/mine,idmap", "-v", f"{mine}:/over:O",
        "busybox", "sh", "-c", "echo changed > /over/file",
    )  # fmt: skip
    for path, content in (
        ("/img/new", "new"), ("/part/file", "part"), ("/mine/file", "mine"),
        ("/over/file", "changed"),
    ):  # fmt: skip
        with tarfile.open(
            fileobj=io.BytesIO(knarr.do("cp", f"one:{path}", "-").stdout.encode())
        ) as t:
            (entry,) = t
            found = t.extractfile(entry)
            assert found is not None
            assert found.read().decode().strip() == content, path
    assert (mine / "file").read_text() == "mine"


# file systems


def test_terminals_and_memory_of_one_s_own(knarr: Knarr) -> None:
    mounts = ("--mount", "type=devpts,dst=/pts,gid=7,mode=0640", "--mount", "type=ramfs,dst=/ram")
    script = "grep -E ' /(pts|ram) ' /proc/mounts; ls /pts; echo x > /ram/f; cat /ram/f"
    lines = run(knarr, *mounts, "busybox", "sh", "-c", script).splitlines()
    assert lines[0].startswith("devpts /pts devpts rw,nosuid,noexec,relatime,gid=7,mode=640,ptmx")
    assert lines[1].startswith("ramfs /ram ramfs rw,nosuid,nodev,noexec")
    assert lines[2:] == ["ptmx", "x"]
    for wrong, said in (
        ("type=ramfs,dst=/x,gid=7", "unexpected key 'gid' in 'gid=7'"),
        ("type=bind,src=/tmp,dst=/x,mode=0700", "unexpected key 'mode' in 'mode=0700'"),
        ("type=devpts,src=/tmp,dst=/x", "field Source must not be specified"),
    ):
        assert said in refused(knarr, "--mount", wrong)


# directories that are not there


def test_a_missing_directory_is_made_if_that_is_asked_for(knarr: Knarr, tmp_path: Path) -> None:
    source = f"{tmp_path}/not/there"
    assert "bind source path does not exist" in refused(
        knarr, "--mount", f"type=bind,src={source},dst=/x"
    )
    run(knarr, "--mount", f"type=bind,src={source},dst=/x,bind-create-src", "busybox", "true")
    assert os.path.isdir(source)


def test_what_was_asked_for_is_shown_as_by_docker(knarr: Knarr) -> None:
    said = (
        "type=bind,src=/tmp,dst=/a,bind-propagation=rslave,readonly",
        "type=bind,src=/tmp,dst=/b,bind-recursive=disabled",
        "type=volume,src=v1,dst=/c,volume-nocopy,volume-label=a=b,{}=type=tmpfs,{}=device=tmpfs",
        "type=tmpfs,dst=/d,tmpfs-size=1m,tmpfs-mode=700",
        "type=image,src=busybox,dst=/e,image-subpath=bin",
    )
    words = [word for text in said for word in ("--mount", text.replace("{}", "volume-opt"))]
    knarr("create", "--name", "one", "--network", "none", *words, "busybox", "true")
    shown = json.loads(knarr("inspect", "one", "--format", "{{json .HostConfig.Mounts}}"))
    assert shown == [
        {"Type": "bind", "Source": "/tmp", "Target": "/a", "ReadOnly": True,
         "BindOptions": {"Propagation": "rslave"}},
        {"Type": "bind", "Source": "/tmp", "Target": "/b", "BindOptions": {"NonRecursive": True}},
        {"Type": "volume", "Source": "v1", "Target": "/c", "VolumeOptions": {
            "NoCopy": True, "Labels": {"a": "b"},
            "DriverConfig": {"Options": {"device": "tmpfs", "type": "tmpfs"}}}},
        {"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700}},
        {"Type": "image", "Source": "busybox", "Target": "/e", "ReadOnly": True,
         "ImageOptions": {"Subpath": "bin"}},
    ]  # fmt: skip
