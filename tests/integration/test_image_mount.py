"""`image mount`: an image as a directory of the host, which nothing but the kernel remembers."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.archives import archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

BASE = archive("file f data=below\nfile su mode=4755\nchar null number=1:3").read()
TOP = archive("file f data=above\nfile g data=more").read()


@pytest.fixture
def loaded(store: Knarr) -> Iterator[Knarr]:
    """Lend a store with images of one layer and of two; whatever is mounted ends with the test."""
    store("load", stdin=images.docker_archive([BASE], "one:1"))
    store("load", stdin=images.docker_archive([BASE, TOP], "two:1"))
    yield store
    store("image", "unmount", "--all", "--force")


def flags(path: str) -> set[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split(" ")[4] == path:
            return set(line.split(" ")[5].split(","))
    return set()


def test_what_is_shown_and_that_it_cannot_be_changed(loaded: Knarr) -> None:
    for name, text in (("one:1", "below"), ("two:1", "above")):
        path = loaded("image", "mount", name).rstrip("\n")
        assert path.startswith(f"{loaded.run_dir}/images/")
        assert Path(path, "f").read_text() == text
        with pytest.raises(OSError, match="Read-only"):
            Path(path, "f").write_text("changed")
        assert {"ro", "nosuid", "nodev"} <= flags(path)
        assert loaded("image", "mount", name).rstrip("\n") == path  # twice is once
        image_id = loaded.engine.images.get(name).id
        assert loaded("image", "unmount", name) == f"{image_id.hex}\n"
        assert not os.path.exists(path)
    assert "is not mounted" in loaded.fails("image", "unmount", "one:1")


def test_lists(loaded: Knarr) -> None:
    assert loaded("image", "mount") == ""
    assert json.loads(loaded("image", "mount", "--format", "json")) == []
    lines = loaded("image", "mount", "--all").splitlines()
    assert sorted(line.split()[0] for line in lines) == ["one:1", "two:1"]
    assert sorted(loaded("image", "mount").splitlines()) == sorted(lines)
    found = json.loads(loaded("image", "mount", "--format", "json"))
    assert sorted(one["Repositories"] for one in found) == [["one:1"], ["two:1"]]
    assert all(os.path.ismount(one["mountpoint"]) for one in found)
    assert len(loaded("image", "umount", "-a").splitlines()) == 2
    assert loaded("image", "mount") == ""


def test_at_a_directory_of_the_users(loaded: Knarr, tmp_path: Path) -> None:
    place = tmp_path / "a place"
    said = loaded.fails("image", "mount", "--target", str(place), "two:1")
    assert "there is no such directory" in said
    place.mkdir()
    for _ in range(2):
        assert loaded("image", "mount", "--target", str(place), "two:1") == f"{place}\n"
    elsewhere = loaded("image", "mount", "two:1").strip()
    assert (place / "g").read_text() == Path(elsewhere, "g").read_text() == "more"
    loaded("image", "unmount", "two:1")
    assert place.is_dir()
    assert not os.path.ismount(place)
    assert "is for one image" in loaded.fails("image", "mount", "--target", ".", "one:1", "two:1")


def test_what_is_in_use_is_taken_with_force_alone(loaded: Knarr) -> None:
    path = loaded("image", "mount", "two:1").strip()
    descriptor = os.open(f"{path}/g", os.O_RDONLY)
    try:
        assert "is in use at" in loaded.fails("image", "unmount", "two:1")
        assert os.path.ismount(path)
        loaded("image", "unmount", "--force", "two:1")
        assert not os.path.exists(path)
        assert os.read(descriptor, 9) == b"more"  # who has it open keeps it
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("by_name", [True, False])
def test_a_mounted_image_is_removed_with_force_alone(loaded: Knarr, *, by_name: bool) -> None:
    path = loaded("image", "mount", "two:1").strip()
    name = "two:1" if by_name else str(loaded.engine.images.get("two:1").id)
    assert f"is mounted at {path}" in loaded.fails("rmi", name)
    assert "two" in loaded("images")
    assert "two" not in loaded("image", "prune", "-af")
    loaded("tag", "two:1", "again:1")
    assert loaded("rmi", "again:1") == "Untagged: again:1\n"  # the image stays
    assert "Deleted" in loaded("rmi", "--force", name)
    assert not os.path.exists(path)
    assert loaded("image", "mount") == ""
    assert loaded("system", "check") == "Everything is as it should be.\n"


@pytest.mark.parametrize("point", ["image-mount:before-attach", "image-mount:attached"])
def test_a_killed_mount_leaves_a_mount_or_nothing(loaded: Knarr, point: str) -> None:
    done = loaded.do("image", "mount", "two:1", trace=f"{point}=kill")
    assert done.returncode == -signal.SIGKILL
    mounted = loaded("image", "mount")
    assert bool(mounted) == (point == "image-mount:attached")
    assert loaded("system", "check") == "Everything is as it should be.\n"
    path = loaded("image", "mount", "two:1").strip()
    assert Path(path, "f").read_text() == "above"
    loaded("image", "unmount", "two:1")
    assert os.listdir(f"{loaded.run_dir}/images") == []


def test_a_killed_removal_takes_the_mount_with_it(loaded: Knarr) -> None:
    path = loaded("image", "mount", "two:1").strip()
    done = loaded.do("rmi", "--force", "two:1", trace="database:after-commit=kill")
    assert done.returncode == -signal.SIGKILL
    assert "unmounted 1 images that were removed" in loaded.do("images").stderr
    assert not os.path.exists(path)
    assert loaded("system", "check") == "Everything is as it should be.\n"


def test_places_without_a_mount_go_after_a_reboot(loaded: Knarr) -> None:
    left = Path(loaded.run_dir, "images", "0" * 64)
    left.mkdir(parents=True)
    Path(loaded.run_dir, "boot_id").write_text("another boot\n")
    loaded("image", "ls")
    assert not left.exists()


def test_a_mount_of_an_image_that_is_gone_is_found_and_mended(loaded: Knarr) -> None:
    path = loaded("image", "mount", "two:1").strip()
    loaded.engine.images.records.remove(loaded.engine.images.get("two:1").id)
    said = loaded.do("system", "check").stdout
    assert "which is not here any more" in said
    loaded.do("system", "check", "--repair")
    assert not os.path.ismount(path)


def test_containers_neither_see_nor_keep_a_mount(knarr: Knarr) -> None:
    path = knarr("image", "mount", "busybox").strip()
    knarr("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "100")
    assert path not in knarr("exec", "one", "cat", "/proc/mounts")
    knarr("image", "unmount", "busybox")  # nobody has it in use
    for pid, _ in knarr.processes():
        assert path not in Path(f"/proc/{pid}/mountinfo").read_text()
    knarr("rm", "-f", "one")


def test_what_is_refused(loaded: Knarr) -> None:
    assert "no such image: none:1" in loaded.fails("image", "mount", "none:1")
    assert "image name or ID must be specified" in loaded.fails("image", "unmount")
    for command in ("mount", "unmount"):
        assert "you may not pass any image" in loaded.fails("image", command, "--all", "one:1")
    assert "unknown --format" in loaded.fails("image", "mount", "--format", "yaml")
