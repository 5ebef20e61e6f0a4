"""docker-py as an independent client: its objects for images, builds, networks and volumes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from support.images import archive
from support.offers import offer
from support.testregistry import PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Served

docker = pytest.importorskip("docker", reason="docker-py is not installed (pip install docker)")
pytestmark = pytest.mark.root


@pytest.fixture(params=["1.30", "1.41", "auto"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(served: Served, version: str) -> Iterator[Any]:
    made = docker.DockerClient(base_url=f"unix://{served.path}", version=version)
    yield made
    made.close()


def test_images(client: Any) -> None:
    (image,) = client.images.list()
    assert image.tags == ["busybox:latest"]
    assert client.images.get(image.short_id) == image
    assert image.history()[0]["Tags"] == ["busybox:latest"]
    assert image.tag("other", "1")
    assert sorted(client.images.get("other:1").tags) == ["busybox:latest", "other:1"]
    image.reload()
    saved = b"".join(image.save(named="other:1"))
    client.images.remove("other:1")
    (loaded,) = client.images.load(saved)
    assert loaded.tags == ["busybox:latest", "other:1"]
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nothing")
    client.images.remove("busybox")
    assert client.images.prune(filters={"dangling": False})["SpaceReclaimed"] > 0
    assert client.images.list() == []


def test_builds(client: Any) -> None:
    context = archive({"Dockerfile": b"FROM busybox\nRUN echo said\nLABEL a=b", "x": b"y"})
    image, log = client.images.build(
        fileobj=io.BytesIO(context), custom_context=True, tag="built:1", labels={"c": "d"}
    )
    assert image.tags == ["built:1"]
    assert image.labels == {"a": "b", "c": "d"}
    assert any("said" in line.get("stream", "") for line in log)
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 4"):
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 4"))
    with pytest.raises(docker.errors.APIError, match="unknown instruction"):
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nNONSENSE"))


def test_registries(client: Any) -> None:
    with TestRegistry(basic=True) as registry:
        name, login = f"{registry.host}/a/b", {"username": USER, "password": PASSWORD}
        offer(registry, "a/b", "1", [archive({"file": b"x"})])
        with pytest.raises(docker.errors.APIError):
            client.images.pull(name, tag="1")
        pulled = client.images.pull(name, tag="1", auth_config=login)
        assert pulled.tags == [f"{name}:1"]
        pulled.tag(name, "2")
        lines = client.images.push(name, tag="2", auth_config=login, stream=True, decode=True)
        assert any(line.get("aux", {}).get("Tag") == "2" for line in lines)
        data = client.images.get_registry_data(f"{name}:2", auth_config=login)
        assert data.has_platform("linux/amd64")
        with pytest.raises(docker.errors.NotFound):
            client.images.pull(name, tag="gone", auth_config=login)


def test_networks_and_volumes(client: Any) -> None:
    pool = docker.types.IPAMPool(subnet="10.66.0.0/24", gateway="10.66.0.7")
    network = client.networks.create(
        "net", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"a": "b"}
    )
    assert client.networks.list(names=["net"], filters={"label": "a=b"}) == [network]
    assert network.attrs["IPAM"]["Config"] == [{"Subnet": "10.66.0.0/24", "Gateway": "10.66.0.7"}]
    volume = client.volumes.create("data", labels={"a": "b"})
    assert client.volumes.list(filters={"label": "a=b"}) == [volume]
    container = client.containers.run(
        "busybox", "sleep 1000", detach=True, volumes={"data": {"bind": "/data", "mode": "rw"}}
    )
    network.connect(container, aliases=["www"])
    network.reload()
    assert network.containers == [container]
    with pytest.raises(docker.errors.APIError, match="volume is in use"):
        volume.remove()
    network.disconnect(container)
    container.remove(force=True)
    volume.remove()
    assert client.networks.prune() == {"NetworksDeleted": ["net"]}


def test_commit(client: Any) -> None:
    container = client.containers.run("busybox", "touch /made", detach=True)
    container.wait()
    image = container.commit("made", "1", message="why", conf={"Cmd": ["ls", "/made"]})
    assert image.tags == ["made:1"]
    assert client.containers.run("made:1", remove=True) == b"/made\n"
    container.remove()


def test_there_is_no_swarm(client: Any) -> None:
    with pytest.raises(docker.errors.APIError, match="not a swarm manager"):
        client.services.list()
    assert client.plugins.list() == []
