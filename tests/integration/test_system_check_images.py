"""`system check` of images: a flipped bit is found wherever it is, and mended where that can be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.engine import Knarr
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.root

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
FINE = "Everything is as it should be.\n"
TAR = images.layer_tar({"dir/file": b"content" * 1000, "other": b"x"})


def check(knarr: Knarr, *options: str, status: int = 1) -> list[dict[str, str]]:
    done = knarr.do("system", "check", "--format", "json", *options)
    assert done.returncode == status, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def flip(path: Path, *, at: int = 3) -> None:
    """Turn one bit of a file around."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    mode = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(mode.st_atime_ns, mode.st_mtime_ns))


def only_tree(knarr: Knarr) -> Path:
    (name,) = knarr.engine.layers.list()
    return Path(knarr.root) / "layers" / name


def load(knarr: Knarr) -> None:
    knarr("load", stdin=images.docker_archive([TAR], "made"))


def test_a_whole_store_is_fine(store: Knarr) -> None:
    load(store)
    assert store("system", "check") == FINE


@pytest.mark.parametrize("name", ["dir/file", "other"])
def test_a_flipped_bit_of_a_tree_is_found(store: Knarr, name: str) -> None:
    load(store)
    flip(only_tree(store) / name, at=0)
    (found,) = check(store)
    assert (found["Kind"], found["Problem"]) == ("layer", "its tree is not what its diff ID says")
    assert found["Repair"] == "load, import or build the image again"
    (left,) = check(store, "--repair")
    assert left["Repaired"] == "no", "nobody can know what it was"


def test_a_tree_that_lacks_a_file_is_found(store: Knarr) -> None:
    load(store)
    (only_tree(store) / "other").unlink()
    assert [found["Kind"] for found in check(store)] == ["layer"]


@pytest.mark.parametrize("origin", ["built", "loaded"])
@pytest.mark.parametrize("change", ["mode", "owner", "name"])
def test_a_changed_attribute_is_found(
    store: Knarr, tmp_path: Path, change: str, origin: str
) -> None:
    if origin == "built":
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /other\n")
        store.do("build", "-t", "made", str(tmp_path))
    else:
        load(store)
    path = only_tree(store) / "other"
    if change == "mode":
        path.chmod(0o600)
    elif change == "owner":
        os.chown(path, 7, 7)
    else:
        path.rename(path.with_name("another"))
    assert [found["Kind"] for found in check(store)] == ["layer"]


def test_every_blob_is_looked_at(store: Knarr) -> None:
    load(store)
    for digest in store.engine.blobs.list():
        path = Path(store.engine.blobs.path(digest))
        flip(path)
        assert ("blob", str(digest)) in {(one["Kind"], one["Object"]) for one in check(store)}
        flip(path)
    assert store("system", "check") == FINE


def pull(store: Knarr, registry: TestRegistry) -> str:
    files = images.oci_files([TAR])
    (listed,) = json.loads(files["index.json"])["manifests"]
    for path, data in files.items():
        if path.startswith("blobs/"):
            registry.add_blob("made", data)
    registry.add_manifest("made", "one", registry.blobs["made", listed["digest"]], MANIFEST)
    reference = f"{registry.host}/made:one"
    store("pull", "-q", reference)
    return reference


def test_a_tree_is_made_again_of_its_blob(
    store: Knarr, registry: TestRegistry, settings: Callable[[str], Path]
) -> None:
    settings('[images]\nkeep_blobs = "always"\n')
    pull(store, registry)
    flip(only_tree(store) / "other", at=0)
    (found,) = check(store)
    assert found["Repair"] == "unpack its blob again"
    assert {one["Repaired"] for one in check(store, "--repair", status=0)} == {"yes"}
    assert store("system", "check") == FINE
    assert (only_tree(store) / "other").read_bytes() == b"x"


def test_what_a_registry_has_is_pulled_again(store: Knarr, registry: TestRegistry) -> None:
    reference = pull(store, registry)
    flip(only_tree(store) / "other", at=0)
    repairs = {one["Kind"]: one["Repair"] for one in check(store)}
    assert repairs["layer"].startswith(f"pull {reference.rpartition(':')[0]}@sha256:")
    assert {one["Repaired"] for one in check(store, "--repair", status=0)} == {"yes"}
    assert store("system", "check") == FINE
    assert (only_tree(store) / "other").read_bytes() == b"x"


def test_a_damaged_config_is_pulled_again(store: Knarr, registry: TestRegistry) -> None:
    pull(store, registry)
    (image,) = store.engine.images.records.all()
    flip(Path(store.engine.blobs.path(image.id)))
    assert "blob" in {one["Kind"] for one in check(store)}
    assert {one["Repaired"] for one in check(store, "--repair", status=0)} == {"yes"}
    assert store("system", "check") == FINE
