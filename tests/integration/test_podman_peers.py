"""Podman as the other side: archives in every form, and registries, both ways."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from support import images
from support.dockerregistry import docker_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.engine import Knarr

    Podman = Callable[..., str]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed"),
]

BASE = images.layer_tar({"etc/": b"", "etc/hello": b"hello", "big": b"x" * 50_000})
TOP = images.layer_tar({"new/": b"", "new/f": b"y" * 3000})
CONFIG = images.config_of([BASE, TOP])
ID = images.sha(CONFIG)
NAME = "localhost/x:1"


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """Lend podman with storage of its own."""
    # It refuses run directories of more than 50 characters.
    with tempfile.TemporaryDirectory(prefix="knarr-", dir="/tmp") as place:
        begin = ["podman", "--root", f"{place}/s", "--runroot", f"{place}/r",
                 "--storage-driver", "vfs"]  # fmt: skip

        def run(*words: str) -> str:
            done = subprocess.run(
                [*begin, *words], capture_output=True, text=True, check=False, timeout=60
            )
            assert done.returncode == 0, (words, done.stderr)
            return done.stdout

        yield run


@pytest.fixture
def empty(podman: Podman) -> Podman:
    """Lend it without images."""
    podman("rmi", "--all", "--force")
    return podman


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with docker_registry(tmp_path / "registry") as found:
        yield found


def check_content(store: Knarr) -> None:
    """Assert that the only image is ours; of another form, podman writes its config anew."""
    (image,) = set(store("images", "-q", "--no-trunc").split())
    (document,) = json.loads(store("inspect", image))
    assert document["RootFS"]["Layers"] == [images.sha(BASE), images.sha(TOP)]
    assert document["Config"]["Env"] == ["PATH=/bin"]
    assert document["Config"]["Labels"] == {"made": "by hand"}


def id_at(podman: Podman, name: str) -> str:
    (found,) = json.loads(podman("image", "inspect", name))
    return f"sha256:{found['Id']}"


@pytest.mark.parametrize("kept", ["", "+gzip", "+zstd"])
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_podman_loads_what_we_save(
    store: Knarr, empty: Podman, tmp_path: Path, kept: str, form: str
) -> None:
    store("load", stdin=images.oci_archive([BASE, TOP], "x:1", config=CONFIG, compression=kept))
    path = str(tmp_path / "saved")
    store("save", "--format", form, "-o", path, "x:1")
    empty("load", "-i", path)
    assert id_at(empty, ID[7:]) == ID


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "docker-archive"),
        ("--format", "oci-archive"),
        ("--format", "oci-dir"),
        ("--format", "docker-dir"),
    ],
)
def test_we_load_what_podman_saves(
    store: Knarr, empty: Podman, tmp_path: Path, words: tuple[str, str]
) -> None:
    first, path = tmp_path / "x.tar", str(tmp_path / "saved")
    first.write_bytes(images.docker_archive([BASE, TOP], "x:1", config=CONFIG))
    empty("load", "-i", str(first))
    empty("save", *words, "-o", path, NAME)
    if words[1] == "docker-dir":
        store("image", "copy", f"dir:{path}", "x:1")
    else:
        store("load", "-i", path)
    check_content(store)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_podman_pulls_what_we_pushed(
    store: Knarr, empty: Podman, host: str, compression: str
) -> None:
    form = f"+{compression}"
    store("load", stdin=images.oci_archive([BASE, TOP], "x:1", config=CONFIG, compression=form))
    store("tag", "x:1", f"{host}/x:1")
    store("push", "-q", f"{host}/x:1")
    empty("pull", "-q", "--tls-verify=false", f"{host}/x:1")
    assert id_at(empty, f"{host}/x:1") == ID


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_we_pull_what_podman_pushed(
    store: Knarr, empty: Podman, host: str, tmp_path: Path, form: str
) -> None:
    first, digest = tmp_path / "x.tar", tmp_path / "digest"
    first.write_bytes(images.docker_archive([BASE, TOP], "x:1", config=CONFIG))
    empty("load", "-i", str(first))
    empty("push", "-q", "--tls-verify=false", "--format", form, "--digestfile", str(digest),
          NAME, f"docker://{host}/x:1")  # fmt: skip
    store("pull", "-q", f"{host}/x:1")
    check_content(store)
    assert digest.read_text() in store("images", "--digests")
    # It goes on as it came.
    store("tag", f"{host}/x:1", f"{host}/other:1")
    assert f"digest: {digest.read_text()} " in store("push", f"{host}/other:1")


def test_lists_of_each_other(store: Knarr, empty: Podman, host: str) -> None:
    parts = []
    for arch in ("amd64", "arm64"):
        config = images.config_of([BASE], architecture=arch)
        store("load", stdin=images.oci_archive([BASE], "y:1", config=config))
        parts.append(f"{host}/{arch}:1")
        store("tag", images.sha(config), parts[-1])
        store("push", "-q", parts[-1])
    ours, theirs = f"{host}/ours:1", f"{host}/theirs:1"
    store("manifest", "create", ours, *parts)
    store("manifest", "push", ours)
    for arch in ("amd64", "arm64"):
        empty("pull", "-q", "--tls-verify=false", "--arch", arch, ours)
        assert json.loads(empty("image", "inspect", ours))[0]["Architecture"] == arch
    empty("manifest", "create", theirs)
    for part in parts:
        empty("manifest", "add", "--tls-verify=false", theirs, f"docker://{part}")
    empty("manifest", "push", "--all", "--tls-verify=false", theirs, f"docker://{theirs}")
    store("pull", "-q", "--all-platforms", theirs)
    (arm,) = json.loads(store("image", "inspect", "--platform", "arm64", theirs))
    assert arm["Architecture"] == "arm64"
    first, second = (
        {entry["digest"] for entry in json.loads(store("manifest", "inspect", name))["manifests"]}
        for name in (ours, theirs)
    )
    assert first == second
