"""Loads, imports and removals that are killed, disturbed or run side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.engine import Knarr

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.root

BASE = images.layer_tar({f"f{n}": b"x" * 1000 for n in range(200)})
TOP = images.layer_tar({"top": b"y" * 3000})
OCI = images.oci_archive([BASE, TOP], "x:1")
DOCKER = images.docker_archive([BASE, TOP], "x:1")
PLACES = ("layers", "images/blobs/sha256", "images/incoming", "images/recipes", "journal")

POINTS = [
    "journal:begun",
    "blobs.commit:before-rename",
    "blobs.commit:after-rename",
    "trees.publish:before-rename",
    "recipes.put:before-rename",
    "store:unpacked",
    "trees.sync:before-clear",
    "store:before-record",
    "database:before-commit",
    "database:after-commit",
    "tags.write_index:before-write",
    "journal:ending",
]


def contents(knarr: Knarr) -> list[str]:
    found = []
    for name in PLACES:
        path = f"{knarr.root}/{name}"
        names = os.listdir(path) if os.path.isdir(path) else []
        found += [f"{name}/{n}" for n in names if n not in (".unsynced", ".empty")]
    found += [n for n in os.listdir(f"{knarr.root}/images") if n.endswith(".tmp")]
    return sorted(found)


def check_layout(knarr: Knarr) -> None:
    """Assert that what lies on disk is an OCI layout, complete for all it lists."""
    directory = Path(knarr.root, "images")
    if not (directory / "index.json").exists():
        return
    assert json.loads((directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    for entry in json.loads((directory / "index.json").read_text())["manifests"]:
        manifest = json.loads(blob(directory, entry["digest"]))
        for part in (manifest["config"], *manifest["layers"]):
            assert images.sha(blob(directory, part["digest"])) == part["digest"]


def blob(directory: Path, digest: str) -> bytes:
    return (directory / "blobs" / "sha256" / digest[7:]).read_bytes()


@pytest.mark.parametrize("data", [OCI, DOCKER], ids=["oci", "docker"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_load_leaves_all_or_nothing(store: Knarr, point: str, data: bytes) -> None:
    done = store.do("load", stdin=data, trace=f"{point}=kill")
    assert done.returncode in (-signal.SIGKILL, 0)
    check_layout(store)
    listed = store.do("images", "-q")
    assert listed.returncode == 0
    if done.returncode and point != "database:before-commit":
        assert "unfinished load" in listed.stderr or listed.stderr == ""
    check_layout(store)
    if not listed.stdout:
        assert contents(store) == []
    assert store("load", stdin=data).splitlines()[-1] == "Loaded image: x:1"
    check_layout(store)
    store("rmi", "x:1")
    assert contents(store) == []


@pytest.mark.parametrize(
    "point",
    ["database:before-commit", "database:after-commit", "collect:forgotten",
     "trees.remove:before-delete", "tags.write_index:before-write"],
)  # fmt: skip
def test_a_killed_removal_is_finished_or_never_was(store: Knarr, point: str) -> None:
    store("load", stdin=OCI)
    assert store.do("rmi", "x:1", trace=f"{point}=kill").returncode == -signal.SIGKILL
    check_layout(store)
    listed = store.do("images", "-q").stdout
    check_layout(store)
    if listed:
        assert point == "database:before-commit"
        store("rmi", "x:1")
    assert contents(store) == []


@pytest.mark.parametrize("point", ["blobs.commit:before-rename", "store:before-record"])
def test_a_full_disk_is_said_and_leaves_nothing(store: Knarr, point: str) -> None:
    done = store.do("load", stdin=OCI, trace=f"{point}=enospc")
    assert done.returncode == 1
    assert "no space left on device" in done.stderr.lower()
    assert contents(store) == []


def load_stopped(store: Knarr, point: str) -> subprocess.Popen[bytes]:
    """Start a load that stops at a point, and return it when it has."""
    child = store.start(
        "load", "-i", os.path.join(store.directory, "archive"), trace=f"{point}=stop"
    )
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return child


def let_go(child: subprocess.Popen[bytes]) -> bytes:
    child.send_signal(signal.SIGCONT)
    out, error = child.communicate(timeout=60)
    assert (child.returncode, error) == (0, b"")
    return out


@pytest.mark.parametrize("point", ["store:unpacked", "store:before-record"])
def test_what_a_load_needs_is_not_collected_under_it(store: Knarr, point: str) -> None:
    store("load", stdin=images.docker_archive([BASE], "base"))
    Path(store.directory, "archive").write_bytes(OCI)
    child = load_stopped(store, point)
    # Nothing but the load holds these layers now.
    assert store("rmi", "base").splitlines()[0] == "Untagged: base:latest"
    assert let_go(child) == b"Loaded image: x:1\n"
    check_layout(store)
    engine = store.engine
    os.close(engine.layers.mount(engine.images.stack(engine.images.get("x:1").id)))
    assert len(store.do("save", "x:1").stdout) > len(TOP)
    store("rmi", "x:1")
    assert contents(store) == []


@pytest.mark.parametrize("data", [OCI, DOCKER], ids=["oci", "docker"])
def test_the_same_image_loaded_many_times_at_once(store: Knarr, data: bytes) -> None:
    path = Path(store.directory, "archive")
    path.write_bytes(data)
    children = [store.start("load", "-i", str(path)) for _ in range(4)]
    for child in children:
        out, error = child.communicate(timeout=60)
        assert (child.returncode, error) == (0, b"")
        assert out.endswith(b"Loaded image: x:1\n")
    check_layout(store)
    assert store("images", "-q", "--no-trunc").count("\n") == 1
    store("rmi", "x:1")
    assert contents(store) == []


def test_loading_and_removing_at_once(store: Knarr) -> None:
    path = Path(store.directory, "archive")
    path.write_bytes(OCI)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        load = store.start("load", "-i", str(path))
        remove = store.start("rmi", "x:1")
        assert load.communicate(timeout=60)[1] == b""
        _, error = remove.communicate(timeout=60)
        assert error in (b"", b"knarr: no such image: x:1\n")
        check_layout(store)
        if store("images", "-q"):
            store("rmi", "x:1")
        assert contents(store) == []
