"""Every field of dockerd's documents is in knarr's: objects that clients read, key by key."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.engines import IMAGE, Docker, lent_engine
from support.serving import Served, UnixConnection, lent_server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root

VERSION = "v1.41"
# Fields that are missing on purpose, and why.
_NO_LIMIT = "the kernel has no such limit any more; gone with 1.42"
_OLD = "gone with later versions, and empty before"
MISSING = {
    "info.KernelMemory": _NO_LIMIT,
    "info.KernelMemoryTCP": _NO_LIMIT,
    "inspected.HostConfig.KernelMemory": _NO_LIMIT,
    "inspected.HostConfig.KernelMemoryTCP": _NO_LIMIT,
    "info.ContainerdCommit.Expected": _OLD,
    "info.InitCommit.Expected": _OLD,
    "info.RuncCommit.Expected": _OLD,
    "info.RegistryConfig.AllowNondistributableArtifactsCIDRs": _OLD,
    "info.RegistryConfig.AllowNondistributableArtifactsHostnames": _OLD,
    "space.BuilderSize": _OLD,
    "image.ContainerConfig.Healthcheck": "of the container that was committed: gone with 1.45",
    "image.ContainerConfig.Healthcheck.Interval": "as before",
    "image.ContainerConfig.Healthcheck.Test": "as before",
    "waited.Error": "only where there is one, as later versions have it",
}
# Objects whose keys are data, not fields.
OPEN = (
    "Labels", "stats", "blkio_stats", "Networks", "Runtimes", "Data", "Details", "Options",
    "Containers",
)  # fmt: skip
LIFE: dict[str, Any] = {
    "Image": IMAGE,
    "Cmd": ["sleep", "60"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**8},
    "HostConfig": {"NetworkMode": "net", "Memory": 64 << 20, "Binds": ["data:/data"]},
}


def ask(path: str, method: str, url: str, body: Any = None) -> Any:
    client = UnixConnection(path)
    data = None if body is None else json.dumps(body)
    client.request(method, f"/{VERSION}{url}", data, {"Content-Type": "application/json"})
    response = client.getresponse()
    text = response.read()
    client.close()
    assert response.status < 300, (url, text)
    return json.loads(text.splitlines()[0]) if text.strip() else None


def documents(path: str, parent: str = "") -> dict[str, Any]:
    """Live a life, and return the documents that are seen on the way."""
    life = {**LIFE, "HostConfig": {**LIFE["HostConfig"], "CgroupParent": parent}}
    net = {"Name": "net", "Internal": True, "IPAM": {"Config": [{"Subnet": "10.77.0.0/24"}]}}
    found = {"network_created": ask(path, "POST", "/networks/create", net)}
    found["created"] = ask(path, "POST", "/containers/create?name=one", life)
    ask(path, "POST", "/containers/one/start")
    made = ask(path, "POST", "/containers/one/exec", {"Cmd": ["sleep", "9"], "AttachStdout": True})
    ask(path, "POST", f"/exec/{made['Id']}/start", {"Detach": True})
    ask(path, "POST", "/commit?container=one&repo=made&comment=words")
    for name, url in {
        "image": "/images/made/json",
        "images": "/images/json?digests=1&shared-size=1",
        "history": "/images/made/history",
        "network": "/networks/net",
        "networks": "/networks",
        "volume": "/volumes/data",
        "volumes": "/volumes",
        "changes": "/containers/one/changes",
        "event": f"/events?since=1&until={int(time.time())}",
        "exec": f"/exec/{made['Id']}/json",
        "listed": "/containers/json?size=1",
        "inspected": "/containers/one/json?size=1",
        "top": "/containers/one/top",
        "stats": "/containers/one/stats?stream=0",
        "info": "/info",
        "version": "/version",
        "space": "/system/df",
    }.items():
        found[name] = ask(path, "GET", url)
    ask(path, "POST", "/containers/one/kill")
    found["waited"] = ask(path, "POST", "/containers/one/wait")
    ask(path, "DELETE", "/containers/one?v=1")
    found["image_removed"] = ask(path, "DELETE", "/images/made")
    for kind in ("containers", "images", "networks", "volumes", "build"):
        found[f"{kind}_pruned"] = ask(path, "POST", f"/{kind}/prune")
    return found


def fields(value: Any, where: str) -> set[str]:
    """Return the places of all keys below `value`."""
    if isinstance(value, list):
        return {one for item in value for one in fields(item, f"{where}[]")}
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, item in value.items():
        found.add(f"{where}.{key}")
        if key not in OPEN or isinstance(item, list):
            found |= fields(item, f"{where}.{key}")
    return found


def test_fields(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "knarr").mkdir()
    with lent_engine(Docker, tmp_path / "d") as docker, lent_server(tmp_path / "knarr") as served:
        assert isinstance(docker, Docker)
        assert isinstance(served, Served)
        served.knarr.add_image(IMAGE)
        theirs = documents(docker.socket.removeprefix("unix://"), docker.parent)
        ours = documents(served.path)
    missing = {
        place
        for name, document in theirs.items()
        for place in fields(document, name) - fields(ours[name], name)
    }
    assert missing == set(MISSING), "\n".join(sorted(missing ^ set(MISSING)))
