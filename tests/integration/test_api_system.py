"""What clients ask first: ping, version, info."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.serving import Served

pytestmark = pytest.mark.root


def test_ping_says_what_is_spoken(served: Served) -> None:
    for method in ("GET", "HEAD"):
        response, body = served.request(method, "/_ping")
        assert response.status == 200
        assert response.headers["Api-Version"] == "1.55"
        assert response.headers["Ostype"] == "linux"
        assert response.headers["Builder-Version"] in ("1", "2")
        assert response.headers["Swarm"] == "inactive"
        assert body == (b"OK" if method == "GET" else b"")


def test_version_and_info(served: Served) -> None:
    version = served.get("/v1.41/version")
    assert version["ApiVersion"] == "1.55"
    assert version["MinAPIVersion"] == "1.24"
    info = served.get("/info")
    assert info["Images"] == 1
    assert info["OSType"] == "linux"
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["ID"] == served.get("/info")["ID"]


def test_the_docker_command_line_is_content(served: Served) -> None:
    done = served.docker("version", "--format", "{{.Server.APIVersion}}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1.55\n", "")
    assert "Storage Driver: overlay2" in served.docker("info").stdout


def test_what_is_not_there(served: Served) -> None:
    assert served.ask("GET", "/nowhere") == (404, {"message": "page not found"})
    assert served.ask("GET", "/v1.99/info")[0] == 400
    assert served.ask("GET", "/%00")[0] == 400
    assert served.ask("GET", "/containers/../info")[0] == 400
