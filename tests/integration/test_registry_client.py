"""The client and a registry that behaves: everything that can be asked, and how."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from knarr.errors import Corrupt, InvalidArgument, NotFound
from knarr.oci.descriptor import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from knarr.oci.digest import Digest, digest_of
from support.mischief import say
from support.talking import Talk, download, layer, noise, opener
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from support.testregistry import Handler

RAW = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "x/config", "digest": digest_of(b"{}"), "size": 2},
        "layers": [],
    }
).encode()
NONE = Digest("sha256:" + "0" * 64)


def about(subject: Digest, kind: str) -> bytes:
    """Return a manifest that refers to another."""
    document = json.loads(RAW)
    document["subject"] = {"mediaType": OCI_MANIFEST, "digest": subject, "size": len(RAW)}
    document["artifactType"] = kind
    return json.dumps(document).encode()


def test_a_manifest_by_tag_and_by_digest(registry: TestRegistry) -> None:
    digest = registry.add_manifest("a/b", "v1", RAW, OCI_MANIFEST)
    repository = Talk()(f"{registry.host}/a/b")
    for wanted in ("v1", digest):
        fetched = repository.manifest(wanted)
        assert (fetched.raw, fetched.media_type, fetched.digest) == (RAW, OCI_MANIFEST, digest)
        head = repository.head(wanted)
        assert head is not None
        assert (head.digest, head.size, head.media_type) == (digest, len(RAW), OCI_MANIFEST)
    accepted = registry.seen("GET", "/manifests/v1")[0].headers["Accept"].split(", ")
    assert {OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST} <= set(accepted)
    assert not [kind for kind in accepted if "v1+prettyjws" in kind]


def test_a_manifest_that_is_not_there(registry: TestRegistry) -> None:
    registry.add_manifest("a/b", "v1", RAW, OCI_MANIFEST)
    repository = Talk()(f"{registry.host}/a/b")
    assert repository.head("v2") is None
    with pytest.raises(NotFound, match=r"^manifest for .*/a/b:v2 not found: manifest unknown"):
        repository.manifest("v2")
    with pytest.raises(NotFound, match=r"^repository .*/no/such not found: name unknown"):
        Talk()(f"{registry.host}/no/such").manifest("v1")


def test_head_without_a_digest_reads_the_manifest(registry: TestRegistry) -> None:
    digest = registry.add_manifest("a/b", "v1", RAW, OCI_MANIFEST)
    registry.says_digest = False
    head = Talk()(f"{registry.host}/a/b").head("v1")
    assert head is not None
    assert (head.digest, head.size) == (digest, len(RAW))


def test_a_blob_from_any_offset(registry: TestRegistry) -> None:
    data = noise(300_000)
    registry.add_blob("a/b", data)
    repository = Talk()(f"{registry.host}/a/b")
    for ranges in (True, False):
        registry.ranges = ranges
        for offset in (0, 1, 123_456, len(data) - 1, len(data)):
            with repository.blob(layer(data), offset) as reader:
                assert reader.read() == data[offset:]
                assert reader.read(10) == b""


def test_an_empty_blob(registry: TestRegistry) -> None:
    registry.add_blob("a/b", b"")
    assert download(Talk()(f"{registry.host}/a/b"), layer(b"")) == b""


def test_a_blob_that_is_not_there(registry: TestRegistry) -> None:
    with pytest.raises(NotFound, match=r"^blob sha256:\w+ of .*/a/b not found: blob unknown"):
        Talk()(f"{registry.host}/a/b").blob(layer(b"nothing"))


def test_connections_are_used_again(registry: TestRegistry) -> None:
    data = noise(10_000)
    registry.add_blob("a/b", data)
    repository = Talk()(f"{registry.host}/a/b")
    ports = set()

    def note(handler: Handler) -> bool:
        ports.add(handler.client_address)
        return False

    for _ in range(5):
        registry.on("GET", "/blobs/", note)
        download(repository, layer(data))
        assert repository.has_blob(layer(data).digest)
        assert not repository.has_blob(NONE)
    assert len(ports) == 1


def test_pushing_an_image(registry: TestRegistry) -> None:
    data, told = noise(1_000_000), list[int]()
    repository = Talk()(f"{registry.host}/a/b")
    assert not repository.has_blob(layer(data).digest)
    repository.upload_blob(layer(data), opener(data), told.append)
    repository.upload_blob(layer(b""), opener(b""))
    assert registry.blobs == {("a/b", d): b for b in (data, b"") if (d := digest_of(b))}
    assert told[-1] == len(data)
    assert told == sorted(told)
    assert repository.put_manifest("v1", RAW, OCI_MANIFEST) == digest_of(RAW)
    assert repository.put_manifest(digest_of(RAW), RAW, OCI_MANIFEST) == digest_of(RAW)
    assert registry.manifests["a/b", "v1"] == (RAW, OCI_MANIFEST)
    # All of it in one request, after one that asks where.
    assert [s.method for s in registry.requests if "/uploads/" in s.path][:2] == ["POST", "PUT"]
    with pytest.raises(InvalidArgument, match="is not the digest"):
        repository.put_manifest(NONE, RAW, OCI_MANIFEST)


@pytest.mark.parametrize(
    "form",
    [
        "{upload}",  # relative to …/uploads/
        "/v2/{name}/blobs/uploads/{upload}?_state=x%2Fy",
        "{url}/v2/{name}/blobs/uploads/{upload}?a=1&b=2",
    ],
)
def test_where_an_upload_goes_on(registry: TestRegistry, form: str) -> None:
    registry.location_form = form
    data = noise(5000)
    Talk()(f"{registry.host}/a/b").upload_blob(layer(data), opener(data))
    assert registry.blobs["a/b", digest_of(data)] == data
    if "?" in form:
        assert registry.seen("PUT", "/uploads/")[0].path.count("?") == 1


def test_mounting_from_another_repository(registry: TestRegistry) -> None:
    data = noise(5000)
    digest = registry.add_blob("base/image", data)
    repository = Talk()(f"{registry.host}/a/b")
    assert repository.mount_blob(digest, "base/image")
    assert registry.blobs["a/b", digest] == data
    assert not repository.mount_blob(NONE, "base/image")


def test_a_refused_mount_is_gone_on_with_as_an_upload(registry: TestRegistry) -> None:
    registry.mounts = False
    data = noise(5000)
    digest = registry.add_blob("base/image", data)
    repository = Talk()(f"{registry.host}/a/b")
    assert not repository.mount_blob(digest, "base/image")
    repository.upload_blob(layer(data), opener(data))
    assert registry.blobs["a/b", digest] == data
    assert len(registry.seen("POST", "/uploads/")) == 1


def test_deleting(registry: TestRegistry) -> None:
    digest = registry.add_manifest("a/b", "v1", RAW, OCI_MANIFEST)
    repository = Talk()(f"{registry.host}/a/b")
    repository.delete_manifest(digest)
    assert repository.head(digest) is None
    with pytest.raises(NotFound):
        repository.delete_manifest(digest)


def test_tags_come_in_pages(registry: TestRegistry) -> None:
    registry.page = 3
    names = sorted(f"v{n}" for n in range(10))
    for name in names:
        registry.add_manifest("a/b", name, RAW, OCI_MANIFEST)
    repository = Talk()(f"{registry.host}/a/b")
    assert list(repository.tags()) == names
    assert list(repository.tags("v7")) == ["v8", "v9"]
    assert len(registry.seen("GET", "/tags/list")) == 5


def test_tags_that_lead_in_a_circle_or_away(registry: TestRegistry) -> None:
    repository = Talk()(f"{registry.host}/a/b")
    body, again = b'{"tags": ["v1"]}', '</v2/a/b/tags/list?n=2>; rel="next"'
    registry.on("GET", "/tags/", say(body, Link=again), times=9)
    with pytest.raises(Corrupt, match="in a circle"):
        list(repository.tags())
    registry.on("GET", "/tags/", say(body, Link='<http://elsewhere.test/x>; rel="next"'), times=9)
    with pytest.raises(Corrupt):
        list(repository.tags())


@pytest.mark.parametrize("knows", [True, False])
def test_referrers(registry: TestRegistry, *, knows: bool) -> None:
    registry.referrers = knows
    repository = Talk()(f"{registry.host}/a/b")
    subject = repository.put_manifest("v1", RAW, OCI_MANIFEST)
    assert repository.referrers(subject) == ()
    kinds = ("x/signature", "x/sbom")
    digests = [
        repository.put_manifest(digest_of(raw), raw, OCI_MANIFEST)
        for raw in (about(subject, kind) for kind in kinds)
    ]
    assert {d.digest for d in repository.referrers(subject)} == set(digests)
    (signature,) = repository.referrers(subject, "x/signature")
    assert (signature.digest, signature.artifact_type) == (digests[0], "x/signature")
    tag = ("a/b", str(subject).replace(":", "-"))
    assert (tag in registry.manifests) == (not knows)
