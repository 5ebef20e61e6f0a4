"""Caches of builds that go elsewhere and come back: registries, directories, images."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from knarr.oci.digest import Digest
from support.dockerregistry import docker_registry
from support.workshop import STAGES, two_stages, with_another

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr
    from support.workshop import Workshop

pytestmark = pytest.mark.root

CONFIG = "application/vnd.buildkit.cacheconfig.v0"


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    return two_stages(knarr, tmp_path / "context")


@pytest.fixture
def elsewhere(second: Knarr, shop: Workshop) -> Workshop:
    return with_another(second, shop)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with docker_registry(tmp_path / "registry") as host:
        yield host


def layers_of(knarr: Knarr) -> int:
    return len(knarr.engine.database.rows("SELECT chain FROM layers"))


def blob(directory: Path, digest: str) -> bytes:
    return (directory / "blobs" / digest.replace(":", "/")).read_bytes()


def manifest_of(directory: Path) -> Any:
    index = json.loads((directory / "index.json").read_bytes())
    (listed,) = index["manifests"]
    return json.loads(blob(directory, listed["digest"]))


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("place", ["registry", "local", "inline"])
def test_a_fresh_engine_builds_from_what_was_given_away(
    shop: Workshop, elsewhere: Workshop, host: str, tmp_path: Path, place: str, mode: str
) -> None:
    name = f"{host}/made:1"
    if place == "inline" and mode == "max":
        pytest.skip("an image has its own layers only")
    to, source = {
        "registry": (f"type=registry,ref={host}/cache,mode={mode}", f"{host}/cache"),
        "local": (
            f"type=local,dest={tmp_path}/cache,mode={mode}",
            f"type=local,src={tmp_path}/cache",
        ),
        "inline": ("type=inline", f"type=registry,ref={name}"),
    }[place]
    first = shop.build("", "--cache-to", to, *(["--push"] if place == "inline" else []), tag=name)
    assert first.cached == ["FROM docker.io/library/busybox:latest"]
    built = elsewhere.build("", "--cache-from", source)
    assert [name for name in built.done if not name.startswith("importing")] == []
    assert "COPY --from=work /made /made" in built.cached
    if place != "inline":  # its config says the same of the cache
        assert elsewhere.image_id() == shop.image_id(name)
    assert elsewhere.read("cat /copy") == "SOME WORDS"
    again = elsewhere.build("")
    assert "RUN cat /made > /copy" in again.cached


def test_what_only_led_to_the_result_is_not_fetched(
    shop: Workshop, elsewhere: Workshop, tmp_path: Path
) -> None:
    shop.build("", "--cache-to", f"type=local,dest={tmp_path}/cache,mode=max")
    before = layers_of(elsewhere.knarr)
    elsewhere.build("", "--cache-from", f"type=local,src={tmp_path}/cache")
    assert layers_of(elsewhere.knarr) == before + 2


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_step_that_changed_works_on_what_comes_from_the_cache(
    shop: Workshop, elsewhere: Workshop, tmp_path: Path, mode: str
) -> None:
    shop.build("", "--cache-to", f"type=local,dest={tmp_path}/cache,mode={mode}")
    elsewhere.write("Dockerfile", STAGES.replace("/made /made", "/made /source /"))
    built = elsewhere.build("", "--cache-from", f"type=local,src={tmp_path}/cache")
    # With min the layers of the first stage were left out: they have to be made.
    made_again = "RUN tr a-z A-Z < /source > /made" in built.done
    assert made_again == (mode == "min")
    assert elsewhere.read("cat /made /source") == "SOME WORDSsome words"


def test_a_cache_is_given_on_without_its_layers_coming_here(
    shop: Workshop, elsewhere: Workshop, host: str
) -> None:
    cache = f"type=registry,ref={host}/cache"
    shop.build("", "--cache-to", f"{cache},mode=max")
    before = layers_of(elsewhere.knarr)
    elsewhere.build("", "--cache-from", cache, "--cache-to", f"{cache},mode=max")
    assert layers_of(elsewhere.knarr) == before + 2
    last = elsewhere.build("", "--no-cache", "--cache-from", f"{host}/cache")
    assert "RUN cat /made > /copy" in last.done


def test_the_cache_is_an_artifact_in_buildkits_form(shop: Workshop, tmp_path: Path) -> None:
    to = f"type=local,dest={tmp_path}/cache,mode=max,compression=zstd,force-compression=true"
    shop.build("", "--cache-to", f"{to},tag=here")
    manifest = manifest_of(tmp_path / "cache")
    assert manifest["config"]["mediaType"] == CONFIG
    assert all(layer["mediaType"].endswith("tar+zstd") for layer in manifest["layers"])
    config = json.loads(blob(tmp_path / "cache", manifest["config"]["digest"]))
    named = {layer["digest"] for layer in manifest["layers"]}
    assert {layer["blob"] for layer in config["layers"]} == named
    assert all(record["digest"].startswith("sha256:") for record in config["records"])
    assert len(config["records"]) == 4
    wrong = shop.build("", "--cache-from", f"type=local,src={tmp_path}/cache,tag=there")
    assert "nothing with the tag there" in wrong.output


def test_a_cache_says_nothing_of_build_arguments(shop: Workshop, tmp_path: Path) -> None:
    shop.write("Dockerfile", "FROM busybox\nARG WORD\nRUN echo $WORD > /dev/null")
    arguments = ("--build-arg", "WORD=verysecretword")
    shop.build("", *arguments, "--cache-to", f"type=local,dest={tmp_path}/cache,mode=max")
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
            assert b"verysecretword" not in data


def test_what_is_wrong_with_a_cache_is_told_and_the_build_goes_on(
    shop: Workshop, elsewhere: Workshop, host: str, tmp_path: Path
) -> None:
    built = elsewhere.build("", "--cache-from", f"{host}/nothing:here")
    assert "ERROR" in built.output
    assert "RUN cat /made > /copy" in built.done
    shop.build("", "--cache-to", f"type=local,dest={tmp_path}/cache,mode=max")
    manifest = manifest_of(tmp_path / "cache")
    config = tmp_path / "cache" / "blobs" / manifest["config"]["digest"].replace(":", "/")
    config.write_bytes(config.read_bytes().replace(b"records", b"recorde"))
    built = elsewhere.build("", "--cache-from", f"type=local,src={tmp_path}/cache")
    assert "is what was promised" in built.output


def test_a_blob_that_is_not_what_the_cache_names_goes_nowhere(
    shop: Workshop, elsewhere: Workshop, tmp_path: Path
) -> None:
    to = f"type=local,dest={tmp_path}/cache,compression=uncompressed,force-compression=true"
    shop.build("", "--cache-to", to)
    for layer in manifest_of(tmp_path / "cache")["layers"]:
        path = tmp_path / "cache" / "blobs" / layer["digest"].replace(":", "/")
        path.write_bytes(path.read_bytes().replace(b"SOME WORDS", b"EVIL WORDS"))
    built = elsewhere.try_build("--cache-from", f"type=local,src={tmp_path}/cache")
    assert built.status == 1
    assert "Traceback" not in built.output
    assert "digest" in built.output or "sha256" in built.output
    elsewhere.build("")
    assert elsewhere.read("cat /copy") == "SOME WORDS"


@pytest.mark.parametrize(("mounts", "found"), [("", "2"), (",mounts=all", "1 2")])
def test_caches_of_mounts_go_along(
    shop: Workshop, elsewhere: Workshop, tmp_path: Path, mounts: str, found: str
) -> None:
    step = "RUN --mount=type=cache,target=/c,id=words echo $N >> /c/f && cp /c/f /"
    shop.write("Dockerfile", f"FROM busybox\nARG N\n{step}")
    shop.build("", "--build-arg", "N=1", "--cache-to", f"type=local,dest={tmp_path}/cache{mounts}")
    source = f"type=local,src={tmp_path}/cache"
    elsewhere.build("", "--build-arg", "N=2", "--cache-from", source)
    assert " ".join(elsewhere.read("cat /f").split()) == found
    elsewhere.build("", "--build-arg", "N=3", "--cache-from", source)
    assert " ".join(elsewhere.read("cat /f").split()) == f"{found} 3", "it is never replaced"


def test_inline_is_in_the_config_and_by_a_build_argument_too(shop: Workshop) -> None:
    shop.build("", "--build-arg", "BUILDKIT_INLINE_CACHE=1")
    image_id = shop.image_id()
    blob = shop.knarr.engine.blobs.read(Digest(image_id))
    told = json.loads(base64.b64decode(json.loads(blob)["moby.buildkit.cache.v0"]))
    assert [one["layers"][0]["layer"] for one in told[:-1]] in ([1, 2], [2, 1]), (
        "as BuildKit has it"
    )
    shop.build("")
    assert shop.image_id() != image_id


def test_what_cannot_be_is_refused(shop: Workshop) -> None:
    def refused(*words: str) -> str:
        return shop.knarr.fails("build", *words, str(shop.directory))

    assert "unknown type of cache s3" in refused("--cache-to", "type=s3")
    assert "needs dest=" in refused("--cache-to", "type=local")
    assert "there is no src" in refused("--cache-to", "type=local,src=x")
    assert "invalid mode max" in refused("--cache-to", "type=inline,mode=max")
    assert "image-manifest=false" in refused("--cache-to", "type=local,dest=x,image-manifest=false")


def test_a_failed_export_fails_the_build_unless_it_may(shop: Workshop, tmp_path: Path) -> None:
    to = "type=registry,ref=127.0.0.1:1/cache"
    built = shop.try_build("--cache-to", to)
    assert built.status == 1
    assert "exporting cache" in built.output
    shop.build("", "--cache-to", f"{to},ignore-error=true")
