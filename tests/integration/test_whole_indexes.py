"""Indexes with all their images: pulled, kept, pushed and copied; indexes in indexes."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from support import images
from support.dockerregistry import docker_registry
from support.offers import MANIFEST, offer, offer_index
from support.testregistry import INDEX, TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

EVERY = "--all-platforms"


def add_index(
    registry: TestRegistry, name: str, tag: str, entries: list[dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """Put an index there; return its digest, and what another one says of it."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return registry.add_manifest(name, tag, raw, INDEX), images.descriptor(INDEX, raw)


def with_attestation(registry: TestRegistry, name: str, tag: str) -> str:
    """Put the index of two images there, with an attestation as BuildKit adds it."""
    offer_index(registry, name, "inner")
    entries = json.loads(registry.manifests[name, "inner"][0])["manifests"]
    statement = b'{"predicate": {}}'
    config = images.config_of([])
    registry.add_blob(name, statement)
    registry.add_blob(name, config)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": images.descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [images.descriptor("application/vnd.in-toto+json", statement)],
    }
    raw = json.dumps(document).encode()
    registry.add_manifest(name, "-", raw, MANIFEST)
    listed = {
        **images.descriptor(MANIFEST, raw),
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    return add_index(registry, name, tag, [*entries, listed])[0]


def test_all_platforms_are_pulled_and_pushed_as_they_came(
    store: Knarr, registry: TestRegistry, tmp_path: Path
) -> None:
    index, ids = offer_index(registry, "m", "1")
    name = f"{registry.host}/m:1"
    said = store("pull", EVERY, name)
    assert f"Digest: {index}\n" in said
    assert set(store("images", "-aq", "--no-trunc").split()) == set(ids.values())
    (named,) = json.loads(store("image", "inspect", name))
    assert named["Id"] == ids["amd64"]
    with docker_registry(tmp_path / "registry") as host:
        store("tag", name, f"{host}/other:1")
        said = store("push", EVERY, f"{host}/other:1")
        assert f"1: digest: {index} " in said
        shown = store("manifest", "inspect", f"{host}/other:1")
        assert json.loads(shown) == json.loads(registry.manifests["m", "1"][0])
        assert index in store("images", "--digests", f"{host}/other")


def test_what_is_not_here_is_had_from_where_it_came(store: Knarr, registry: TestRegistry) -> None:
    """Attestations, and images for platforms that nobody pulled."""
    index = with_attestation(registry, "m", "1")
    name = f"{registry.host}/m:1"
    store("pull", "-q", name)
    with TestRegistry() as other:
        store("tag", name, f"{other.host}/copy:1")
        assert f"1: digest: {index} " in store("push", EVERY, f"{other.host}/copy:1")
        assert other.manifests["copy", "1"] == registry.manifests["m", "1"]
        for entry in json.loads(other.manifests["copy", "1"][0])["manifests"]:
            manifest = json.loads(other.manifests["copy", entry["digest"]][0])
            for blob in (manifest["config"], *manifest["layers"]):
                assert other.blobs["copy", blob["digest"]] == registry.blobs["m", blob["digest"]]


def test_what_is_not_to_be_had_is_left_out_and_said(
    store: Knarr, second: Knarr, settings: Callable[[str], Path]
) -> None:
    settings('[images]\nkeep_blobs = "always"\n')
    with TestRegistry() as origin:
        index = with_attestation(origin, "m", "1")
        name = f"{origin.host}/m:1"
        store("pull", "-q", EVERY, name)
    with TestRegistry() as registry:
        other = f"{registry.host}/other:1"
        store("tag", name, other)
        done = store.do("push", "-q", EVERY, other)
        assert done.returncode == 0
        assert "left out of the index" in done.stderr
        raw = registry.manifests["other", "1"][0]
        platforms = [entry["platform"]["architecture"] for entry in json.loads(raw)["manifests"]]
        assert platforms == ["amd64", "arm64"]
        assert images.sha(raw) != index
        registry.manifests.clear()
        store("rmi", "--platform", "arm64", name)
        done = store.do("push", "-q", EVERY, other)
        assert "linux/arm64" in done.stderr
        assert len(json.loads(registry.manifests["other", "1"][0])["manifests"]) == 1
        second("pull", "-q", other)


def test_what_came_alone_goes_alone(store: Knarr, registry: TestRegistry) -> None:
    store("load", stdin=images.docker_archive([images.layer_tar({"f": b"x"})], "alone:1"))
    store("tag", "alone:1", f"{registry.host}/alone:1")
    store("push", "-q", EVERY, f"{registry.host}/alone:1")
    assert "layers" in json.loads(registry.manifests["alone", "1"][0])


@pytest.mark.parametrize("form", ["oci-archive", "oci-dir"])
def test_all_platforms_are_saved_and_loaded(
    store: Knarr,
    second: Knarr,
    registry: TestRegistry,
    tmp_path: Path,
    form: str,
    settings: Callable[[str], Path],
) -> None:
    settings('[images]\nkeep_blobs = "always"\n')
    index, ids = offer_index(registry, "m", "1")
    name, path = f"{registry.host}/m:1", str(tmp_path / "saved")
    store("pull", "-q", EVERY, name)
    store("save", EVERY, "--format", form, "-o", path, name)
    loaded = second("load", EVERY, "-i", path).splitlines()
    assert f"Loaded image: {name}" in loaded
    assert set(second("images", "-aq", "--no-trunc").split()) == set(ids.values())
    (arm,) = json.loads(second("image", "inspect", "--platform", "arm64", name))
    assert arm["Id"] == ids["arm64"]
    (named,) = json.loads(second("image", "inspect", name))
    assert named["RepoDigests"] == [f"{registry.host}/m@{index}"]
    assert "not an index" in store.fails("save", EVERY, "-o", f"{path}2", name)
    for words in (("save", "-o", path, name), ("push", name), ("load", "-i", path)):
        said = store.fails(words[0], EVERY, "--platform", "amd64", *words[1:])
        assert "cannot specify both --all-platforms and --platform" in said


def test_an_index_goes_around_all_places_that_take_one(
    store: Knarr, second: Knarr, registry: TestRegistry, tmp_path: Path
) -> None:
    index, ids = offer_index(registry, "m", "1")
    places = [
        f"docker://{registry.host}/m:1",
        "kept:1",
        f"dir:{tmp_path}/flat",
        f"oci:{tmp_path}/layout:x",
        f"oci-archive:{tmp_path}/x.tar:x",
        f"docker://{registry.host}/back:1",
    ]
    for source, target in itertools.pairwise(places):
        copied = store("image", "copy", "--all", source, target)
        if target != "kept:1":
            assert copied == f"Digest: {index}\n", target
    assert registry.manifests["back", "1"] == registry.manifests["m", "1"]
    assert set(store("images", "-aq", "--no-trunc").split()) == set(ids.values())
    second("image", "copy", f"dir:{tmp_path}/flat", "--platform", "arm64", "kept:1")
    assert second("images", "-aq", "--no-trunc").split() == [ids["arm64"]]
    said = store.fails("image", "copy", "--all", places[0], f"docker-archive:{tmp_path}/y.tar")
    assert "takes one image a name" in said


def test_indexes_in_an_index(store: Knarr, registry: TestRegistry) -> None:
    """The image for this machine, and each other one, is found however deep it lies."""
    _, ids = offer_index(registry, "m", "-")
    entries = json.loads(registry.manifests["m", "-"][0])["manifests"]
    _, first = add_index(registry, "m", "-", entries[:1])
    _, second_index = add_index(registry, "m", "-", [entries[1]])
    outer, _ = add_index(registry, "m", "nested", [first, second_index])
    name = f"{registry.host}/m:nested"
    store("pull", "-q", EVERY, name)
    assert set(store("images", "-aq", "--no-trunc").split()) == set(ids.values())
    (named,) = json.loads(store("image", "inspect", name))
    assert named["Id"] == ids["amd64"]
    assert named["RepoDigests"] == [f"{registry.host}/m@{outer}"]
    store("tag", name, f"{registry.host}/copy:1")
    assert f"digest: {outer} " in store("push", EVERY, f"{registry.host}/copy:1")
    assert registry.manifests["copy", "1"] == registry.manifests["m", "nested"]
    assert ("copy", first["digest"]) in registry.manifests


def test_an_index_within_itself_ends(store: Knarr, registry: TestRegistry) -> None:
    """A registry that gives for every digest an index that lists the same digest once more."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    entry = images.descriptor(INDEX, raw)
    for _ in range(6):
        raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
        registry.add_manifest("m", "deep", raw, INDEX)
        entry = images.descriptor(INDEX, raw)
    name = f"{registry.host}/m:deep"
    for words in (("pull",), ("pull", EVERY), ("manifest", "create", "x:1")):
        said = store.fails(*words, name)
        assert "nested more than" in said or "is a manifest list" in said
    said = store.fails("image", "copy", "--all", f"docker://{name}", "dir:/nonexistent/x")
    assert said
    assert store("images", "-aq") == ""


def test_images_for_other_kernels_are_passed_over(store: Knarr, registry: TestRegistry) -> None:
    layer = images.layer_tar({"f": b"x"})
    entries = []
    for system in ("windows", "linux"):
        config = images.config_of([layer], os=system)
        listed = offer(registry, "m", "-", [layer], config=config)
        entries.append({**listed, "platform": {"os": system, "architecture": "amd64"}})
    add_index(registry, "m", "1", entries)
    store("pull", "-q", EVERY, f"{registry.host}/m:1")
    (named,) = json.loads(store("image", "inspect", f"{registry.host}/m:1"))
    assert named["Os"] == "linux"
    assert len(store("images", "-aq").split()) == 1
