"""Docker's own store as the other side: `image copy` by its daemon, archives, registries."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.dockerregistry import docker_registry
from support.engine import Knarr
from support.engines import Docker, Room, lent_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

BASE = images.layer_tar({"etc/": b"", "etc/hello": b"hello", "big": b"x" * 50_000})
TOP = images.layer_tar({"new/": b"", "new/f": b"y" * 3000})
CONFIG = images.config_of([BASE, TOP])
ID = images.sha(CONFIG)


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """Lend a daemon to the tests of this module."""
    if not shutil.which("dockerd"):
        pytest.skip("dockerd is not installed (package docker.io)")
    with (
        tempfile.TemporaryDirectory(prefix="knarr-", dir="/tmp") as directory,
        lent_engine(Docker, Path(directory)) as lent,
    ):
        assert isinstance(lent, Docker)
        yield lent


@pytest.fixture
def near(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Let commands find the daemon."""
    monkeypatch.setenv("DOCKER_HOST", docker.socket)
    return docker


def need_zstd(docker: Docker) -> None:
    version = docker.must("version", "-f", "{{.Server.Version}}").strip()
    if int(version.partition(".")[0]) < 23:
        pytest.skip(f"Docker {version} does not read layers in zstd, which 23 does")


def id_at(docker: Docker, name: str) -> str:
    return docker.must("image", "inspect", "-f", "{{.Id}}", name).strip()


def test_to_the_daemon_and_back(store: Knarr, near: Docker) -> None:
    store("load", stdin=images.oci_archive([BASE, TOP], "x:1", config=CONFIG))
    assert store("image", "copy", "x:1", "docker-daemon:there:1").startswith("Digest: sha256:")
    assert id_at(near, "there:1") == ID
    store("rmi", "x:1")
    store("image", "copy", "docker-daemon:there:1", "back:1")
    assert store("images", "-q", "--no-trunc", "back:1").strip() == ID
    store("image", "copy", f"docker-daemon:{ID}", "by-id:1")
    (document,) = json.loads(store("inspect", "by-id:1"))
    assert document["RootFS"]["Layers"] == [images.sha(BASE), images.sha(TOP)]
    near.must("rmi", "there:1")


@pytest.mark.parametrize("kept", ["", "+gzip", "+zstd"])
def test_docker_loads_what_we_save(store: Knarr, docker: Docker, tmp_path: Path, kept: str) -> None:
    """In whatever form the layers came."""
    if kept == "+zstd":
        need_zstd(docker)
    store("load", stdin=images.oci_archive([BASE, TOP], "x:1", config=CONFIG, compression=kept))
    for packed in ("none", "gzip"):
        path = str(tmp_path / f"{packed}.tar")
        store("save", "--compression", packed, "-o", path, "x:1")
        docker.must("load", "-i", path)
        assert id_at(docker, "x:1") == ID
        docker.must("rmi", "x:1")


def test_we_load_what_docker_saves(store: Knarr, docker: Docker, tmp_path: Path) -> None:
    path = str(tmp_path / "first.tar")
    store("load", stdin=images.docker_archive([BASE, TOP], "x:1", config=CONFIG))
    store("save", "-o", path, "x:1")
    docker.must("load", "-i", path)
    docker.must("tag", "x:1", "y:2")
    saved = str(tmp_path / "docker.tar")
    docker.must("save", "-o", saved, "x:1", "y:2")
    docker.must("rmi", "x:1", "y:2")
    store("rmi", "x:1")
    assert sorted(store("load", "-i", saved).splitlines()) == [
        "Loaded image: x:1", "Loaded image: y:2",
    ]  # fmt: skip
    assert set(store("images", "-q", "--no-trunc").split()) == {ID}


@pytest.fixture
def registry(docker: Docker, tmp_path: Path) -> Iterator[str]:
    """Lend a registry beside the daemon, in whose network it is."""
    if docker.room.run("ip", "link", "set", "lo", "up"):
        pytest.skip("ip is not installed: the daemon's network cannot be made ready")
    with docker_registry(tmp_path / "registry", room=docker.room) as host:
        yield host


@pytest.fixture
def inside(store: Knarr, docker: Docker) -> Knarr:
    """Lend the command in the daemon's network."""
    return Inside(store, docker.room)


class Inside(Knarr):
    """The command, run in the network of a room."""

    def __init__(self, lent: Knarr, room: Room) -> None:
        super().__init__(lent.directory)
        self._room = room

    def command(self, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self._room.pid), "-n", "--", *super().command(*words)]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_docker_pulls_what_we_pushed(
    inside: Knarr, docker: Docker, registry: str, compression: str
) -> None:
    name = f"{registry}/x:1"
    form = f"+{compression}"
    inside("load", stdin=images.oci_archive([BASE, TOP], "x:1", config=CONFIG, compression=form))
    inside("tag", "x:1", name)
    inside("push", "-q", name)
    if compression == "zstd":
        need_zstd(docker)
    docker.must("pull", "-q", name)
    assert id_at(docker, name) == ID
    docker.must("rmi", name)


def test_we_pull_what_docker_pushed(inside: Knarr, docker: Docker, registry: str) -> None:
    name = f"{registry}/mine:1"
    docker.must("tag", "bb", name)
    digest = docker.must("push", name).rpartition("digest: ")[2].split()[0]
    inside("pull", "-q", name)
    assert inside("images", "-q", "--no-trunc", name).strip() == id_at(docker, "bb")
    assert digest in inside("images", "--digests")
    # It goes on as it came.
    inside("tag", name, f"{registry}/other:1")
    assert f"digest: {digest} " in inside("push", f"{registry}/other:1")
    docker.must("rmi", name)


def test_a_list_of_ours_serves_docker(inside: Knarr, docker: Docker, registry: str) -> None:
    parts = []
    for arch in ("amd64", "arm64"):
        config = images.config_of([BASE], architecture=arch)
        inside("load", stdin=images.oci_archive([BASE], "x:1", config=config))
        parts.append(f"{registry}/{arch}:1")
        inside("tag", images.sha(config), parts[-1])
        inside("push", "-q", parts[-1])
    name = f"{registry}/app:1"
    inside("manifest", "create", name, *parts)
    inside("manifest", "push", name)
    for arch in ("amd64", "arm64"):
        docker.must("pull", "-q", "--platform", f"linux/{arch}", name)
        said = docker.must("image", "inspect", "-f", "{{.Architecture}}", name)
        assert said.strip() == arch
        docker.must("rmi", name)


def test_what_the_daemon_says_is_passed_on(
    store: Knarr, near: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = store.fails("image", "copy", "docker-daemon:none:1", "x:1")
    assert said == "knarr: docker has no image none:1\n"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    said = store.fails("image", "copy", "docker-daemon:x:1", "x:1")
    assert "cannot reach docker at" in said
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "a socket on this machine" in store.fails("image", "copy", "docker-daemon:x", "x:1")
    assert "names no image" in store.fails("image", "copy", "docker-daemon:", "x:1")
    assert near.call("version").status == 0
