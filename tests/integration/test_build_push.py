"""Images of builds given to registries, and the documents around them; skopeo is the witness."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from support.dockerregistry import docker_registry
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed: no witness"),
]

MADE = "FROM busybox\nRUN echo made > /file\nCOPY note /note\nCMD cat /file"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("note", "of what was made")
    return shop


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with docker_registry(tmp_path / "registry") as host:
        yield host


def raw(place: str) -> Any:
    words = ["skopeo", "--insecure-policy", "inspect", "--raw", "--tls-verify=false", place]
    if not place.startswith("docker:"):
        words.remove("--tls-verify=false")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kinds(manifest: Any) -> list[str]:
    return [layer["mediaType"] for layer in manifest["layers"]]


def test_push_gives_the_image_to_its_registry_and_keeps_it(
    shop: Workshop, second: Knarr, host: str, tmp_path: Path
) -> None:
    name, path = f"{host}/made:1", tmp_path / "metadata.json"
    shop.build(MADE, "--push", "--metadata-file", str(path), tag=name)
    manifest = raw(f"docker://{name}")
    assert kinds(manifest) == [f"{LAYER}+gzip"] * 3
    assert shop.image_id(name) == manifest["config"]["digest"]
    about = json.loads(path.read_bytes())
    assert about["image.name"] == name
    assert about["containerimage.digest"] in shop.knarr("images", "--digests", f"{host}/made")
    second("pull", "-q", name)
    assert second("image", "inspect", "-f", "{{.Id}}", name).strip() == shop.image_id(name)


def test_a_second_push_sends_no_layer(shop: Workshop, host: str) -> None:
    name = f"{host}/made:1"
    shop.build(MADE, "--push", tag=name)
    first = raw(f"docker://{name}")
    shop.build("", "--push", tag=name)
    assert raw(f"docker://{name}") == first


def test_the_layers_of_a_base_stay_as_its_registry_has_them(
    shop: Workshop, second: Knarr, host: str, tmp_path: Path
) -> None:
    shop.build(MADE, "-o", f"type=registry,name={host}/base:1,compression=zstd")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "Dockerfile").write_text(f"FROM {host}/base:1\nCOPY Dockerfile /\n")
    second("build", "-q", "--push", "-t", f"{host}/made:1", str(tmp_path / "other"))
    layers = raw(f"docker://{host}/made:1")["layers"]
    assert layers[:3] == raw(f"docker://{host}/base:1")["layers"]
    assert layers[3]["mediaType"] == f"{LAYER}+gzip"


@pytest.mark.parametrize(
    ("compression", "ending"), [("zstd", "+zstd"), ("uncompressed", ""), ("gzip", "+gzip")]
)
def test_compression_of_what_is_pushed(
    shop: Workshop, second: Knarr, host: str, compression: str, ending: str
) -> None:
    name = f"{host}/made:1"
    shop.build(MADE, "-o", f"type=registry,name={name},compression={compression}")
    assert kinds(raw(f"docker://{name}")) == [f"{LAYER}{ending}"] * 3
    second("pull", "-q", name)
    assert second("run", "--rm", "--network", "none", name) == "made\n"


def test_force_compression_changes_what_is_known_in_another_form(shop: Workshop, host: str) -> None:
    shop.build(MADE, "--push", tag=f"{host}/made:gzip")
    output = f"type=registry,name={host}/made:%s,compression=zstd,compression-level=1"
    shop.build("", "-o", output % "kept")
    assert kinds(raw(f"docker://{host}/made:kept")) == [f"{LAYER}+gzip"] * 3
    shop.build("", "-o", (output % "forced") + ",force-compression=true")
    assert kinds(raw(f"docker://{host}/made:forced")) == [f"{LAYER}+zstd"] * 3


def test_push_by_digest_leaves_no_tag(shop: Workshop, host: str, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    output = f"type=image,name={host}/made,push-by-digest=true,push=true,store=false"
    shop.build(MADE, "-o", output, "--metadata-file", str(path), tag="unused")
    digest = json.loads(path.read_bytes())["containerimage.digest"]
    assert len(raw(f"docker://{host}/made@{digest}")["layers"]) == 3
    words = ["skopeo", "list-tags", "--tls-verify=false", f"docker://{host}/made"]
    listed = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert listed.returncode or json.loads(listed.stdout)["Tags"] == []
    assert shop.knarr("images", "-q", f"{host}/made") == "", "nobody asked for it to be here"


def test_dockers_media_types_and_annotations(shop: Workshop, host: str) -> None:
    name = f"{host}/made:1"
    told = "oci-mediatypes=false,annotation.a.b=c,annotation-manifest[linux/arm64].other=no"
    shop.build(MADE, "-o", f"type=registry,name={name},{told}")
    manifest = raw(f"docker://{name}")
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert kinds(manifest) == [f"{DOCKER_LAYER}.gzip"] * 3
    assert manifest["annotations"] == {"a.b": "c"}


def test_an_image_with_options_is_kept_as_it_was_asked_for(
    shop: Workshop, second: Knarr, host: str
) -> None:
    name = f"{host}/made:1"
    shop.build(MADE, "-o", f"type=image,name={name},compression=zstd,annotation.a=b")
    shop.knarr("push", "-q", name)
    manifest = raw(f"docker://{name}")
    assert kinds(manifest) == [f"{LAYER}+zstd"] * 3
    assert manifest["annotations"] == {"a": "b"}
    second("pull", "-q", name)


def test_annotations_of_what_a_layout_lists(shop: Workshop, tmp_path: Path) -> None:
    output = f'type=oci,tar=false,dest={tmp_path}/out,"annotation-manifest-descriptor.k=a,b"'
    shop.build(MADE, "-o", output, "-o", f"type=oci,dest={tmp_path}/out.tar,compression=gzip")
    (listed,) = json.loads((tmp_path / "out" / "index.json").read_bytes())["manifests"]
    assert listed["annotations"]["k"] == "a,b"
    assert kinds(raw(f"oci-archive:{tmp_path}/out.tar")) == [f"{LAYER}+gzip"] * 3


def test_what_cannot_be_is_refused(shop: Workshop, host: str) -> None:
    shop.write("Dockerfile", MADE)

    def refused(output: str) -> str:
        return shop.knarr.fails("build", "-o", output, str(shop.directory))

    assert "tag is needed when pushing" in refused("type=registry")
    assert "unsupported layer compression" in refused("type=registry,compression=estargz")
    assert "invalid compression-level 10" in refused(
        "type=oci,compression-level=10,compression=gzip"
    )
    assert "index annotations not supported" in refused(
        f"type=registry,name={host}/x,annotation-index.a=b"
    )
    assert "there is no compression" in refused("type=local,dest=x,compression=gzip")
    assert "unknown annotation type" in refused("type=image,annotation-layer.a=b")
    assert shop.knarr("images", "-q", "--filter", "dangling=true") == ""
