"""Names, platforms and credentials as requests bring them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from urllib.parse import quote

import pytest

from knarr.api.call import Call
from knarr.api.parse.credentials import parse_auth, parse_auths
from knarr.api.parse.names import parse_platforms, parse_source
from knarr.errors import InvalidArgument
from knarr.oci.descriptor import Platform

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "tag", "meant"),
    [
        ("busybox", "latest", "docker.io/library/busybox:latest"),
        ("busybox:1", "", "docker.io/library/busybox:1"),
        ("busybox:1", "2", "docker.io/library/busybox:2"),
        ("busybox:", "", "docker.io/library/busybox"),
        ("busybox", DIGEST, f"docker.io/library/busybox@{DIGEST}"),
        ("localhost:5000/x", "y", "localhost:5000/x:y"),
    ],
)
def test_a_tag_completes_a_name(name: str, tag: str, meant: str) -> None:
    assert str(parse_source(name, tag)) == meant


def test_platforms_are_words_or_objects() -> None:
    document = json.dumps({"os": "linux", "architecture": "arm"})
    call = Call("GET", "/", f"platform=linux/arm64&platform={quote(document)}", {})
    assert parse_platforms(call) == [Platform("linux", "arm64"), Platform("linux", "arm")]
    with pytest.raises(InvalidArgument):
        parse_platforms(Call("GET", "/", "platform=%7B%22os%22%3A1%7D", {}))


def encoded(document: object) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).decode()


def test_one_login_is_for_whatever_registry_the_request_is_about() -> None:
    headers = {"x-registry-auth": encoded({"username": "anna", "password": "x", "email": "?"})}
    login = parse_auth(headers).find("registry.example")
    assert login is not None
    assert (login.username, login.secret) == ("anna", "x")


@pytest.mark.parametrize("text", ["", "?", "bm9wZQ==", encoded([]), encoded({})])
def test_without_a_valid_login_nobody_asks(text: str) -> None:
    assert parse_auth({"x-registry-auth": text}).find("registry.example") is None


def test_a_build_brings_logins_by_registry() -> None:
    pair = urlsafe_b64encode(b"bert:geheim").decode()
    config = {"a.example": {"auth": pair}, "b.example": {"identitytoken": "t"}, "c.example": {}}
    handed = parse_auths({"x-registry-config": encoded(config)})
    first, second = handed.find("a.example"), handed.find("b.example")
    assert first is not None
    assert (first.username, first.secret) == ("bert", "geheim")
    assert second is not None
    assert second.identity_token == "t"
    assert handed.find("c.example") is None
    with pytest.raises(InvalidArgument, match="X-Registry-Config"):
        parse_auths({"x-registry-config": "?"})
