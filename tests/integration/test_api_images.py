"""Images over the API: what clients ask of those that are here, and of registries."""

from __future__ import annotations

import io
import json
import tarfile
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from knarr.engine.image.places.storesource import StoreSource
from knarr.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from support import images
from support.offers import offer, offer_index
from support.testregistry import PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root

LAYER = images.layer_tar({"file": b"x" * 3000})


def stream(
    served: Served, path: str, body: bytes | None = None, **headers: str
) -> list[dict[str, Any]]:
    """Post, and return the documents of the answer, whose status has to be 200."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response, data = served.request("POST", path, body, named)
    assert response.status == 200, data
    assert response.headers["Content-Type"] == "application/json"
    return [json.loads(line) for line in data.splitlines()]


def states(documents: list[dict[str, Any]]) -> list[str]:
    return [document["status"] for document in documents if "status" in document]


def test_lists_and_their_filters(served: Served) -> None:
    (image,) = served.get("/images/json")
    assert image["RepoTags"] == ["busybox:latest"]
    assert image["Id"].startswith("sha256:")
    assert (image["SharedSize"], image["Containers"]) == (-1, 0)
    served.knarr("create", "--name", "one", "busybox")
    (image,) = served.get("/images/json?shared-size=1&manifests=1")
    assert (image["SharedSize"], image["Containers"]) == (0, 1)
    (manifest,) = image["Manifests"]
    assert manifest["ImageData"]["Platform"]["os"] == "linux"
    assert manifest["ImageData"]["Containers"] == [served.knarr("ps", "-aq", "--no-trunc").strip()]
    for filters, count in (
        ({"reference": ["busy*"]}, 1),
        ({"reference": ["other"]}, 0),
        ({"dangling": ["true"]}, 0),
        ({"label": {"x": True}}, 0),
    ):
        found = served.get(f"/images/json?filters={quote(json.dumps(filters))}")
        assert len(found) == count, filters
    assert served.ask("GET", "/images/json?filters=%7B%22x%22%3A%5B%221%22%5D%7D")[0] == 400


def test_one_image_in_each_version_s_form(served: Served) -> None:
    newest = served.get("/images/busybox/json")
    assert newest["RepoTags"] == ["busybox:latest"]
    assert "Parent" not in newest
    assert "ContainerConfig" in served.get("/v1.41/images/busybox/json")
    assert served.get("/v1.43/images/busybox/json")["VirtualSize"] == newest["Size"]
    assert served.get(f"/images/{newest['Id'][7:19]}/json") == newest
    assert len(served.get("/images/busybox/json?manifests=1")["Manifests"]) == 1
    missing = {"message": "No such image: no/where:latest"}
    assert served.ask("GET", "/images/no/where/json") == (404, missing)
    status, error = served.ask("GET", "/images/busybox/json?platform=windows/amd64")
    assert status == 404
    assert "does not match the specified platform" in error["message"]
    assert served.ask("GET", "/images/busybox/json?platform=linux&manifests=1")[0] == 400


def test_names_come_and_go(served: Served) -> None:
    assert served.ask("POST", "/images/busybox/tag?repo=local/b&tag=1") == (201, None)
    assert served.ask("POST", "/images/busybox/tag?repo=UPPER")[0] == 400
    assert served.ask("POST", "/images/gone/tag?repo=x")[0] == 404
    status, gone = served.ask("DELETE", "/images/local/b:1")
    assert (status, gone) == (200, [{"Untagged": "local/b:1"}])
    served.knarr("create", "--name", "one", "busybox")
    status, error = served.ask("DELETE", "/images/busybox")
    assert status == 409
    assert "unable to remove repository reference" in error["message"]
    gone = served.ask("DELETE", "/images/busybox?force=1")[1]
    assert gone[0] == {"Untagged": "busybox:latest"}
    assert gone[1]["Deleted"].startswith("sha256:")


def test_what_nobody_needs_is_pruned(served: Served) -> None:
    served.knarr("tag", "busybox", "second")
    assert served.post("/images/prune") == {"ImagesDeleted": None, "SpaceReclaimed": 0}
    pruned = served.post("/images/prune?filters=%7B%22dangling%22%3A%7B%22false%22%3Atrue%7D%7D")
    assert {"Untagged": "second:latest"} in pruned["ImagesDeleted"]
    assert pruned["SpaceReclaimed"] > 1000
    assert served.get("/images/json") == []


def test_history(served: Served) -> None:
    (line,) = served.get("/images/busybox/history")
    assert line["Tags"] == ["busybox:latest"]
    assert line["Size"] > 1000


def test_archives_go_out_and_come_in(served: Served) -> None:
    served.knarr("tag", "busybox", "other:1")
    response, data = served.request("GET", "/images/get?names=busybox&names=other:1")
    assert response.headers["Content-Type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        (item,) = json.loads(member.read())
    assert sorted(item["RepoTags"]) == ["busybox:latest", "other:1"]
    served.knarr("rmi", "-f", "busybox", "other:1")
    documents = stream(served, "/images/load?quiet=0", data)
    assert {"stream": "Loaded image: busybox:latest\n"} in documents
    assert "Pull complete" in states(documents)
    response, alone = served.request("GET", "/images/busybox/get")
    assert response.status == 200
    assert len(alone) > 100_000
    assert served.ask("GET", "/images/gone/get")[0] == 404
    (error,) = stream(served, "/images/load", b"no archive")
    assert "errorDetail" in error


def test_a_root_file_system_becomes_an_image(served: Served) -> None:
    query = "fromSrc=-&repo=made&tag=1&message=why&changes=ENV%20A%3D1&changes=CMD%20sh"
    (line,) = stream(served, f"/images/create?{query}", LAYER)
    image = served.get("/v1.51/images/made:1/json")
    assert line == {"status": image["Id"]}
    assert image["Comment"] == "why"
    assert image["Config"]["Env"] == ["A=1"]
    assert served.ask("POST", "/images/create")[0] == 400


def test_pull_tells_how_it_goes(served: Served, registry: TestRegistry) -> None:
    digest = offer(registry, "a/b", "1", [LAYER])["digest"]
    name = f"{registry.host}/a/b"
    documents = stream(served, f"/images/create?fromImage={quote(name)}&tag=1")
    assert documents[0] == {"status": "Pulling from a/b", "id": "1"}
    said = states(documents)
    assert said[-2:] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {name}:1",
    ]
    assert "Pull complete" in said
    again = states(stream(served, f"/images/create?fromImage={quote(name)}:1"))
    assert again[-1] == f"Status: Image is up to date for {name}:1"
    by_digest = f"/images/create?fromImage={quote(name)}&tag={quote(str(digest))}"
    assert f"Digest: {digest}" in states(stream(served, by_digest))


def test_images_say_where_they_came_from(
    served: Served, registry: TestRegistry, tmp_path: Path
) -> None:
    offer(registry, "a/b", "1", [LAYER])
    name = f"{registry.host}/a/b"
    stream(served, f"/images/create?fromImage={quote(name)}&tag=1")
    pulled = {"Pull": [{"Repository": name}]}
    assert served.get(f"/images/{name}:1/json")["Identity"] == pulled
    assert "Identity" not in served.get(f"/v1.52/images/{name}:1/json")
    assert "Identity" not in served.get("/images/busybox/json")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN touch /made\n")
    assert served.knarr.do("build", "--tag", "made", str(tmp_path)).returncode == 0
    (built,) = served.get("/images/made/json")["Identity"]["Build"]
    history = served.knarr("builder", "history", "ls", "--format", "{{.ID}}").split()
    assert any(built["Ref"].startswith(identity) for identity in history)
    filters = quote(json.dumps({"reference": [f"{name}:1"]}))
    (listed,) = served.get(f"/images/json?manifests=1&identity=1&filters={filters}")
    assert listed["Manifests"][0]["ImageData"]["Identity"] == pulled
    assert served.ask("GET", "/images/json?identity=1")[0] == 400


def test_a_pull_that_cannot_be_has_a_status(served: Served, registry: TestRegistry) -> None:
    status, error = served.ask("POST", f"/images/create?fromImage={quote(registry.host)}/no&tag=1")
    assert status == 404
    assert "not found" in error["message"]
    assert served.ask("POST", "/images/create?fromImage=UPPER&tag=1")[0] == 400


def test_a_pull_without_a_tag_takes_them_all(served: Served, registry: TestRegistry) -> None:
    for tag in ("1", "2"):
        offer(registry, "a/b", tag, [LAYER])
    stream(served, f"/images/create?fromImage={quote(registry.host)}/a/b")
    filters = quote(json.dumps({"reference": [f"{registry.host}/a/b"]}))
    found = served.get(f"/images/json?filters={filters}")
    assert sorted(tag for image in found for tag in image["RepoTags"]) == [
        f"{registry.host}/a/b:1",
        f"{registry.host}/a/b:2",
    ]


def test_push_and_what_the_registry_has_then(served: Served, registry: TestRegistry) -> None:
    name = f"{registry.host}/mine/b"
    served.knarr("tag", "busybox", f"{name}:1")
    documents = stream(served, f"/images/{name}/push?tag=1")
    assert documents[0] == {"status": f"The push refers to repository [{name}]"}
    (aux,) = [document["aux"] for document in documents if "aux" in document]
    assert aux["Tag"] == "1"
    assert "Pushed" in states(documents)
    found = served.get(f"/distribution/{name}:1/json")
    assert found["Descriptor"]["digest"] == aux["Digest"]
    assert found["Descriptor"]["size"] == aux["Size"]
    assert found["Platforms"][0]["os"] == "linux"
    missing = f"{registry.host}/mine/never"
    (_, error) = stream(served, f"/images/{missing}/push?tag=1")
    assert error["error"] == f"An image does not exist locally with the tag: {missing}"


def test_a_registry_says_for_which_platforms(served: Served, registry: TestRegistry) -> None:
    offer_index(registry, "a/b", "1")
    found = served.get(f"/distribution/{registry.host}/a/b:1/json")
    assert [one["architecture"] for one in found["Platforms"]] == ["amd64", "arm64"]
    assert served.ask("GET", f"/distribution/{registry.host}/a/gone/json")[0] == 404


def platforms_of(archive: bytes) -> list[str]:
    """Return for what architectures the index is that an archive lists first."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:

        def read(name: str) -> Any:
            file = found.extractfile(name)
            assert file is not None
            return json.load(file)

        (entry, *_) = read("index.json")["manifests"]
        index = read(f"blobs/sha256/{entry['digest'][7:]}")
        return [each["platform"]["architecture"] for each in index["manifests"]]


