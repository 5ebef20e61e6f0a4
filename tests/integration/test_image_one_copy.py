"""One copy on disk: a layer is a tree; its blob is beside it only where needed, or asked for."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.dockerregistry import docker_registry
from support.offers import offer
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

CHANCE = random.Random(5)
WORDS = [CHANCE.randbytes(4).hex().encode() for _ in range(500)]
BASE = images.layer_tar({f"f{n}": b" ".join(CHANCE.choices(WORDS, k=400)) for n in range(200)})
TOP = images.layer_tar({"top": b"y" * 3000})
SIZE = len(BASE) + len(TOP)
ALWAYS, NEVER = '[images]\nkeep_blobs = "always"\n', '[images]\nkeep_blobs = "never"\n'


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """Return the host of another registry."""
    with docker_registry(tmp_path / "registry") as found:
        yield found


def kept(store: Knarr) -> int:
    """Return how many blobs of layers there are, wherever they may hide."""
    directory = f"{store.root}/images"
    found = 0
    for place in ("blobs/sha256", "downloads", "incoming"):
        path = f"{directory}/{place}"
        names = os.listdir(path) if os.path.isdir(path) else []
        for name in names:
            with open(f"{path}/{name}", "rb") as file:
                found += file.read(1) != b"{"
    return found


def listed(store: Knarr) -> list[str]:
    """Return what the layout lists, after a look at whether everything is there that it names."""
    place = Path(store.root, "images")
    names = []
    for entry in json.loads((place / "index.json").read_text())["manifests"]:
        manifest = json.loads((place / "blobs/sha256" / entry["digest"][7:]).read_text())
        for blob in (manifest["config"], *manifest["layers"]):
            size = (place / "blobs/sha256" / blob["digest"][7:]).stat().st_size
            assert size == blob["size"]
        names.append(entry["annotations"]["org.opencontainers.image.ref.name"])
    return names


def disk(store: Knarr) -> int:
    """Return the bytes that the store takes, as du(1) counts them."""
    places = [f"{store.root}/{name}" for name in ("images", "layers")]
    done = subprocess.run(["du", "-cs", "-B1", *places], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def test_a_pulled_layer_is_a_tree_and_no_blob(store: Knarr, registry: TestRegistry) -> None:
    offer(registry, "a", "1", [BASE, TOP])
    store("pull", "-q", f"{registry.host}/a:1")
    assert kept(store) == 0
    assert listed(store) == []
    assert store("system", "check") == "Everything is as it should be.\n"


def test_settings_keep_the_blobs_of_what_is_pulled(
    store: Knarr, registry: TestRegistry, settings: Callable[[str], Path]
) -> None:
    settings(ALWAYS)
    offer(registry, "a", "1", [BASE, TOP])
    store("pull", "-q", f"{registry.host}/a:1")
    assert kept(store) == 2
    assert listed(store) == [f"{registry.host}/a:1"]


@pytest.mark.parametrize("compression", ["+gzip", "+zstd"])
def test_what_is_pulled_goes_to_another_registry_under_its_digest(
    store: Knarr, registry: TestRegistry, elsewhere: str, compression: str
) -> None:
    digest = offer(registry, "a", "1", [BASE, TOP], compression=compression)["digest"]
    store("pull", "-q", f"{registry.host}/a:1")
    store("tag", f"{registry.host}/a:1", f"{elsewhere}/b:1")
    assert f"digest: {digest} " in store("push", f"{elsewhere}/b:1")
    assert kept(store) == 0


def test_it_says_so_when_the_digest_cannot_be_kept(
    store: Knarr, second: Knarr, registry: TestRegistry, elsewhere: str
) -> None:
    digest = offer(registry, "a", "1", [BASE, TOP])["digest"]
    store("pull", "-q", f"{registry.host}/a:1")
    store("tag", f"{registry.host}/a:1", f"{elsewhere}/b:1")
    registry.blobs.clear()
    done = store.do("push", f"{elsewhere}/b:1")
    assert done.returncode == 0
    assert digest not in done.stdout
    assert f"{elsewhere}/b:1 has a new digest there: layers were compressed anew" in done.stderr
    second("pull", "-q", f"{elsewhere}/b:1")
    images_of = [each("images", "-q", "--no-trunc").split() for each in (store, second)]
    assert images_of[0][:1] == images_of[1]


def test_what_we_compressed_ourselves_is_made_again(
    store: Knarr, second: Knarr, elsewhere: str, tmp_path: Path
) -> None:
    store("load", stdin=images.docker_archive([BASE, TOP], f"{elsewhere}/a:1"))
    pushed = store("push", f"{elsewhere}/a:1").split()[-3]
    second("pull", "-q", f"{elsewhere}/a:1")
    assert kept(second) == 0
    archived = second.do("save", "--format", "oci-archive", "-o", f"{tmp_path}/x.tar",
                         f"{elsewhere}/a:1")  # fmt: skip
    assert archived.returncode == 0, archived.stderr
    with docker_registry(tmp_path / "third") as third:
        second("tag", f"{elsewhere}/a:1", f"{third}/a:1")
        assert f"digest: {pushed} " in second("push", f"{third}/a:1")
    names = subprocess.run(
        ["tar", "-tf", f"{tmp_path}/x.tar"], capture_output=True, text=True, check=True
    ).stdout
    assert f"blobs/sha256/{pushed[7:]}" in names, "saved under the same manifest"


def test_a_loaded_layer_of_zlib_is_made_again(store: Knarr, elsewhere: str) -> None:
    files = images.oci_files([BASE, TOP], "x:1")
    (entry,) = json.loads(files["index.json"])["manifests"]
    store("load", stdin=images.archive(files))
    assert kept(store) == 0
    store("tag", "x:1", f"{elsewhere}/x:1")
    assert f"digest: {entry['digest']} " in store("push", f"{elsewhere}/x:1")


def test_a_loaded_layer_of_another_compressor_is_kept_unless_settings_forbid(
    store: Knarr, second: Knarr, settings: Callable[[str], Path]
) -> None:
    archived = images.oci_archive([BASE, TOP], "x:1", compression="+zstd")
    store("load", stdin=archived)
    assert kept(store) == 2
    assert listed(store) == ["docker.io/library/x:1"]
    settings(NEVER)
    second("load", stdin=archived)
    assert kept(second) == 0
    assert listed(second) == []
    assert second.do("save", "x:1").returncode == 0


def test_identical_layers_are_shared_whatever_their_compression(
    store: Knarr, registry: TestRegistry
) -> None:
    offer(registry, "a", "1", [BASE])
    store("pull", "-q", f"{registry.host}/a:1")
    alone = disk(store)
    offer(registry, "z", "1", [BASE, TOP], compression="+zstd")
    store("pull", "-q", f"{registry.host}/z:1")
    config = images.config_of([BASE], author="somebody else")
    store("load", stdin=images.docker_archive([BASE], "plain:1", config=config))
    assert len(store("images", "-q").split()) == 3
    assert len(store.engine.layers.list()) == 2
    assert disk(store) - alone < 60_000, "three documents and one small layer"
