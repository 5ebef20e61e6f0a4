"""Clients that send what they should not, servers that are killed, and crowds."""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support.certificates import Authority
from support.serving import UnixConnection

if TYPE_CHECKING:
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root

ATTACHED, FOLLOWING = 200, 50


def head(first: str, *lines: str) -> bytes:
    return "\r\n".join([first, "Host: x", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"nonsense\r\n\r\n", 400, b"illegal request line"),
        (b"GET /_ping HTTP/1.1\r\n\r\n", 400, b"Host"),
        (head("GET /_ping HTTP/1.1", "X: " + "y" * (1 << 20)), 431, b"head of the request"),
        (head("GET /containers/%00/json HTTP/1.1", "Connection: close"), 400, b"invalid path"),
        (head("GET /v1.41/../info HTTP/1.1", "Connection: close"), 400, b"invalid path"),
        (head("GET /%2e%2e/info HTTP/1.1", "Connection: close"), 400, b"invalid path"),
        (
            head("POST /containers/create HTTP/1.1", "Transfer-Encoding: chunked") + b"zz\r\n",
            400,
            b"illegal chunk header",
        ),
        (
            head("POST /containers/create HTTP/1.1", "Transfer-Encoding: chunked")
            + b"8000\r\n" + b" " * 0x8000 + b"\r\n" + b"1\r\n \r\n" * 2_000_000,
            400,
            b"larger than",
        ),
        (
            head(
                "POST /containers/create HTTP/1.1", "Content-Length: 70000",
                "Content-Type: application/json", "Connection: close",
            )
            + b"[" * 70_000,
            400,
            b"invalid JSON",
        ),
        (head("POST /containers/create HTTP/1.1", "Content-Length: -1"), 400, b"Content-Length"),
    ],
    ids=["words", "host", "head", "null", "up", "up-hidden", "chunk", "bomb", "deep", "negative"],
)  # fmt: skip
def test_what_is_no_request_is_told_so(
    served: Served, data: bytes, status: int, words: bytes
) -> None:
    answer: list[bytes] = []
    with served.connect() as bare:
        sender = threading.Thread(target=send_all, args=(bare, data))
        sender.start()
        while piece := receive(bare):
            answer.append(piece)
        sender.join()
    found = b"".join(answer)
    assert found.startswith(f"HTTP/1.1 {status} ".encode()), found[:200]
    assert words in found
    assert served.get("/info")["OSType"] == "linux"


def send_all(bare: socket.socket, data: bytes) -> None:
    try:
        bare.sendall(data)
    except OSError:  # the server has heard enough
        pass


def receive(bare: socket.socket) -> bytes:
    try:
        return bare.recv(1 << 16)
    except ConnectionResetError:
        return b""


