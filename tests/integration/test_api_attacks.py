"""What pages in browsers, strangers and clients that lie try on the server of the API."""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from grpclib import GRPCError
from grpclib.const import Status

from knarr.api.buildkit import wire
from support.buildclient import BuildClient
from support.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root

MEMORY = 128 << 10  # KiB that a client may cost at most
MOBY = [("moby", {"name": "one"})]


def say(served: Served, data: bytes) -> bytes:
    """Send bytes, and return what comes back first."""
    with served.connect() as bare:
        bare.sendall(data)
        return bare.recv(1 << 16)


def peak(served: Served) -> int:
    """Return the most memory that the server ever had, in KiB."""
    with open(f"/proc/{served.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: text/plain; a=application/json\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
    ],
)
def test_a_page_in_a_browser_makes_no_container(served: Served, kind: str) -> None:
    """These are the kinds of content that a page may send anywhere without being asked."""
    body = json.dumps({"Image": "busybox", "HostConfig": {"Privileged": True}}).encode()
    head = (
        f"POST /containers/create HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
    )
    said = say(served, head.encode() + body)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"must be 'application/json'" in said
    assert served.get("/containers/json?all=1") == []


@pytest.mark.parametrize("text", ["[" * 50_000, '{"label":' * 9_000, '{"label":["a", 1]}', "7"])
def test_filters_that_are_none(served: Served, text: str) -> None:
    head = f"GET /containers/json?filters={quote(text)} HTTP/1.1\r\nHost: x\r\n\r\n"
    assert say(served, head.encode()).startswith(b"HTTP/1.1 400 ")


def test_clients_who_leave_write_no_log(served: Served) -> None:
    before = served.words()
    for data in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        with served.connect() as bare:
            bare.sendall(b"POST /containers/create HTTP/1.1\r\nHost: x\r\n" + data)
    for _ in range(20):
        served.get("/info")
        time.sleep(0.01)
    assert served.words() == before


def test_strangers_are_counted_before_they_are_known(served: Served, tmp_path: Path) -> None:
    """Who says nothing under TLS has a thread for ten seconds, however fast bytes drip."""
    authority = Authority(tmp_path / "certificates")
    with served.under_tls(authority) as (port, pid):
        mute = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        slow = socket.create_connection(("127.0.0.1", port))
        hello = _client_hello()
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe
            for byte in hello * 10:
                slow.send(bytes((byte,)))
                time.sleep(0.1)
        assert time.monotonic() - began < 20
        assert len(os.listdir(f"/proc/{pid}/task")) < 20
        for each in (*mute, slow):
            each.close()


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(
            incoming, outgoing, server_hostname="x"
        ).do_handshake()
    return outgoing.read()


def client(
    served: Served, directory: Path, stats: list[Mapping[str, object]] | None = None
) -> BuildClient:
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text("FROM busybox\nCOPY . /x/\n")
    places = {"context": directory, "dockerfile": directory}
    return BuildClient(served.path, directories=places, stats=stats)


def test_files_that_are_larger_than_told(served: Served, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    with (context / "endless").open("wb") as file:
        file.truncate(1 << 30)
    stats: list[Mapping[str, object]] = [{"path": "endless", "mode": 0o644, "size": 10}]
    before = peak(served)
    with client(served, context, stats) as hostile, pytest.raises(GRPCError) as raised:
        hostile.solve({}, MOBY)
    assert "larger than it told" in str(raised.value.message)
    assert peak(served) - before < MEMORY


@pytest.mark.parametrize("told", [{"size": -1}, {"size": -(1 << 63)}])
def test_files_of_less_than_nothing(
    served: Served, tmp_path: Path, told: dict[str, object]
) -> None:
    stats: list[Mapping[str, object]] = [{"path": "a", "mode": 0o644, **told}]
    with client(served, tmp_path / "context", stats) as hostile, pytest.raises(GRPCError) as raised:
        hostile.solve({}, MOBY)
    assert "bytes" in str(raised.value.message)


def test_a_message_without_end(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may announce four gigabytes, and send them."""
    monkeypatch.setattr(wire, "LARGEST", 1 << 40)  # for our side, which is in this process
    before = peak(served)
    with client(served, tmp_path / "context") as hostile:
        with pytest.raises(GRPCError) as raised:
            hostile.call("Solve", Ref="one", FrontendAttrs={"a": "x" * (200 << 20)})
        assert raised.value.status is Status.RESOURCE_EXHAUSTED
        assert "more than 16777216" in str(raised.value.message)
    assert peak(served) - before < MEMORY
