"""Records are found by what they are asked for, and hold each other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from knarr.errors import Conflict, NotFound
from knarr.oci import layout
from knarr.oci.descriptor import OCI_LAYER_GZIP, OCI_MANIFEST, Platform
from knarr.oci.digest import Digest, digest_of
from knarr.oci.document import FrozenDict
from knarr.oci.reference import parse_reference
from knarr.store.blobs import Blobs
from knarr.store.buildcache import CacheRecords, CacheRow
from knarr.store.containers import ContainerRecords, ContainerRow
from knarr.store.database import Database
from knarr.store.images import ImageRecords, ImageRow
from knarr.store.index import write_index
from knarr.store.layers import LayerBlob, LayerRecords, LayerRow
from knarr.store.networks import EndpointRow, NetworkRecords, NetworkRow
from knarr.store.tags import TagRecords
from knarr.store.volumes import VolumeRecords, VolumeRow

A, B, C = (digest_of(name) for name in (b"a", b"b", b"c"))
LINUX = Platform("linux", "amd64")


def layer(chain: Digest, parent: Digest | None = None) -> LayerRow:
    return LayerRow(chain, chain, parent, 10, 20, 30)


def image(digest: Digest, created_ns: int = 1, **more: object) -> ImageRow:
    row = ImageRow(digest, None, OCI_MANIFEST, created_ns, 2, 3, LINUX, used_ns=2)
    return row.replace(**more)


def test_an_image_is_used_when_a_container_is_made_of_it(database: Database) -> None:
    images = ImageRecords(database)
    images.add(image(A), [])
    row = ContainerRow("1" * 64, "one", A, None, 70, "{}", "{}")
    ContainerRecords(database).add(row)
    assert images.get(A).used_ns == 70
    images.touch(A, 80)
    assert images.get(A).used_ns == 80


def test_images_are_found(database: Database) -> None:
    LayerRecords(database).add(layer(A))
    LayerRecords(database).add(layer(B, A))
    images = ImageRecords(database)
    images.add(image(A, 1, labels=FrozenDict({"a": "b"})), [A, B], [C])
    images.add(image(B, 2, parent=A, manifest=C), [A])
    assert images.get(A).labels == {"a": "b"}
    assert images.stack(A) == (A, B)
    assert images.blobs(A) == [C]
    assert [row.id for row in images.all()] == [B, A]
    assert [row.id for row in images.children(A)] == [B]
    for prefix in (A.hex[:6], A[:15], A.hex, A):
        assert [row.id for row in images.matching(prefix)] == [A]
    assert images.matching("") == images.matching("sha256:") == images.matching("xyz") == []
    assert images.used_chains() == {A, B}
    assert images.used_blobs() == {C}
    with pytest.raises(NotFound, match=f"no such image: {C}"):
        images.get(C)


def test_an_image_is_recorded_once(database: Database) -> None:
    LayerRecords(database).add(layer(A))
    images = ImageRecords(database)
    images.add(image(A, 1), [A])
    images.add(image(A, 9, manifest=B), [A], [B])
    assert images.get(A) == image(A, 1, manifest=B)
    images.add(image(A, 9, manifest=C), [A], [C])
    assert images.get(A).manifest == B
    assert images.blobs(A) == [B]


def test_an_image_needs_its_layers(database: Database) -> None:
    images = ImageRecords(database)
    with pytest.raises(Conflict):
        images.add(image(A), [A])
    assert images.all() == []


def test_removing_an_image_takes_its_tags_and_orphans_its_children(database: Database) -> None:
    images, tags = ImageRecords(database), TagRecords(database)
    images.add(image(A), [], [C])
    images.add(image(B, parent=A), [])
    tags.set(parse_reference("x:1"), A, 1)
    images.remove(A)
    assert [row.id for row in images.all()] == [B]
    assert images.get(B).parent is None
    assert tags.all() == []
    assert images.used_blobs() == frozenset()


def test_layers_hold_what_is_below(database: Database) -> None:
    layers = LayerRecords(database)
    layers.add(layer(A))
    layers.add(layer(B, A))
    layers.add(layer(B, A))
    layers.add_blob(LayerBlob(A, C, OCI_LAYER_GZIP, 5))
    assert layers.stack(B) == (A, B)
    assert layers.stack(None) == ()
    assert len(layers.all()) == 2
    with pytest.raises(Conflict):
        layers.remove([A])
    with pytest.raises(Conflict):
        layers.add(layer(C, C.replace("1", "2")))  # type: ignore[arg-type]
    assert [blob.digest for blob in layers.blobs(A)] == [C]
    layers.remove([B, A])
    assert layers.all() == []
    assert layers.blobs(A) == []
    assert layers.find(A) is None
    with pytest.raises(NotFound, match="no such layer"):
        layers.stack(A)


@pytest.mark.parametrize("holder", ["image", "container", "build"])
def test_layers_are_held(database: Database, holder: str) -> None:
    layers = LayerRecords(database)
    layers.add(layer(A))
    match holder:
        case "image":
            ImageRecords(database).add(image(B), [A])
        case "container":
            ContainerRecords(database).add(ContainerRow("1", "n", B, A, 1))
            assert ContainerRecords(database).used_chains() == {A}
        case _:
            CacheRecords(database).add(CacheRow("k", A, 1, 1, 1))
            assert CacheRecords(database).used_chains() == {A}
    with pytest.raises(Conflict):
        layers.remove([A])


def test_a_container_outlives_its_image(database: Database) -> None:
    images, containers = ImageRecords(database), ContainerRecords(database)
    images.add(image(A), [])
    containers.add(ContainerRow("1", "n", A, None, 1))
    images.remove(A)
    assert [row.id for row in containers.of_image(A)] == ["1"]


def test_containers_are_found_with_dockers_precedence(database: Database) -> None:
    containers = ContainerRecords(database)
    rows = {
        name: ContainerRow(container_id, name, None, None, created_ns)
        for container_id, name, created_ns in (("abc1", "web", 1), ("abd1", "abc", 2),
                                               ("bb", "abd1", 3))
    }  # fmt: skip
    for row in rows.values():
        containers.add(row)
    assert containers.matching("abd1") == [rows["abc"]]  # an ID before a name
    assert containers.matching("abc") == [rows["abc"]]  # a name before the start of an ID
    assert containers.matching("abc1") == [rows["web"]]
    assert containers.matching("ab") == [rows["abc"], rows["web"]]
    assert containers.matching("") == containers.matching("zz") == containers.matching("%") == []
    assert [row.name for row in containers.all()] == ["abd1", "abc", "web"]


def test_names_of_containers_are_taken_once(database: Database) -> None:
    containers = ContainerRecords(database)
    containers.add(ContainerRow("1", "a", None, None, 1))
    with pytest.raises(Conflict):
        containers.add(ContainerRow("2", "a", None, None, 1))
    containers.add(ContainerRow("2", "b", None, None, 1))
    with pytest.raises(Conflict):
        containers.update(containers.get("2").replace(name="a"))
    containers.update(containers.get("2").replace(name="c", options='{"x":1}'))
    assert containers.get("2").options == '{"x":1}'
    with pytest.raises(NotFound):
        containers.update(ContainerRow("3", "z", None, None, 1))
    assert containers.remove("2")
    assert not containers.remove("2")


def test_addresses_are_handed_out_once(database: Database) -> None:
    networks = NetworkRecords(database)
    networks.add(NetworkRow("aa1", "net", 1))
    networks.add(NetworkRow("aa2", "other", 1))
    networks.add_endpoint(EndpointRow("aa1", "c1", "10.0.0.2"))
    with pytest.raises(Conflict):
        networks.add_endpoint(EndpointRow("aa1", "c2", "10.0.0.2"))
    networks.add_endpoint(EndpointRow("aa2", "c1", "10.0.0.2"))
    networks.add_endpoint(EndpointRow("aa1", "c3", "10.0.0.3", '{"a":1}'))
    networks.add_endpoint(EndpointRow("aa1", "c4", None))
    assert networks.addresses("aa1") == {"10.0.0.2", "10.0.0.3"}
    assert [e.network for e in networks.endpoints_of("c1")] == ["aa1", "aa2"]
    assert [e.container for e in networks.endpoints("aa1")] == ["c1", "c3", "c4"]
    assert networks.find_endpoint("aa1", "c3") == EndpointRow("aa1", "c3", "10.0.0.3", '{"a":1}')
    with pytest.raises(Conflict):
        networks.remove("aa1")
    assert networks.remove_endpoint("aa2", "c1")
    assert not networks.remove_endpoint("aa2", "c1")
    assert networks.remove("aa2")
    assert [row.name for row in networks.matching("aa")] == ["net"]
    assert [row.id for row in networks.matching("net")] == ["aa1"]
    networks.update(networks.all()[0].replace(name="new"))
    assert [row.name for row in networks.all()] == ["new"]


def test_volumes_know_their_users(database: Database) -> None:
    volumes, containers = VolumeRecords(database), ContainerRecords(database)
    assert volumes.add(VolumeRow("data", anonymous=False, created_ns=1))
    assert not volumes.add(VolumeRow("data", anonymous=True, created_ns=2))
    assert volumes.get("data") == VolumeRow("data", anonymous=False, created_ns=1)
    containers.add(ContainerRow("1", "a", None, None, 1))
    volumes.use("1", ["data"])
    assert volumes.users("data") == ["1"]
    assert [row.name for row in volumes.used_by("1")] == ["data"]
    with pytest.raises(Conflict):
        volumes.remove("data")
    containers.remove("1")
    assert volumes.users("data") == []
    assert volumes.remove("data")
    with pytest.raises(NotFound, match="no such volume: data"):
        volumes.get("data")


def test_the_first_result_of_a_build_counts(database: Database) -> None:
    builds = CacheRecords(database)
    first = CacheRow("k", None, 1, 1, 1, 0, '{"n":1}')
    assert builds.add(first) == first
    assert builds.add(first.replace(detail="{}")) == first
    builds.touch(["k"], 9)
    assert builds.find("k") == first.replace(used_ns=9, uses=1)
    assert builds.all() == [first.replace(used_ns=9, uses=1)]
    builds.remove(["k"])
    assert builds.find("k") is None


def test_tags_move(database: Database) -> None:
    images, tags = ImageRecords(database), TagRecords(database)
    images.add(image(A), [])
    images.add(image(B), [])
    one, other = parse_reference("a:1"), parse_reference(f"a@{C}")
    assert tags.set(one, A, 1) is None
    assert tags.set(other, A, 1) is None
    assert tags.set(one, A, 2) is None
    assert tags.set(one, B, 3) == A
    found = tags.find(one)
    assert found
    assert (found.reference, found.image, found.updated_ns) == (one, B, 3)
    assert [row.reference for row in tags.of(A)] == [other]
    assert [row.reference for row in tags.all()] == [one, other]
    assert tags.remove(one)
    assert not tags.remove(one)
    with pytest.raises(Conflict):
        tags.set(one, C, 1)


def listed(images_dir: str) -> dict[str, str]:
    index = layout.parse_index(Path(images_dir, "index.json").read_bytes())
    return {m.annotations.get("org.opencontainers.image.ref.name", ""): m.digest
            for m in index.manifests}  # fmt: skip


def test_the_index_lists_what_is_complete(database: Database, blobs: Blobs) -> None:
    images, tags = ImageRecords(database), TagRecords(database)
    manifest, config = blobs.put(b"manifest"), blobs.put(b"config")
    images.add(image(A, manifest=manifest), [], [manifest, config])
    images.add(image(B, manifest=C), [], [C])
    tags.set(parse_reference("a:1"), A, 1)
    tags.set(parse_reference(f"a@{C}"), A, 1)
    tags.set(parse_reference("b:1"), B, 1)
    write_index(database, blobs)
    assert json.loads(Path(blobs.images_dir, "oci-layout").read_bytes()) == {
        "imageLayoutVersion": "1.0.0"
    }
    assert listed(blobs.images_dir) == {"docker.io/library/a:1": manifest}
    tags.remove(parse_reference("a:1"))
    write_index(database, blobs)
    assert listed(blobs.images_dir) == {"": manifest}
    blobs.delete(config)
    write_index(database, blobs)
    assert listed(blobs.images_dir) == {}
    assert "index.json" in os.listdir(blobs.images_dir)
