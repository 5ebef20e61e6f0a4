"""Which credentials are found for what, in the files of Docker and Podman."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from knarr.errors import Corrupt
from knarr.registry.credentials import Keychain, Login

if TYPE_CHECKING:
    from pathlib import Path


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def keychain(tmp_path: Path, auths: dict[str, object], **environ: str) -> Keychain:
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    return Keychain({"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path), **environ})


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("x.test", "x.test"),
        ("x.test:5000", "x.test:5000"),
        ("https://x.test", "x.test"),
        ("https://x.test/v1/", "x.test"),
        ("http://x.test/v2/", "x.test"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
    ],
)
def test_keys_in_use(tmp_path: Path, key: str, registry: str) -> None:
    found = keychain(tmp_path, {"other.test": auth("a", "b"), key: auth("u", "p:q")})
    assert found.find(registry, "any/thing") == Login("u", "p:q")
    assert found.find(f"{registry}:99") is None


def test_the_most_specific_key(tmp_path: Path) -> None:
    found = keychain(
        tmp_path,
        {
            "x.test": auth("all", "1"),
            "x.test/team": auth("team", "2"),
            "x.test/team/app": auth("app", "3"),
        },
    )
    for repository, user in (("a", "all"), ("team/b", "team"), ("team/app", "app"),
                             ("teams/b", "all")):  # fmt: skip
        login = found.find("x.test", repository)
        assert login is not None
        assert login.username == user


def test_an_identity_token(tmp_path: Path) -> None:
    found = keychain(tmp_path, {"x.test": {**auth("u", ""), "identitytoken": "t"}})
    assert found.find("x.test") == Login("u", "", "t")


def test_an_empty_entry_is_none(tmp_path: Path) -> None:
    assert keychain(tmp_path, {"x.test": {}}).find("x.test") is None


@pytest.mark.parametrize("entry", [{"auth": "%%"}, {"auth": 5}, {"identitytoken": [5]}])
def test_a_broken_entry(tmp_path: Path, entry: object) -> None:
    with pytest.raises(Corrupt, match=r"x\.test"):
        keychain(tmp_path, {"x.test": entry}).find("x.test")


def test_where_podman_keeps_its_own(tmp_path: Path) -> None:
    named = tmp_path / "named.json"
    named.write_text(json.dumps({"auths": {"x.test": auth("named", "")}}))
    runtime = tmp_path / "run/containers/auth.json"
    runtime.parent.mkdir(parents=True)
    runtime.write_text(json.dumps({"auths": {"y.test": auth("runtime", "")}}))
    dockers: dict[str, object] = {"x.test": auth("docker", "")}
    found = keychain(tmp_path, dockers, XDG_RUNTIME_DIR=str(tmp_path / "run"))
    assert found.find("x.test") == Login("docker", "")
    assert found.find("y.test") == Login("runtime", "")
    found = keychain(tmp_path, dockers, REGISTRY_AUTH_FILE=str(named))
    assert found.find("x.test") == Login("named", "")


def test_a_login_shows_no_secret() -> None:
    assert repr(Login("u", "s3cr3t", "t0k3n")) == "Login(username='u')"
