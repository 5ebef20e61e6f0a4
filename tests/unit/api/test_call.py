"""How a request's query and body are read."""

from __future__ import annotations

import pytest

from knarr.api.call import MAXIMUM_DOCUMENT, Body, Call
from knarr.api.parse.containers import parse_create
from knarr.errors import InvalidArgument


def call(query: str = "", *pieces: bytes) -> Call:
    made = Call("GET", "/", query, {"content-type": "application/json; charset=utf-8"})
    waiting = list(pieces)
    made.body = Body(lambda: waiting.pop(0) if waiting else b"")
    return made


@pytest.mark.parametrize("text", ["", "0", "no", "False", "none"])
def test_what_is_false(text: str) -> None:
    assert not call(f"all={text}").flag("all", default=True)


@pytest.mark.parametrize("text", ["1", "true", "yes", "2"])
def test_what_is_true(text: str) -> None:
    assert call(f"all={text}").flag("all")


def test_a_flag_that_is_not_given() -> None:
    assert call().flag("all", default=True)


def test_numbers() -> None:
    assert call("t=-1").number("t") == -1
    assert call().number("t") is None
    with pytest.raises(InvalidArgument, match="invalid syntax"):
        call("t=soon").number("t")


def test_filters_in_both_forms() -> None:
    lists = call("filters=%7B%22label%22%3A%5B%22a%3Db%22%2C%22c%22%5D%7D")
    maps = call("filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%2C%22c%22%3Atrue%7D%7D")
    assert lists.filters() == maps.filters() == ["label=a=b", "label=c"]


@pytest.mark.parametrize("text", ["[]", "%7B%22a%22%3A1%7D", "x"])
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidArgument):
        call(f"filters={text}").filters()


def test_a_body_comes_in_pieces() -> None:
    made = call("", b"abc", b"def", b"g")
    assert made.body.read(2) == b"ab"
    assert made.body.read(3) == b"cde"
    assert made.body.read() == b"fg"
    assert made.body.read(1) == b""


def test_documents() -> None:
    assert call("", b'{"a":', b"1}").json() == {"a": 1}
    assert call().json() == {}
    assert call("", b"null").json() == {}
    for data in (b"[1]", b"{", b"\xff", b"[" * 100_000, b" " * (MAXIMUM_DOCUMENT + 1)):
        with pytest.raises(InvalidArgument):
            call("", data).json()


def test_fields_are_found_in_any_case() -> None:
    body = call(
        "", b'{"detachKeys": "ctrl-a", "HostConfig": {"CPUShares": 5}, "Labels": {"a": "b"}}'
    )
    document = body.json()
    assert document.get("DetachKeys") == "ctrl-a"
    assert document["HostConfig"].get("CpuShares") == 5
    assert document.get("Labels") == {"a": "b"}
    assert document.get("Other", 1) == 1


def test_what_docker_py_writes_beside_the_host_config_counts() -> None:
    options = parse_create({"Image": "x", "Runtime": "/bin/true", "HostConfig": {}})
    assert options.runtime == "/bin/true"
    options = parse_create({"Image": "x", "HostConfig": {"Isolation": "default"}})
    assert options.isolation == "default"