@pytest.mark.parametrize("form", ["/images/{}/get?", "/images/get?names={}&"])
def test_several_platforms_are_saved_and_loaded(
    served: Served, registry: TestRegistry, form: str
) -> None:
    _, ids = offer_index(registry, "a/b", "1")
    name = f"{registry.host}/a/b:1"
    served.knarr("pull", "-q", "--all-platforms", name)
    path = form.format(name)
    both = "platform=linux/amd64&platform=" + quote('{"os":"linux","architecture":"arm64"}')
    response, archive = served.request("GET", f"{path}{both}")
    assert response.status == 200, archive
    assert platforms_of(archive) == ["amd64", "arm64"]
    status, error = served.ask("GET", f"{path}platform=linux/amd64&platform=linux/s390x")
    assert status == 404
    assert "linux/s390x" in error["message"]
    status, error = served.ask("GET", f"/v1.51{path}{both}")
    assert status == 400
    assert "use API version 1.52 or later" in error["message"]

    def loaded(query: str) -> list[dict[str, Any]]:
        served.knarr("image", "prune", "-af")
        return stream(served, f"/images/load?quiet=1&{query}", archive)

    (error,) = loaded("platform=linux/amd64&platform=linux/s390x")
    assert "linux/s390x" in error["error"]
    assert f"Loaded image: {name}\n" in [one.get("stream") for one in loaded(both)]
    for architecture, image_id in ids.items():
        query = quote(json.dumps({"os": "linux", "architecture": architecture}))
        assert served.get(f"/images/{name}/json?platform={query}")["Id"] == image_id
    loaded("platform=linux/arm64")
    assert served.get(f"/images/{name}/json")["Id"] == ids["arm64"]


