"""`image inspect` of what is in registries and archives: documents are read, nothing is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from knarr.cli.commands.image_inspect import ELSEWHERE
from knarr.engine.image import ends
from support import images
from support.offers import MANIFEST, offer_index
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root


def test_every_place_is_known() -> None:
    kinds = (ends.REGISTRY, ends.LAYOUT, ends.OCI_ARCHIVE, ends.DOCKER_ARCHIVE, ends.DAEMON)
    assert {f"{kind}:" for kind in (*kinds, ends.FLAT)} == set(ELSEWHERE)


def test_in_a_registry(store: Knarr, registry: TestRegistry) -> None:
    index, ids = offer_index(registry, "m", "1")
    name = f"docker://{registry.host}/m:1"
    (found,) = json.loads(store("image", "inspect", name))
    assert (found["Id"], found["Architecture"]) == (ids["amd64"], "amd64")
    assert found["RepoTags"] == [f"{registry.host}/m:1"]
    assert found["RepoDigests"] == [f"{registry.host}/m@{index}"]
    assert found["Config"]["Env"] == ["PATH=/bin"]
    assert found["Size"] > found["Layers"][0]["size"] > 0
    shown = store("image", "inspect", "--platform", "arm64", "-f", "{{.Id}} {{.Os}}", name)
    assert shown == f"{ids['arm64']} linux\n"
    assert not [one for one in registry.seen("GET", "/blobs/") if ids["amd64"] not in one.path
                and ids["arm64"] not in one.path]  # fmt: skip
    assert store("images", "-aq") == ""
    assert store.engine.blobs.list() == []
    store("pull", "-q", f"{registry.host}/m:1")
    (here,) = json.loads(store("image", "inspect", f"{registry.host}/m:1"))
    for key in ("Id", "RepoTags", "RepoDigests", "Created", "Config", "RootFS", "Os"):
        assert here[key] == found[key], key


def test_in_archives_and_layouts(store: Knarr, tmp_path: Path) -> None:
    layer = images.layer_tar({"f": b"x"})
    image_id = images.sha(images.config_of([layer]))
    path = tmp_path / "x.tar"
    path.write_bytes(images.oci_archive([layer], "x:1"))
    places = [f"oci-archive:{path}", f"oci:{tmp_path}/layout:x", f"dir:{tmp_path}/flat",
              f"docker-archive:{tmp_path}/d.tar:x:1"]  # fmt: skip
    for place in places[1:]:
        store("image", "copy", places[0], place)
    for place in places:
        assert store("image", "inspect", "-f", "{{.Id}}", place) == f"{image_id}\n"
    # What is here under such a name goes first.
    store("load", "-i", str(path))
    store("tag", "x:1", "oci:1")
    (found,) = json.loads(store("image", "inspect", "oci:1"))
    assert found["RepoTags"] == ["oci:1", "x:1"]


def test_what_is_not_there_or_no_image(store: Knarr, registry: TestRegistry) -> None:
    said = store.fails("image", "inspect", f"docker://{registry.host}/none:1")
    assert "not found" in said
    song = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/x.song",
        "config": images.descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [],
    }
    registry.add_manifest("m", "song", json.dumps(song).encode(), MANIFEST)
    said = store.fails("image", "inspect", f"docker://{registry.host}/m:song")
    assert "is an artifact, not an image" in said
    assert f"knarr manifest inspect {registry.host}/m:song" in said
    shown = json.loads(store("manifest", "inspect", f"{registry.host}/m:song"))
    assert shown["artifactType"] == "application/x.song"
