"""GitHub Actions' cache service: what the words mean, what a token allows, whose number is next."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from knarr.engine.build.caching.actions.cache import save_document
from knarr.engine.build.caching.actions.calls import PIECE, Body, Found, Slot, patience_of
from knarr.engine.build.caching.actions.tokens import Scope, read_scopes, writable
from knarr.engine.build.words.actions import parse_actions
from knarr.errors import Conflict, Corrupt, InvalidArgument, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST, SECOND = "https://first.example/x/", "https://second.example/"
TOKEN = {"token": "t.t.t"}


@pytest.mark.parametrize(
    ("fields", "environ", "url", "version"),
    [
        ({"url": FIRST}, {}, FIRST, 1),
        ({"url_v2": SECOND}, {}, SECOND, 2),
        ({"url": FIRST, "url_v2": SECOND}, {}, SECOND, 2),
        ({"url": FIRST, "url_v2": SECOND, "version": "1"}, {}, FIRST, 1),
        ({"url": SECOND, "version": "2"}, {}, SECOND, 2),
        ({}, {"ACTIONS_CACHE_URL": FIRST, "ACTIONS_RESULTS_URL": SECOND}, FIRST, 1),
        ({}, {"ACTIONS_RESULTS_URL": SECOND, "ACTIONS_CACHE_SERVICE_V2": "True"}, SECOND, 2),
        ({"version": "2"}, {"ACTIONS_RESULTS_URL": SECOND}, SECOND, 2),
        ({}, {"ACTIONS_RESULTS_URL": SECOND, "ACTIONS_CACHE_SERVICE_V2": ""}, SECOND, 1),
        (
            {"url": "https://results-receiver.actions.githubusercontent.com/"},
            {},
            "https://results-receiver.actions.githubusercontent.com/",
            2,
        ),
    ],
)
def test_the_service_is_found_as_buildx_and_buildkit_find_it(
    fields: Mapping[str, str], environ: Mapping[str, str], url: str, version: int
) -> None:
    cache = parse_actions({**fields, **TOKEN}, environ)
    assert (cache.url, cache.version) == (url, version)


def test_what_nobody_says_is_named_and_where_it_comes_from() -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_actions({}, {})
    for word in ("ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL", "url_v2="):
        assert word in caught.value.message
    assert "run steps" in caught.value.hint
    with pytest.raises(InvalidArgument, match=r"nor token=$"):
        parse_actions({"url": FIRST}, {})


@pytest.mark.parametrize(
    "fields", [{"version": "3"}, {"timeout": "soon"}, {"url": "ftp://x"}, {"url": "x"}]
)
def test_what_cannot_be_is_refused(fields: Mapping[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        parse_actions({"url": FIRST, **TOKEN, **fields}, {})


def test_the_value_does_not_show_its_tokens() -> None:
    fields = {
        "url": FIRST,
        "token": "first-secret",
        "ghtoken": "second-secret",
        "repository": "a/b",
    }
    assert "secret" not in repr(parse_actions(fields, {}))


def token_of(claims: Mapping[str, object]) -> str:
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{text}.signature"


ACCESS = json.dumps([{"Scope": "refs/heads/a", "Permission": 3}, {"Scope": "b", "Permission": 1}])


def test_the_scopes_of_a_token_are_read_in_order() -> None:
    scopes = read_scopes(token_of({"ac": ACCESS, "exp": 200, "nbf": 100}), now=150)
    assert scopes == (Scope("refs/heads/a", 3), Scope("b", 1))
    assert writable(scopes) == "refs/heads/a"
    assert writable(scopes[1:]) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "a.!.c",
        token_of({}),
        token_of({"ac": "x"}),
        token_of({"ac": [1]}),
        "a.b.c d",
    ],
)
def test_what_is_no_token_of_a_job_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_scopes(token)
    assert not token or token not in caught.value.message
    assert "GITHUB_TOKEN" in caught.value.hint


@pytest.mark.parametrize(("now", "words"), [(300, "was good until"), (50, "will be good from")])
def test_a_token_has_its_time(now: float, words: str) -> None:
    with pytest.raises(Unauthorized, match=words):
        read_scopes(token_of({"ac": ACCESS, "exp": 200, "nbf": 100}), now=now)


def test_patience_lasts_for_about_the_timeout() -> None:
    for timeout in (1.0, 30.0, 600.0):
        patience = patience_of(timeout)
        assert timeout - patience.longest <= sum(patience.pauses()) <= timeout
        assert patience.longest_asked == timeout
    assert patience_of(0.0).attempts == 1


def test_a_body_is_parted_without_a_rest() -> None:
    body = Body(2 * PIECE + 7, open)  # type: ignore[arg-type]
    assert list(body.pieces()) == [(0, PIECE), (PIECE, PIECE), (2 * PIECE, 7)]


class Numbers:
    """A service that has documents up to `newest`, and on which others have reserved some."""

    def __init__(self, newest: int, *reserved: int) -> None:
        self.newest = f"family#{newest}" if newest else ""
        self.reserved = set(reserved)
        self.kept: dict[str, bytes] = {}
        self.slept = 0.0

    def find(self, key: str) -> Found | None:
        return Found(self.newest, "") if self.newest.startswith(key) and self.newest else None

    def reserve(self, key: str) -> Slot:
        if int(key.partition("#")[2]) in self.reserved:
            raise Conflict(key)
        return Slot(key, "")

    def upload(self, slot: Slot, body: Body) -> None:
        self.kept[slot.key] = body.open(0).read()

    def commit(self, slot: Slot, size: int) -> None:
        assert len(self.kept[slot.key]) == size
        self.newest = slot.key

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_the_next_document_has_the_next_number() -> None:
    service = Numbers(0)
    for _ in range(2):
        save_document(service, "family", b"it", sleep=service.sleep)
    assert list(service.kept) == ["family#1", "family#2"]
    assert service.slept == 0


def test_who_writes_at_the_same_time_is_waited_for() -> None:
    service = Numbers(3, 4)

    def sleep(seconds: float) -> None:
        service.sleep(seconds)
        service.newest = "family#4"

    save_document(service, "family", b"it", sleep=sleep)
    assert list(service.kept) == ["family#5"]
    assert service.slept == 2


def test_who_was_killed_is_passed_over() -> None:
    service = Numbers(3, 4, 5)
    save_document(service, "family", b"it", sleep=service.sleep)
    assert list(service.kept) == ["family#6"]
    assert 10 < service.slept < 20


def test_a_service_that_refuses_all_numbers_is_not_asked_for_ever() -> None:
    service = Numbers(0, *range(200))
    with pytest.raises(Conflict, match="reserved, and never written"):
        save_document(service, "family", b"it", sleep=service.sleep)


def test_a_document_without_a_number_is_told_of() -> None:
    service: Any = Numbers(0)
    service.newest = "family#x"
    with pytest.raises(Corrupt):
        save_document(service, "family", b"it")
