"""POST /build as clients of the classic builder send it."""

from __future__ import annotations

import gzip
import io
import json
import os
import time
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import zstandard

from support import images
from support.images import archive
from support.offers import offer
from support.testregistry import PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.serving import Served

pytestmark = pytest.mark.root

TAR = {"Content-Type": "application/x-tar"}


def context(dockerfile: str, **files: bytes) -> bytes:
    return archive({"Dockerfile": dockerfile.encode(), **files})


def build(served: Served, body: bytes, **query: Any) -> list[dict[str, Any]]:
    """Build, and return the documents of the answer, whose status has to be 200."""
    response, data = served.request("POST", f"/build?{urlencode(query, doseq=True)}", body, TAR)
    assert response.status == 200, data
    return [json.loads(line) for line in data.splitlines()]


def text(documents: list[dict[str, Any]]) -> str:
    return "".join(document.get("stream", "") for document in documents)


def test_it_tells_of_steps_and_makes_an_image_under_all_its_names(served: Served) -> None:
    dockerfile = "FROM busybox\nARG WHO\nCOPY file /file\nRUN cat /file; echo $WHO\nLABEL a=b"
    query = {"t": ["one", "two:2"], "buildargs": '{"WHO": "me"}', "labels": '{"c": "d"}'}
    documents = build(served, context(dockerfile, file=b"content\n"), **query)
    said = text(documents)
    assert "Step 1/5 : FROM busybox\n" in said
    assert "Step 4/5 : RUN cat /file; echo $WHO\ncontent\nme\n" in said
    assert said.endswith("Successfully tagged one:latest\nSuccessfully tagged two:2\n")
    (aux,) = [document["aux"] for document in documents if "aux" in document]
    image = served.get("/images/two:2/json")
    assert image["Id"] == aux["ID"]
    assert image["Config"]["Labels"] == {"a": "b", "c": "d"}
    assert image["RepoTags"] == ["one:latest", "two:2"]


def test_the_dockerfile_may_be_of_today(served: Served) -> None:
    dockerfile = (
        "FROM busybox\nRUN --mount=type=cache,target=/cache echo kept >/cache/x\n"
        "COPY --chmod=600 <<EOF /made\nheredoc\nEOF\n"
        "RUN --mount=type=cache,target=/cache cat /cache/x /made; stat -c %a /made\n"
    )
    said = text(build(served, context(dockerfile)))
    assert "kept\nheredoc\n600\n" in said


def test_what_is_there_already_is_not_done_again(served: Served) -> None:
    body = context("FROM busybox\nENV A=1\nRUN echo $A\nCMD sh")
    assert "Using cache" not in text(build(served, body))
    assert text(build(served, body)).count(" ---> Using cache\n") == 3
    assert "Using cache" not in text(build(served, body, nocache="1"))
    assert "Using cache" not in text(build(served, body, cachefrom='["nosuchimage"]'))


@pytest.mark.parametrize(
    "packed", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"]
)
def test_contexts_may_be_compressed(served: Served, packed: Callable[[bytes], bytes]) -> None:
    body = packed(context("FROM busybox\nCOPY x /\nRUN cat /x", x=b"unpacked\n"))
    assert "unpacked\n" in text(build(served, body))


def test_another_dockerfile_a_target_and_names_of_hosts(served: Served) -> None:
    files = {
        "sub/Other": b"FROM busybox AS first\nRUN cat /etc/hosts\nFROM nowhere\n",
        "Dockerfile": b"NONSENSE",
    }
    query = {"dockerfile": "sub/Other", "target": "first", "extrahosts": ["host.test:10.1.2.3"]}
    assert "10.1.2.3\thost.test" in text(build(served, archive(files), **query))


