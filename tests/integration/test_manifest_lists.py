"""`manifest`: lists of manifests are made here, changed, looked at and pushed.

Where Docker is installed its command line does the same beside us; it takes no daemon for that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from support import images
from support.dockerregistry import docker_registry
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

LAYER = images.layer_tar({"top": b"y" * 3000})
ARCHES = ("amd64", "arm64")
KIND = "application/vnd.oci.image"
DOCKER = "application/vnd.docker.distribution"
FEATURES = ("--os-features", "a,b", "--os-version", "10")


@pytest.fixture
def host(tmp_path: Path, store: Knarr) -> Iterator[str]:
    """Lend a registry that has images for two machines, under OCI's and Docker's manifests."""
    with docker_registry(tmp_path / "registry") as found:
        for arch in ARCHES:
            config = images.config_of([LAYER], architecture=arch)
            archive = tmp_path / "image.tar"
            archive.write_bytes(images.oci_archive([LAYER], "x:1", config=config))
            store("image", "copy", f"oci-archive:{archive}", f"docker://{found}/oci/{arch}:1",
                  "--platform", arch)  # fmt: skip
        yield found


def entries(raw: str) -> list[tuple[str, str]]:
    """Return (digest, platform) of each entry of a list."""
    found = []
    for entry in json.loads(raw)["manifests"]:
        platform = entry["platform"]
        found.append((entry["digest"], f"{platform['os']}/{platform['architecture']}"))
    return found


def test_a_list_is_made_pushed_and_pulled_from(store: Knarr, second: Knarr, host: str) -> None:
    name, parts = f"{host}/app:1", [f"{host}/oci/{arch}:1" for arch in ARCHES]
    assert store("manifest", "create", name, *parts) == f"Created manifest list {name}\n"
    shown = store("manifest", "inspect", name)
    assert [platform for _, platform in entries(shown)] == ["linux/amd64", "linux/arm64"]
    *pushed, digest = store("manifest", "push", name).splitlines()
    assert pushed == [
        f"Pushed ref {host}/app@{one} with digest: {one}" for one, _ in entries(shown)
    ]
    assert digest == images.sha(shown.rstrip("\n").encode())
    for arch in ARCHES:
        second("pull", "-q", "--platform", arch, name)
        (found,) = json.loads(second("image", "inspect", name))
        assert found["Architecture"] == arch
        assert found["RepoDigests"] == [f"{host}/app@{digest}"]
    assert second("manifest", "inspect", name) == shown  # which has no list of its own


def test_create_makes_all_or_nothing_and_amends_when_asked(store: Knarr, host: str) -> None:
    name, first, other = f"{host}/app:1", f"{host}/oci/amd64:1", f"{host}/oci/arm64:1"
    missing = f"{host}/oci/none:1"
    said = store.fails("manifest", "create", name, first, missing)
    assert said.splitlines()[0] == f"knarr: no such manifest: {missing}"
    assert store.fails("manifest", "rm", name) == f"knarr: No such manifest: {name}\n"
    store("manifest", "create", name, first)
    said = store.fails("manifest", "create", name, other)
    assert said == "knarr: refusing to amend an existing manifest list with no --amend flag\n"
    store("manifest", "create", "--amend", name, other)
    assert len(entries(store("manifest", "inspect", name))) == 2
    store("manifest", "push", "--purge", name)
    assert "No such manifest" in store.fails("manifest", "push", name)
    said = store.fails("manifest", "create", f"{host}/app:2", name)
    assert said.splitlines()[0] == f"knarr: {name} is a manifest list"
    wrong = f"{host}/APP:1"
    said = store.fails("manifest", "create", wrong, first)
    assert said.startswith(f"knarr: error parsing name for manifest list {wrong}: invalid ref")
    assert "requires at least 2 arguments" in store.fails("manifest", "create", name)


def test_annotations_are_those_of_the_list_alone(store: Knarr, host: str) -> None:
    name, part, other = f"{host}/app:1", f"{host}/oci/arm64:1", f"{host}/oci/amd64:1"
    store("manifest", "create", name, part)
    assert store("manifest", "annotate", name, part, "--variant", "v8", *FEATURES) == ""
    store("manifest", "annotate", name, part, "--os-features", "b", "--os-features", "c")
    (entry,) = json.loads(store("manifest", "inspect", name))["manifests"]
    assert entry["platform"] == {
        "architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "10",
        "os.features": ["a", "b", "c"],
    }  # fmt: skip
    said = store.fails("manifest", "annotate", name, part, "--os", "lin")
    assert "unsupported os/arch combination: lin/arm64" in said
    said = store.fails("manifest", "annotate", name, other, "--os", "linux")
    assert said == f"knarr: manifest for image {other} does not exist in {name}\n"
    within = store("manifest", "inspect", name, part)
    assert json.loads(within)["config"]["mediaType"] == f"{KIND}.config.v1+json"
    assert f"No such manifest: {other}" in store.fails("manifest", "inspect", name, other)
    assert store("manifest", "rm", name) == ""
    assert "no such manifest" in store.fails("manifest", "inspect", name)


def test_verbose(store: Knarr, host: str) -> None:
    name, parts = f"{host}/app:1", [f"{host}/oci/{arch}:1" for arch in ARCHES]
    alone = json.loads(store("manifest", "inspect", "-v", parts[1]))
    assert alone["Ref"] == parts[1]
    assert alone["Descriptor"]["platform"] == {"architecture": "arm64", "os": "linux"}
    assert alone["OCIManifest"]["layers"][0]["size"] > 0
    store("manifest", "create", name, *parts)
    here = json.loads(store("manifest", "inspect", "-v", name))
    assert [one["Ref"] for one in here] == parts
    store("manifest", "push", "-p", name)
    there = json.loads(store("manifest", "inspect", "-v", name))
    digests = [one["Descriptor"]["digest"] for one in here]
    assert [one["Ref"] for one in there] == [f"{name}@{digest}" for digest in digests]
    assert [one["Raw"] for one in there] == [one["Raw"] for one in here]


def test_what_another_registry_has_is_copied(store: Knarr, host: str) -> None:
    """Docker refuses a list whose images are elsewhere."""
    with TestRegistry() as registry:
        name = f"{registry.host}/app:1"
        store("manifest", "create", name, *(f"{host}/oci/{arch}:1" for arch in ARCHES))
        store("manifest", "push", name)
        raw, kind = registry.manifests["app", "1"]
        assert kind == f"{KIND}.index.v1+json"
        for digest, _ in entries(raw.decode()):
            assert ("app", digest) in registry.manifests
        assert len([key for key in registry.blobs if key[0] == "app"]) == 3  # one layer for both


def docker(home: Path, *words: str) -> str:
    program = shutil.which("docker")
    if program is None:
        pytest.skip("docker is not installed: nobody to compare with")
    done = subprocess.run(
        [program, "manifest", *words], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def add_docker_images(store: Knarr, host: str) -> list[str]:
    """Put images under Docker's own manifests into a registry; return their names."""
    with TestRegistry() as registry:
        for arch in ARCHES:
            config = images.config_of([LAYER], architecture=arch)
            layer = images.COMPRESS["+gzip"](LAYER)
            registry.add_blob("x", config)
            registry.add_blob("x", layer)
            container, diff = "application/vnd.docker.container.image.v1+json", "rootfs.diff.tar"
            document = {
                "schemaVersion": 2,
                "mediaType": f"{DOCKER}.manifest.v2+json",
                "config": images.descriptor(container, config),
                "layers": [images.descriptor(f"application/vnd.docker.image.{diff}.gzip", layer)],
            }
            kind = f"{DOCKER}.manifest.v2+json"
            registry.add_manifest("x", arch, json.dumps(document).encode(), kind)
            store("image", "copy", "--platform", arch, f"docker://{registry.host}/x:{arch}",
                  f"docker://{host}/docker/{arch}:1")  # fmt: skip
    return [f"{host}/docker/{arch}:1" for arch in ARCHES]


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_docker_makes_the_same_list(store: Knarr, host: str, tmp_path: Path, form: str) -> None:
    """The same words give the same bytes, and so the same digest."""
    add_docker_images(store, host)
    name, parts = f"{host}/app:1", [f"{host}/{form}/{arch}:1" for arch in ARCHES]

    def beside(*words: str) -> str:
        return docker(tmp_path, *words)

    def here(*words: str) -> str:
        return store("manifest", *words)

    said: list[Any] = []
    for run in (beside, here):
        words = [
            run("create", "--insecure", name, *parts),
            run("annotate", name, parts[1], "--variant", "v8", *FEATURES),
            run("inspect", name).rstrip("\n"),
            json.loads(run("inspect", "-v", name)),
            json.loads(run("inspect", name, parts[0])),
            run("push", "--insecure", "--purge", name),
        ]
        said.append(words)
    assert said[0] == said[1]
