"""A container's life through the API: statuses, documents, waiting, execs, attached streams."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from knarr.engine.container.locks import ContainerLock
from support.serving import UnixConnection

if TYPE_CHECKING:
    from support.serving import Served

pytestmark = pytest.mark.root


def create(served: Served, *command: str, name: str = "one", **more: Any) -> str:
    body = {"Image": "busybox", "Cmd": list(command), **more}
    status, document = served.ask("POST", f"/containers/create?name={name}", body)
    assert (status, document["Warnings"]) == (201, [])
    made: str = document["Id"]
    return made


def start(served: Served, *command: str, name: str = "one", **more: Any) -> str:
    made = create(served, *command, name=name, **more)
    assert served.ask("POST", f"/containers/{name}/start")[0] == 204
    return made


def hijack(served: Served, path: str, body: bytes = b"", *, upgrade: bool = True) -> socket.socket:
    """Return the connection of a hijacked request, its head read."""
    bare = served.connect()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/json")
    if upgrade:
        lines += ["Connection: Upgrade", "Upgrade: tcp"]
    bare.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    head = b""
    while b"\r\n\r\n" not in head:
        piece = bare.recv(1)
        assert piece, head
        head += piece
    first = b"HTTP/1.1 101 UPGRADED" if upgrade else b"HTTP/1.1 200 OK"
    assert head.startswith(first), head
    return bare


def read_all(bare: socket.socket) -> bytes:
    data = b""
    while piece := bare.recv(1 << 16):
        data += piece
    bare.close()
    return data


def parted(data: bytes) -> dict[int, bytes]:
    """Return what a multiplexed stream holds of each stream."""
    found: dict[int, bytes] = {}
    while data:
        stream, length = struct.unpack(">BxxxL", data[:8])
        found[stream] = found.get(stream, b"") + data[8 : 8 + length]
        data = data[8 + length :]
    return found


def test_from_create_to_remove(served: Served) -> None:
    made = create(served, "sleep", "60", Labels={"a": "b"})
    assert served.ask("POST", "/containers/one/start") == (204, None)
    assert served.ask("POST", "/containers/one/start")[0] == 304
    (listed,) = served.get('/containers/json?filters={"label":["a=b"]}'.replace('"', "%22"))
    assert (listed["Id"], listed["Names"], listed["State"]) == (made, ["/one"], "running")
    assert listed["Status"].startswith("Up ")
    assert listed["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert served.ask("POST", "/containers/one/pause")[0] == 204
    assert served.get("/containers/one/json")["State"]["Paused"] is True
    assert served.ask("POST", "/containers/one/unpause")[0] == 204
    assert served.ask("POST", "/containers/one/rename?name=two")[0] == 204
    assert served.ask("DELETE", "/containers/two")[0] == 409
    assert served.ask("POST", "/containers/two/stop?t=0")[0] == 204
    assert served.ask("POST", "/containers/two/stop")[0] == 304
    assert served.ask("POST", "/containers/two/kill")[0] == 409
    assert served.get("/containers/two/json")["State"]["ExitCode"] == 137
    assert served.ask("DELETE", "/containers/two?v=1")[0] == 204
    assert served.ask("GET", "/containers/two/json") == (
        404,
        {"message": "No such container: two"},
    )


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "config cannot be empty"),
        ({"Image": "nosuch"}, 404, "No such image: nosuch"),
        ({"Image": "busybox", "Cmd": 7}, 400, "Cmd must be a list of strings"),
        ({"Image": "busybox", "HostConfig": {"Memory": 1}}, 400, "minimum memory limit"),
        ({"Image": "busybox", "HostConfig": {"Binds": ["/a"]}}, 201, ""),
        ({"Image": "busybox", "HostConfig": {"Binds": ["x:y"]}}, 400, "must be absolute"),
        ({"Image": "busybox", "HostConfig": {"CapAdd": ["FLY"]}}, 400, "unknown capability"),
        ({"Image": "busybox", "WorkingDir": "x"}, 400, "needs to be an absolute path"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_create_takes(served: Served, body: Any, status: int, words: str) -> None:
    found, document = served.ask("POST", "/containers/create", body)
    assert (found, words in document.get("message", "")) == (status, True), document


def test_options_come_back_as_they_were_given(served: Served) -> None:
    host = {
        "Memory": 64 << 20, "NanoCpus": 500_000_000, "PidsLimit": 50, "OomScoreAdj": 10,
        "Binds": ["/tmp:/host:ro", "data:/data"], "Tmpfs": {"/scratch": "size=1m"},
        "Mounts": [{"Type": "volume", "Source": "more", "Target": "/more"}],
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "CapAdd": ["NET_ADMIN"], "CapDrop": ["MKNOD"], "GroupAdd": ["10"], "Init": True,
        "ExtraHosts": ["db:10.0.0.1"], "Dns": ["9.9.9.9"], "ReadonlyRootfs": True,
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "Sysctls": {"net.core.somaxconn": "99"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "ShmSize": 1 << 20,
    }  # fmt: skip
    create(
        served, "true", HostConfig=host, Env=["A=1"], User="1:2", WorkingDir="/tmp", Tty=True,
        ExposedPorts={"81/udp": {}}, StopSignal="SIGINT", StopTimeout=3, Hostname="here",
        Healthcheck={"Test": ["CMD-SHELL", "true"], "Interval": 10**10},
    )  # fmt: skip
    found = served.get("/containers/one/json")
    for name in host.keys() - {"Mounts", "PortBindings", "CapAdd", "CapDrop"}:
        assert found["HostConfig"][name] == host[name], name
    assert found["HostConfig"]["CapAdd"] == ["CAP_NET_ADMIN"]
    assert {one["Destination"] for one in found["Mounts"]} == {"/host", "/data", "/more"}
    config = found["Config"]
    assert (config["User"], config["WorkingDir"], config["Tty"]) == ("1:2", "/tmp", True)
    assert (config["StopSignal"], config["StopTimeout"], config["Hostname"]) == (
        "SIGINT",
        3,
        "here",
    )
    assert config["ExposedPorts"].keys() == {"81/udp"}
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]


def test_who_waits_before_the_start_misses_nothing(served: Served) -> None:
    create(served, "sh", "-c", "exit 7", HostConfig={"AutoRemove": True})
    client = UnixConnection(served.path)
    client.request("POST", "/containers/one/wait?condition=removed")
    response = client.getresponse()  # the head, before anything runs
    assert response.status == 200
    served.post("/containers/one/start")
    assert json.loads(response.read()) == {"StatusCode": 7}
    client.close()
    assert served.ask("GET", "/containers/one/json")[0] == 404


def test_waiting_for_the_next_exit_and_for_none(served: Served) -> None:
    create(served, "sh", "-c", "exit 3")
    client = UnixConnection(served.path)
    client.request("POST", "/containers/one/wait?condition=next-exit")
    response = client.getresponse()
    served.post("/containers/one/start")
    assert json.loads(response.read()) == {"StatusCode": 3}
    client.close()
    assert served.post("/containers/one/wait") == {"StatusCode": 3}
    assert served.ask("POST", "/containers/one/wait?condition=later")[0] == 400


def test_a_start_does_not_wait_for_waiters_that_were_killed(served: Served) -> None:
    create(served, "true")
    client = UnixConnection(served.path)
    client.request("POST", "/containers/one/wait?condition=next-exit")
    assert client.getresponse().status == 200
    served.stop(9)
    client.close()
    served.start()
    began = time.monotonic()
    assert served.post("/containers/one/start") is None
    assert time.monotonic() - began < 1.5
    assert served.post("/containers/one/wait") == {"StatusCode": 0}
    served.stop(9)
    served.knarr("rm", "one")
    assert os.listdir(f"{served.knarr.run_dir}/waiting") == []


@pytest.mark.parametrize("upgrade", [True, False])
def test_attached_before_the_start_with_half_closed_input(served: Served, *, upgrade: bool) -> None:
    create(
        served, "sh", "-c", "cat; echo end >&2", OpenStdin=True, StdinOnce=True, AttachStdin=True
    )
    path = "/containers/one/attach?stream=1&stdin=1&stdout=1&stderr=1"
    bare = hijack(served, path, upgrade=upgrade)
    bare.sendall(b"words\n")
    served.post("/containers/one/start")
    bare.shutdown(socket.SHUT_WR)
    assert parted(read_all(bare)) == {1: b"words\n", 2: b"end\n"}


def test_a_terminal_is_raw_and_can_be_left(served: Served) -> None:
    start(served, "sh", Tty=True, OpenStdin=True)
    bare = hijack(served, "/containers/one/attach?stream=1&stdin=1&stdout=1&stderr=1")
    assert served.ask("POST", "/containers/one/resize?h=33&w=77")[0] == 200
    bare.sendall(b"stty size\n")
    data = b""
    while b"33 77" not in data:
        data += bare.recv(1 << 16)
    bare.sendall(b"\x10\x11")
    read_all(bare)
    assert served.get("/containers/one/json")["State"]["Running"] is True


def test_a_terminal_has_its_first_size_from_the_start(served: Served) -> None:
    start(served, "stty", "size", Tty=True, HostConfig={"ConsoleSize": [33, 77]})
    served.post("/containers/one/wait")
    _, data = served.request("GET", "/containers/one/logs?stdout=1")
    assert data == b"33 77\r\n"


def test_attach_replays_the_log(served: Served) -> None:
    start(served, "sh", "-c", "echo out; echo err >&2")
    served.post("/containers/one/wait")
    data = read_all(hijack(served, "/containers/one/attach?logs=1&stdout=1&stderr=1"))
    assert parted(data) == {1: b"out\n", 2: b"err\n"}


def test_logs(served: Served) -> None:
    start(served, "sh", "-c", "echo 1; echo e >&2; sleep 0.3; echo 2")
    _, followed = served.request("GET", "/containers/one/logs?stdout=1&follow=1")
    assert parted(followed) == {1: b"1\n2\n"}
    _, last = served.request("GET", "/containers/one/logs?stdout=1&stderr=1&tail=1&timestamps=1")
    assert parted(last)[1].endswith(b"Z 2\n")
    moment = parted(last)[1].split()[0].decode()
    response, since = served.request("GET", f"/v1.41/containers/one/logs?stdout=1&since={moment}")
    assert parted(since) == {1: b"2\n"}
    assert response.headers["Content-Type"] == "application/vnd.docker.raw-stream"
    _, until = served.request("GET", f"/containers/one/logs?stdout=1&until={moment}")
    assert parted(until) == {1: b"1\n"}
    assert served.ask("GET", "/containers/one/logs")[0] == 400


def exec_create(served: Served, *command: str, **more: Any) -> str:
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **more}
    made: str = served.post("/containers/one/exec", body)["Id"]
    return made


def test_an_exec_with_its_exit_code(served: Served) -> None:
    start(served, "sleep", "60")
    made = exec_create(served, "sh", "-c", "cat; echo oops >&2; exit 4", AttachStdin=True)
    before = served.get(f"/exec/{made}/json")
    assert (before["Running"], before["ExitCode"], before["Pid"]) == (False, None, 0)
    bare = hijack(served, f"/exec/{made}/start", b"{}")
    served.knarr.wait_until(lambda: served.get(f"/exec/{made}/json")["Running"])
    bare.sendall(b"in")
    bare.shutdown(socket.SHUT_WR)
    assert parted(read_all(bare)) == {1: b"in", 2: b"oops\n"}
    after = served.get(f"/exec/{made}/json")
    assert (after["Running"], after["ExitCode"]) == (False, 4)
    assert after["ProcessConfig"]["entrypoint"] == "sh"
    assert served.ask("POST", f"/exec/{made}/start", {})[0] == 409


def test_execs_that_cannot_be(served: Served) -> None:
    start(served, "sleep", "60")
    made = exec_create(served, "nonesuch")
    data = read_all(hijack(served, f"/exec/{made}/start", b"{}"))
    assert b"executable file not found" in data
    assert served.get(f"/exec/{made}/json")["ExitCode"] == 127
    assert served.ask("POST", "/containers/one/exec", {})[0] == 400
    served.post("/containers/one/pause")
    assert served.ask("POST", "/containers/one/exec", {"Cmd": ["true"]})[0] == 409
    served.post("/containers/one/unpause")
    served.post("/containers/one/kill")
    assert served.ask("POST", "/containers/one/exec", {"Cmd": ["true"]})[0] == 409
    status, document = served.ask("GET", f"/exec/{made}/json")
    assert (status, document["message"]) == (404, f"No such exec instance: {made}")


def test_a_detached_exec_and_one_after_another_server(served: Served) -> None:
    start(served, "sleep", "60")
    made = exec_create(served, "touch", "/made")
    served.stop(9)
    served.start()
    assert served.ask("POST", f"/exec/{made}/start", {"Detach": True})[0] == 200
    served.knarr.wait_until(lambda: served.get(f"/exec/{made}/json")["ExitCode"] == 0)
    assert exec_and_read(served, "ls", "/made") == b"/made\n"


def exec_and_read(served: Served, *command: str) -> bytes:
    made = exec_create(served, *command)
    return parted(read_all(hijack(served, f"/exec/{made}/start", b"{}"))).get(1, b"")


def test_processes_and_changes(served: Served) -> None:
    start(served, "sh", "-c", "touch /new; sleep 60")
    table = served.get("/containers/one/top?ps_args=-o%20pid,args")
    assert table["Titles"] == ["PID", "COMMAND"]
    served.knarr.wait_until(
        lambda: {"Path": "/new", "Kind": 1} in (served.get("/containers/one/changes") or [])
    )


def test_update_and_prune(served: Served) -> None:
    start(served, "sleep", "60")
    body = {"PidsLimit": 77, "RestartPolicy": {"Name": "always"}}
    assert served.post("/containers/one/update", body) == {"Warnings": []}
    host = served.get("/containers/one/json")["HostConfig"]
    assert (host["PidsLimit"], host["RestartPolicy"]["Name"]) == (77, "always")
    create(served, "true", name="other")
    assert len(served.post("/containers/prune")["ContainersDeleted"]) == 1
    assert len(served.get("/containers/json?all=1")) == 1


def test_attached_streams_outlive_a_killed_server(served: Served) -> None:
    start(served, "sh", "-c", "sleep 0.5; echo still here")
    bare = hijack(served, "/containers/one/attach?stream=1&stdout=1")
    reader = threading.Thread(target=read_all, args=(bare,))
    reader.start()
    served.stop(9)
    reader.join()
    served.start()
    assert served.post("/containers/one/wait") == {"StatusCode": 0}
    _, data = served.request("GET", "/containers/one/logs?stdout=1")
    assert parted(data) == {1: b"still here\n"}


def test_lists_that_are_kept_show_what_others_did_a_moment_ago(served: Served) -> None:
    create(served, "sleep", "60")
    time.sleep(0.2)  # from now on lists are kept

    def listed() -> list[tuple[str, str]]:
        for _ in range(3):
            found = served.get("/containers/json?all=1")
        return [(one["Names"][0], one["State"]) for one in found]

    assert listed() == [("/one", "created")]
    for words, expected in (
        (("start", "one"), ("/one", "running")),
        (("pause", "one"), ("/one", "paused")),
        (("unpause", "one"), ("/one", "running")),
        (("rename", "one", "two"), ("/two", "running")),
        (("kill", "two"), ("/two", "exited")),
    ):
        served.knarr(*words)
        assert listed() == [expected]
        time.sleep(0.15)
    served.knarr("rm", "two")
    assert listed() == []


def test_who_waits_cleans_up_after_a_start_that_takes_its_time(served: Served) -> None:
    made = create(served, "sh", "-c", "sleep 0.2; exit 7", HostConfig={"AutoRemove": True})
    client = UnixConnection(served.path)
    client.request("POST", "/containers/one/wait?condition=removed")
    response = client.getresponse()
    served.post("/containers/one/start")
    with ContainerLock(served.knarr.engine.paths, made):  # as a start does until it is over
        time.sleep(0.7)
    assert json.loads(response.read()) == {"StatusCode": 7}
    client.close()
    assert served.ask("GET", "/containers/one/json")[0] == 404