def test_a_command_that_fails_is_an_error_with_its_status(served: Served) -> None:
    documents = build(served, context("FROM busybox\nRUN echo so; exit 9"), t="never")
    assert "so\n" in text(documents)
    message = "The command '/bin/sh -c echo so; exit 9' returned a non-zero code: 9"
    assert documents[-1] == {"errorDetail": {"code": 9, "message": message}, "error": message}
    assert served.ask("GET", "/images/never/json")[0] == 404


@pytest.mark.parametrize(
    ("dockerfile", "query", "message"),
    [
        ("FROM busybox\nNONSENSE", {}, "unknown instruction: NONSENSE"),
        ("FROM busybox", {"t": "UPPER"}, "must be lowercase"),
        ("FROM busybox", {"target": "gone"}, 'target stage "gone" could not be found'),
        ("FROM busybox", {"remote": "/etc"}, "unable to prepare context"),
        ("FROM busybox", {"squash": "1"}, "experimental"),
        ("FROM busybox", {"dockerfile": "../x"}, "failed to read dockerfile"),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(
    served: Served, dockerfile: str, query: dict[str, str], message: str
) -> None:
    path = f"/build?{urlencode(query)}"
    response, data = served.request("POST", path, context(dockerfile), TAR)
    assert response.status in (400, 404)
    assert message in json.loads(data)["message"]


def test_quiet_builds_say_the_id(served: Served) -> None:
    documents = build(served, context("FROM busybox\nRUN echo loud"), q="1", t="made")
    assert documents == [{"stream": f"{served.get('/images/made/json')['Id']}\n"}]


def test_steps_find_who_is_in_their_network(served: Served) -> None:
    network = served.post("/networks/create", {"Name": "net"})["Id"]
    served.knarr("run", "-d", "--name", "web", "--network", "net", "busybox", "sleep", "1000")
    dockerfile = context("FROM busybox\nRUN grep -w web /etc/hosts")
    assert "web" in text(build(served, dockerfile, networkmode=network))


def test_bases_are_pulled_with_the_credentials_of_the_request(served: Served) -> None:
    with TestRegistry(basic=True) as registry:
        offer(registry, "a/b", "1", [images.layer_tar({"file": b"x"})])
        body = context(f"FROM {registry.host}/a/b:1\nLABEL a=b")
        failed = build(served, body)
        assert "errorDetail" in failed[-1]
        login = {registry.host: {"username": USER, "password": PASSWORD}}
        header = urlsafe_b64encode(json.dumps(login).encode()).decode()
        headers = {**TAR, "X-Registry-Config": header}
        response, data = served.request("POST", "/build?t=made", body, headers)
        assert response.status == 200
        assert b"Successfully tagged made:latest" in data


def test_it_ends_with_its_client(served: Served) -> None:
    connection = served.connect()
    body = context("FROM busybox\nRUN echo up; sleep 1000")
    head = f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    heard = b""
    while b"up" not in heard:
        heard += connection.recv(4096)
    connection.close()
    journal = f"{served.knarr.root}/journal"
    deadline = time.monotonic() + 10
    while os.listdir(journal):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_canceled_by_its_id(served: Served) -> None:
    connection = served.connect()
    body = context("FROM busybox\nRUN echo up; sleep 1000")
    head = f"POST /build?buildid=mine HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with connection:
        connection.sendall(head.encode() + body)
        heard = io.BytesIO()
        while b"up" not in heard.getvalue():
            heard.write(connection.recv(4096))
        assert served.ask("POST", "/build/cancel?id=mine")[0] == 204
        while b"canceled" not in heard.getvalue():
            heard.write(connection.recv(4096))
    assert served.ask("POST", "/build/cancel?id=mine")[0] == 204
    assert served.ask("POST", "/build/cancel")[0] == 400


def test_the_cache_is_pruned(served: Served) -> None:
    body = context("FROM busybox\nRUN echo x >/x")
    build(served, body)
    assert served.post("/build/prune?keep-storage=1000000000")["CachesDeleted"] is None
    pruned = served.post("/build/prune?all=1")
    assert pruned["CachesDeleted"]
    assert "Using cache" not in text(build(served, body))
