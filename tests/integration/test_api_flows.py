"""What flows through the API: files, figures, events, space, WebSockets."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection

from support.serving import UnixConnection
from support.testregistry import PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root


def start(served: Served, *command: str, **more: Any) -> None:
    body = {"Image": "busybox", "Cmd": list(command), **more}
    assert served.ask("POST", "/containers/create?name=one", body)[0] == 201
    served.post("/containers/one/start")


def stat(served: Served, path: str) -> dict[str, Any]:
    response, _ = served.request("HEAD", f"/containers/one/archive?path={path}")
    assert response.status == 200
    found: dict[str, Any] = json.loads(
        base64.b64decode(response.headers["X-Docker-Container-Path-Stat"])
    )
    return found


def test_files_go_in_and_out(served: Served) -> None:
    start(served, "sleep", "60", User="7:8")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("given")
        entry.size, entry.mode = 5, 0o640
        archive.addfile(entry, io.BytesIO(b"words"))
    for query in ("path=/tmp", "path=/tmp&copyUIDGID=1"):
        response, _ = served.request("PUT", f"/containers/one/archive?{query}", packed.getvalue())
        assert response.status == 200
        found = stat(served, "/tmp/given")
        assert (found["name"], found["size"], found["mode"]) == ("given", 5, 0o640)
    response, data = served.request("GET", "/containers/one/archive?path=/tmp/given")
    assert response.headers["Content-Type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (entry,) = archive.getmembers()
        assert (entry.name, entry.uid, entry.gid) == ("given", 7, 8)
    assert served.ask("GET", "/containers/one/archive?path=/none")[0] == 404
    assert served.ask("GET", "/containers/one/archive")[0] == 400
    assert served.request("HEAD", "/containers/one/archive?path=/none")[0].status == 404
    _, data = served.request("GET", "/containers/one/export")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert "tmp/given" in archive.getnames()


def test_figures(served: Served) -> None:
    start(served, "sh", "-c", "while :; do :; done", HostConfig={"Memory": 64 << 20})
    found = served.get("/containers/one/stats?stream=0")
    used, before = (
        found[name]["cpu_usage"]["total_usage"] for name in ("cpu_stats", "precpu_stats")
    )
    assert used > before > 0
    assert found["cpu_stats"]["system_cpu_usage"] > found["precpu_stats"]["system_cpu_usage"]
    assert found["memory_stats"]["limit"] == 64 << 20
    assert found["networks"]["eth0"]["rx_bytes"] >= 0
    assert found["os_type"] == "linux"
    one = served.get("/containers/one/stats?stream=0&one-shot=1")
    assert one["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    client = UnixConnection(served.path)
    client.request("GET", "/containers/one/stats")
    response = client.getresponse()
    looks = [json.loads(response.readline()) for _ in range(2)]
    assert looks[1]["preread"] == looks[0]["read"]
    client.close()
    served.post("/containers/one/kill")
    assert served.get("/containers/one/stats?stream=0")["memory_stats"] == {}


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def test_events_of_a_life(served: Served) -> None:
    began = time.time()
    start(served, "true")
    served.post("/containers/one/wait")
    query = f"since={began:.6f}&until={time.time() + 0.3:.6f}"
    filters = "%7B%22container%22:%5B%22one%22%5D,%22type%22:%7B%22container%22:true%7D%7D"
    _, data = served.request("GET", f"/v1.41/events?{query}&filters={filters}")
    found = lines(data)
    assert [event["Action"] for event in found][:2] == ["create", "start"]
    assert found[0]["status"] == "create"
    response, data = served.request(
        "GET", f"/events?{query}", headers={"Accept": "application/json-seq"}
    )
    assert response.headers["Content-Type"] == "application/json-seq"
    first = json.loads(data.split(b"\x1e")[1])
    assert "status" not in first
    assert first["Actor"]["ID"]


def test_events_come_as_they_happen_and_end_with_the_client(served: Served) -> None:
    client = UnixConnection(served.path)
    client.request("GET", "/events")
    response = client.getresponse()
    threading.Timer(0.2, start, (served, "true")).start()
    assert json.loads(response.readline())["Action"] == "create"
    before = threads(served)
    client.close()
    response.close()
    served.knarr.wait_until(lambda: threads(served) < before)


def threads(served: Served) -> int:
    return len(os.listdir(f"/proc/{served.process.pid}/task"))


def test_space(served: Served) -> None:
    start(served, "sh", "-c", "head -c 100000 /dev/urandom > /file; sleep 60")
    served.post("/volumes/create", {"Name": "data"})
    served.knarr.wait_until(lambda: served.get("/v1.41/system/df")["Containers"][0]["SizeRw"] > 9)
    old = served.get("/v1.41/system/df")
    assert old["LayersSize"] >= old["Images"][0]["Size"] > 0
    assert old["Volumes"][0]["UsageData"] == {"RefCount": 0, "Size": 0}
    new = served.get("/system/df?type=container")
    assert new.keys() == {"Containers", "ContainerUsage"}
    assert (new["ContainerUsage"]["TotalCount"], "Items" in new["ContainerUsage"]) == (1, False)
    whole = served.get("/system/df?verbose=1")
    assert whole["ImageUsage"]["Items"][0]["Id"] == old["Images"][0]["Id"]
    assert served.ask("GET", "/system/df?type=nothing")[0] == 400


def test_attached_by_websocket(served: Served) -> None:
    start(served, "cat", OpenStdin=True, StdinOnce=True)
    bare = served.connect()
    path = "/containers/one/attach/ws?stream=1&stdin=1&stdout=1"
    head = [
        f"GET {path} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip
    bare.sendall("\r\n".join([*head, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += bare.recv(1)
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    protocol = Connection(ConnectionType.CLIENT)
    bare.sendall(protocol.send(BytesMessage(data=b"hello")))
    found = b""
    while found != b"hello":
        protocol.receive_data(bare.recv(1 << 16))
        found += b"".join(e.data for e in protocol.events() if isinstance(e, BytesMessage))
    bare.sendall(protocol.send(CloseConnection(code=1000)))
    bare.close()
    assert served.post("/containers/one/wait") == {"StatusCode": 0}
    assert served.ask("GET", "/containers/one/attach/ws")[0] == 400


def test_credentials_are_tried_and_not_kept(served: Served, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*.json"))
    with TestRegistry(basic=True) as registry:
        login = {"username": USER, "password": PASSWORD, "serveraddress": registry.host}
        status, document = served.ask("POST", "/auth", login)
        assert (status, document) == (200, {"Status": "Login Succeeded", "IdentityToken": ""})
        status, document = served.ask("POST", "/auth", {**login, "password": "wrong"})
        assert (status, "incorrect username or password" in document["message"]) == (401, True)
    assert sorted(tmp_path.rglob("*.json")) == before


def test_details_stand_before_the_lines_of_a_log(served: Served) -> None:
    log = {"Type": "json-file", "Config": {"labels": "job"}}
    start(served, "echo", "words", Labels={"job": "a b"}, Tty=True, HostConfig={"LogConfig": log})
    served.post("/containers/one/wait")
    _, data = served.request("GET", "/containers/one/logs?stdout=1&details=1")
    assert data == b"job=a+b words\r\n"