def test_credentials_are_those_of_the_request(served: Served) -> None:
    with TestRegistry(basic=True) as registry:
        name = f"{registry.host}/a/b"
        offer(registry, "a/b", "1", [LAYER])
        path = f"/images/create?fromImage={quote(name)}&tag=1"
        assert served.ask("POST", path)[0] == 401
        login = {"username": USER, "password": PASSWORD}
        header = urlsafe_b64encode(json.dumps(login).encode()).decode()
        assert "Pull complete" in states(stream(served, path, X_Registry_Auth=header))
        assert served.ask("GET", f"/distribution/{name}:1/json")[0] == 401


def test_a_container_becomes_an_image(served: Served) -> None:
    served.knarr("run", "--name", "one", "-e", "A=1", "busybox", "touch", "/made")
    query = "container=one&repo=made&tag=1&comment=why&author=me&changes=EXPOSE%2080"
    body = {"Cmd": ["sh"], "Env": ["B=2"], "Labels": {"l": "v"}}
    made = served.post(f"/commit?{query}", body)
    image = served.get("/v1.51/images/made:1/json")
    assert image["Id"] == made["Id"]
    assert (image["Comment"], image["Author"]) == ("why", "me")
    config = image["Config"]
    assert config["Cmd"] == ["sh"]
    assert config["Labels"] == {"l": "v"}
    assert config["ExposedPorts"] == {"80/tcp": {}}
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert served.ask("POST", "/commit?container=gone", {})[0] == 404


