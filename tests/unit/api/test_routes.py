"""Which operation a request means, and that every route leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knarr.api import routes, versions
from knarr.errors import InvalidArgument


@pytest.mark.parametrize("route", routes.ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_has_its_handler(route: routes.Route) -> None:
    assert callable(routes.load(route.handler))


def test_no_operation_is_listed_twice() -> None:
    pairs = [(route.method, route.path) for route in routes.ROUTES]
    assert len(pairs) == len(set(pairs))


def test_what_is_not_in_the_table_is_not_found() -> None:
    assert routes.find("GET", "/nowhere") is None
    assert routes.find("POST", "/_ping") is None


@pytest.mark.parametrize(
    ("path", "version", "rest"),
    [
        ("/_ping", versions.NEWEST, "/_ping"),
        ("/v1.24/_ping", (1, 24), "/_ping"),
        ("/v1.41/images/v1.2/json", (1, 41), "/images/v1.2/json"),
        ("/version", versions.NEWEST, "/version"),
        ("/v1.22/info", versions.OLDEST, "/info"),
        ("/v1/x", versions.NEWEST, "/v1/x"),
    ],
)
def test_versions_in_paths(path: str, version: tuple[int, int], rest: str) -> None:
    assert versions.split(path) == (version, rest)


@pytest.mark.parametrize(("path", "words"), [("/v1.11/_ping", "old"), ("/v1.99/_ping", "new")])
def test_versions_that_are_not_spoken(path: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=f"too {words}"):
        versions.split(path)


def test_the_table_is_the_documentation() -> None:
    text = (Path(__file__).parent / "operations.txt").read_text()
    documented = {tuple(line.split()) for line in text.splitlines() if not line.startswith("#")}
    ours = {(route.method, route.path) for route in routes.ROUTES}
    assert {plain(one) for one in ours} == {plain(one) for one in documented}


def plain(operation: tuple[str, ...]) -> tuple[str, str]:
    """Return an operation without the names that parts of its path have."""
    method, path = operation
    return method, re.sub(r"\{[^}]*\}", "{}", path)