def burden(served: Served) -> tuple[int, int]:
    """Return how many threads and descriptors the server has."""
    pid = served.process.pid
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def memory(served: Served) -> int:
    with open(f"/proc/{served.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


def test_clients_who_leave_in_the_middle_leave_nothing(served: Served) -> None:
    def bother() -> None:
        for data in (
            b"",
            b"GET /inf",
            head("POST /containers/create HTTP/1.1", "Content-Length: 9"),
        ):
            with served.connect() as bare:
                bare.sendall(data)
        for path in ("events", "containers/one/logs?follow=1&stdout=1", "containers/one/stats"):
            with served.connect() as bare:
                bare.sendall(head(f"GET /{path} HTTP/1.1"))
                assert bare.recv(1 << 10)

    served.knarr("run", "-d", "--name", "one", "busybox", "sleep", "100")
    for _ in range(10):
        bother()
    served.get("/info")
    served.knarr.wait_until(lambda: burden(served)[0] <= 4)
    before, size = burden(served), memory(served)
    for _ in range(60):
        bother()
    served.knarr.wait_until(lambda: burden(served) <= before)
    assert memory(served) < size + (8 << 20)


def test_a_crowd_attached_and_a_crowd_following(served: Served) -> None:
    """Each of 200 attached and 50 following sees every line, and none of them is left behind."""
    script = "read x; for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done"
    served.knarr("run", "-di", "--name", "one", "busybox", "sh", "-c", script)
    found: list[bytes] = []
    attach = "POST /containers/one/attach?stream=1&stdout=1 HTTP/1.1"
    follow = "GET /containers/one/logs?stdout=1&follow=1 HTTP/1.0"
    crowd = [served.connect() for _ in range(ATTACHED + FOLLOWING)]
    for number, bare in enumerate(crowd):
        bare.sendall(head(attach if number < ATTACHED else follow, "Content-Length: 0"))
    for bare in crowd:
        assert bare.recv(12) == b"HTTP/1.1 200"
    served.knarr.wait_until(lambda: burden(served)[0] >= ATTACHED + FOLLOWING)
    attached = ("events", "--since", "10m", "--until", "0s", "--filter", "event=attach")
    served.knarr.wait_until(lambda: len(served.knarr(*attached).splitlines()) == ATTACHED)
    with served.connect() as giver:
        giver.sendall(head("POST /containers/one/attach?stream=1&stdin=1 HTTP/1.1"))
        assert giver.recv(12) == b"HTTP/1.1 200"
        giver.sendall(b"go\n")
        for bare in crowd:
            data = b""
            while piece := bare.recv(1 << 16):
                data += piece
            found.append(data)
            bare.close()
    assert [data.count(b"line") for data in found] == [5] * (ATTACHED + FOLLOWING)
    assert served.get("/info")["ContainersRunning"] == 0


def test_sigterm_ends_it_and_containers_go_on(served: Served) -> None:
    served.knarr("run", "-d", "--name", "one", "busybox", "sleep", "100")
    with served.connect() as following, served.connect() as idle:
        following.sendall(head("GET /events HTTP/1.1"))
        assert following.recv(1 << 10)
        idle.sendall(head("GET /_ping HTTP/1.1"))
        assert idle.recv(1 << 10)
        began = time.monotonic()
        assert served.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 5
    assert not os.path.exists(served.path)
    assert served.knarr("ps", "--format", "{{.Names}}") == "one\n"
    served.start()
    assert served.get("/containers/json")[0]["State"] == "running"


def test_sigterm_ends_it_whichever_thread_gets_it(served: Served) -> None:
    process = served.process
    threads = {int(name) for name in os.listdir(f"/proc/{process.pid}/task")} - {process.pid}
    assert ctypes.CDLL(None).tgkill(process.pid, min(threads), signal.SIGTERM) == 0
    assert process.wait(20) == 0


def test_a_second_server_beside_it(served: Served) -> None:
    command = served.knarr.command("serve", "-H", f"unix://{served.path}")
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "another server does" in refused.stderr
    other = f"{served.knarr.directory}/other.sock"
    second = subprocess.Popen(
        served.knarr.command("serve", "-H", f"unix://{other}", "--socket-mode", "0600"),
        stderr=subprocess.DEVNULL,
    )
    try:
        served.knarr.wait_until(lambda: os.path.exists(other))
        assert os.stat(other).st_mode & 0o777 == 0o600
        served.post("/containers/create?name=one", {"Image": "busybox"})
        client = UnixConnection(other)
        client.request("GET", "/containers/one/json")
        assert client.getresponse().status == 200
        client.close()
    finally:
        second.terminate()
        assert second.wait(10) == 0


def test_a_socket_that_was_left_behind_is_replaced(served: Served) -> None:
    served.stop(signal.SIGKILL)
    assert os.path.exists(served.path)
    served.start()
    assert served.get("/info")["Images"] == 1


def test_tcp_asks_for_certificates(served: Served, tmp_path: Path) -> None:
    plain = served.knarr.fails("serve", "-H", "tcp://127.0.0.1:0")
    assert "without TLS that verifies clients" in plain
    assert "--tlsverify" in plain
    half = ["--tls", "--tlscert", "x", "--tlskey", "y"]
    assert "without TLS" in served.knarr.fails("serve", "-H", "tcp://127.0.0.1:0", *half)
    authority = Authority(tmp_path / "certificates")
    with served.under_tls(authority) as (port, _):
        context = ssl.create_default_context(cafile=authority.certificate)
        context.check_hostname = False
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask_tls(context, port)
        context.load_cert_chain(authority.client_certificate, authority.client_key)
        assert ask_tls(context, port) == b"OK"


def ask_tls(context: ssl.SSLContext, port: int) -> bytes:
    client = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        client.request("GET", "/_ping")
        return client.getresponse().read()
    finally:
        client.close()


def test_a_socket_that_systemd_opened(served: Served) -> None:
    path = f"{served.knarr.directory}/passed.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        program = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ |= {'LISTEN_PID': "
            "str(os.getpid()), 'LISTEN_FDS': '1'}; os.execv(sys.argv[2], sys.argv[2:])"
        )
        number = listening.fileno()
        command = served.knarr.command("serve", "-H", "fd://")
        server = subprocess.Popen(
            [sys.executable, "-c", program, str(number), *command],
            pass_fds=(number,), stderr=subprocess.DEVNULL,
        )  # fmt: skip
    client = UnixConnection(path)
    client.request("GET", "/_ping")  # waits in the queue until there is a server
    assert client.getresponse().read() == b"OK"
    client.close()
    server.terminate()
    assert server.wait(10) == 0
    assert "no sockets were passed" in served.knarr.fails("serve", "-H", "fd://")


def test_standard_input_and_output_are_a_connection(served: Served) -> None:
    request = head("GET /containers/json HTTP/1.1", "Connection: close")
    alone = served.knarr.do("system", "dial-stdio", stdin=request)
    assert alone.stdout.startswith("HTTP/1.1 200 OK")
    served.path = f"{served.knarr.run_dir}/docker.sock"
    served.stop()
    served.start()
    joined = served.knarr.do("system", "dial-stdio", stdin=request)
    assert joined.stdout.startswith("HTTP/1.1 200 OK")


def test_the_socket_in_a_container(served: Served) -> None:
    missing = served.knarr.fails("create", "--use-api-socket", "busybox", "true")
    assert "there is no socket of the API" in missing
    served.path = f"{served.knarr.run_dir}/docker.sock"
    served.stop()
    served.start()
    script = "[ -S /var/run/docker.sock ] && echo here"
    words = ("run", "--rm", "--use-api-socket", "busybox", "sh", "-c", script)
    assert served.knarr(*words) == "here\n"