def attest(served: Served, statement: bytes) -> None:
    """Record a statement about busybox, as a build does."""
    engine = served.knarr.engine
    row = engine.images.get("busybox")
    source = StoreSource(engine)
    made = source.resolve(row.id)
    manifest = source.open(made).read()
    config = {"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers"}}
    blobs = [statement, json.dumps(config).encode()]
    layer = images.descriptor("application/vnd.in-toto+json", statement)
    attestation = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": images.descriptor(OCI_CONFIG, blobs[1]),
        "layers": [{**layer, "annotations": {"in-toto.io/predicate-type": "some/kind"}}],
    }  # fmt: skip
    blobs.append(json.dumps(attestation).encode())
    about = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": str(made.digest),
    }
    entries = [
        images.descriptor(OCI_MANIFEST, manifest),
        {**images.descriptor(OCI_MANIFEST, blobs[-1]), "annotations": about},
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    blobs += [json.dumps(index).encode(), manifest]
    digests = [engine.blobs.put(blob) for blob in blobs]
    engine.images.records.change_manifest(row.id, made.digest, OCI_MANIFEST, (row.id, *digests))


def test_attestations(served: Served) -> None:
    assert served.get("/images/busybox/attestations") == []
    statement = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "predicate": {"a": 1}})
    attest(served, statement.encode())
    (found,) = served.get("/images/busybox/attestations")
    assert found["PredicateType"] == "some/kind"
    assert found["Descriptor"]["digest"] == images.sha(statement.encode())
    assert "Statement" not in found
    (found,) = served.get("/images/busybox/attestations?statement=1&type=some/kind")
    assert found["Statement"] == json.loads(statement)
    assert served.get("/images/busybox/attestations?type=other") == []
    assert served.request("GET", "/images/busybox/get")[0].status == 200
    assert served.ask("GET", "/images/gone/attestations")[0] == 404
    assert served.ask("GET", "/v1.54/images/busybox/attestations")[0] == 404
