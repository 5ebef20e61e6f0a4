"""`image copy`, and images that go to other tools and come from them by a registry."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.dockerregistry import docker_registry
from support.engine import Knarr
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.root

BASE = images.layer_tar({f"f{n}": b"x" * n for n in range(300)})
TOP = images.layer_tar({"top": b"y" * 3000})
INDEX = "application/vnd.oci.image.index.v1+json"
KIND = "application/vnd.oci.image"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with docker_registry(tmp_path / "registry") as found:
        yield found


def skopeo(*words: str) -> str:
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_around_all_places(store: Knarr, host: str, tmp_path: Path) -> None:
    store("load", stdin=images.oci_archive([BASE, TOP], "x:1"))
    digest = store("image", "copy", "x:1", f"docker://{host}/x:1").split()[-1]
    places = [
        f"docker://{host}/x:1",
        f"docker://{host}/y:2",
        f"oci:{tmp_path}/layout:tag",
        f"oci-archive:{tmp_path}/a.tar:x:1",
        f"docker://{host}/z",
    ]
    for source, target in itertools.pairwise(places):
        assert store("image", "copy", source, target) == f"Digest: {digest}\n"
    found = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{host}/z:latest"))
    assert found["Digest"] == digest
    assert store("images", "-q").split() == [images.sha(images.config_of([BASE, TOP]))[7:19]]
    store("image", "copy", places[0], f"docker-archive:{tmp_path}/d.tar:back:1")
    store("rmi", "x:1")
    store("image", "copy", f"docker-archive:{tmp_path}/d.tar", "back:1")
    assert store("images", "--format", "{{.Repository}}:{{.Tag}}") == "back:1\n"
    assert "cannot make" in store.fails("image", "copy", "back:1", f"oci-archive:{tmp_path}/a.tar")


def test_an_index_whole_and_an_artifact(store: Knarr, host: str, tmp_path: Path) -> None:
    with TestRegistry() as registry:
        entries = []
        for architecture in ("amd64", "arm64"):
            platform = {"os": "linux", "architecture": architecture}
            config = images.config_of([TOP], **platform)
            files = images.oci_files([TOP], config=config)
            (listed,) = json.loads(files["index.json"])["manifests"]
            for path, data in files.items():
                if path.startswith("blobs/"):
                    registry.add_blob("m", data)
            raw = registry.blobs["m", listed["digest"]]
            registry.add_manifest("m", "-", raw, f"{KIND}.manifest.v1+json")
            entries.append({**listed, "platform": platform})
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        index = registry.add_manifest("m", "1", json.dumps(document).encode(), INDEX)
        artifact = {
            "schemaVersion": 2,
            "mediaType": f"{KIND}.manifest.v1+json",
            "artifactType": "application/x.song",
            "config": images.descriptor("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [images.descriptor("text/plain", b"la la la")],
        }
        registry.add_blob("m", b"{}")
        registry.add_blob("m", b"la la la")
        song = registry.add_manifest(
            "m", "song", json.dumps(artifact).encode(), f"{KIND}.manifest.v1+json"
        )
        source = f"docker://{registry.host}/m:1"
        for target in (f"oci:{tmp_path}/layout:m", f"docker://{host}/m:1"):
            copied = store("image", "copy", "--all-platforms", source, target)
            assert copied == f"Digest: {index}\n"
        for target in (f"oci:{tmp_path}/layout:song", f"docker://{host}/m:song"):
            copied = store("image", "copy", f"docker://{registry.host}/m:song", target)
            assert copied == f"Digest: {song}\n"
        assert "of the unsupported type" in store.fails("pull", f"{registry.host}/m:song")
    listed = json.loads(Path(tmp_path, "layout", "index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in listed] == [index, song]
    shown = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/m:1")
    assert json.loads(shown) == document
    store("pull", "-q", "--platform", "arm64", f"{host}/m:1")
    assert index in store("images", "--digests")


def test_skopeo_pushed_and_skopeo_pulls(store: Knarr, host: str, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(images.docker_archive([BASE, TOP], "x:1"))
    remote = f"docker://{host}/x:1"
    skopeo("copy", "--dest-tls-verify=false", f"docker-archive:{archive}", remote)
    pushed = json.loads(skopeo("inspect", "--tls-verify=false", remote))
    store("pull", "-q", f"{host}/x:1")
    assert pushed["Digest"] in store("images", "--digests")
    store("tag", f"{host}/x:1", f"{host}/other:1")
    store("push", "-q", f"{host}/other:1")
    again = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{host}/other:1"))
    assert again["Digest"] == pushed["Digest"]
    store("load", stdin=images.docker_archive([BASE], "made:1"))
    store("tag", "made:1", f"{host}/made:1")
    store("push", "-q", f"{host}/made:1")
    skopeo("copy", "--src-tls-verify=false", f"docker://{host}/made:1", f"dir:{tmp_path}/dir")
    config = images.config_of([BASE])
    assert Path(tmp_path, "dir", images.sha(config)[7:]).read_bytes() == config


def test_docker_s_manifests_become_oci_s_in_layouts(
    store: Knarr, host: str, tmp_path: Path
) -> None:
    """Nobody else reads Docker's there."""
    archive, remote = tmp_path / "x.tar", f"docker://{host}/x:1"
    archive.write_bytes(images.docker_archive([BASE, TOP], "x:1"))
    skopeo("copy", "--dest-tls-verify=false", f"docker-archive:{archive}", remote)
    raw = skopeo("inspect", "--raw", "--tls-verify=false", remote)
    assert "vnd.docker.distribution.manifest.v2" in raw
    store("pull", "-q", f"{host}/x:1")
    store("manifest", "create", f"{host}/list:1", f"{host}/x:1")
    store("manifest", "push", f"{host}/list:1")
    store("image", "copy", remote, f"oci:{tmp_path}/one:x")
    store("image", "copy", "--all", f"docker://{host}/list:1", f"oci:{tmp_path}/all:x")
    store("save", "--format", "oci-archive", "-o", f"{tmp_path}/saved.tar", f"{host}/x:1")
    config = images.config_of([BASE, TOP])
    for place in (
        f"oci:{tmp_path}/one:x",
        f"oci:{tmp_path}/all:x",
        f"oci-archive:{tmp_path}/saved.tar:{host}/x:1",
    ):
        assert "vnd.docker" not in skopeo("inspect", "--raw", place), place
        assert skopeo("inspect", "--config", "--raw", place).encode() == config
        shutil.rmtree(tmp_path / "files", ignore_errors=True)
        skopeo("copy", place, f"dir:{tmp_path}/files")
    kept = store("image", "copy", "--preserve-digests", remote, f"oci:{tmp_path}/kept:x")
    assert kept == f"Digest: {images.sha(raw.encode())}\n"
    back = store("image", "copy", f"oci:{tmp_path}/kept:x", f"docker://{host}/back:1")
    assert back == kept


def test_skopeo_reads_the_store_while_knarr_works(
    store: Knarr, host: str, tmp_path: Path, settings: Callable[[str], Path]
) -> None:
    settings('[images]\nkeep_blobs = "always"\n')
    store("load", stdin=images.oci_archive([BASE, TOP], "x:1"))
    store("tag", "x:1", f"{host}/x:1")
    store("push", "-q", f"{host}/x:1")
    over = threading.Event()
    failures: list[str] = []

    def work() -> None:
        while not over.is_set():
            for words in (("rmi", f"{host}/x:1"), ("pull", "-q", f"{host}/x:1")):
                done = store.do(*words)
                if done.returncode:
                    failures.append(done.stderr)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(8):
            layout = f"oci:{store.root}/images:docker.io/library/x:1"
            found = json.loads(skopeo("inspect", layout))
            assert len(found["Layers"]) == 2
    finally:
        over.set()
        worker.join()
    assert failures == []
    skopeo("copy", f"oci:{store.root}/images:docker.io/library/x:1", f"dir:{tmp_path}/copied")
