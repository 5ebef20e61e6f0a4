"""What a client hears while an image moves."""

from __future__ import annotations

from typing import Any

import pytest

from knarr.api.render import transfers as render
from knarr.engine.image.pulling import Pulled
from knarr.engine.image.pushing import Pushed
from knarr.oci.digest import digest_of
from knarr.oci.reference import parse_reference

DIGEST = digest_of(b"layer")
NAME = parse_reference("registry.example/app:1")


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


def test_the_opening_comes_before_the_first_layer_and_once(told: list[dict[str, Any]]) -> None:
    layers = render.Layers(told.append, new="Pulling fs layer")
    layers.opening = render.pulling(NAME)
    assert told == []
    layers(DIGEST, "Waiting", 0, 0)
    layers.open()
    assert told == [
        {"status": "Pulling from app", "id": "1"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": DIGEST.short},
        {"status": "Waiting", "progressDetail": {}, "id": DIGEST.short},
    ]


def test_progress_is_told_in_numbers_and_as_a_picture(told: list[dict[str, Any]]) -> None:
    layers = render.Layers(told.append)
    layers(DIGEST, "Downloading", 500, 1000)
    (document,) = told
    assert document["progressDetail"] == {"current": 500, "total": 1000}
    assert document["progress"] == f"[{'=' * 25}>{' ' * 24}] 500B/1kB"


def test_progress_is_not_told_more_often_than_anybody_looks(told: list[dict[str, Any]]) -> None:
    layers = render.Layers(told.append)
    for done in range(1001):
        layers(DIGEST, "Downloading", done, 1000)
    for _ in range(3):
        layers(DIGEST, "Pull complete", 0, 0)
    assert 3 <= len(told) < 50
    assert told[-2]["progressDetail"]["current"] == 1000
    assert told[-1]["status"] == "Pull complete"


def test_a_transfer_ends_with_digest_and_name() -> None:
    pulled = Pulled(NAME, DIGEST, DIGEST, newer=True)
    assert [document["status"] for document in render.pulled(pulled)] == [
        f"Digest: {DIGEST}",
        "Status: Downloaded newer image for registry.example/app:1",
    ]
    line, aux = render.pushed(Pushed(NAME, DIGEST, 17))
    assert line == {"status": f"1: digest: {DIGEST} size: 17"}
    assert aux["aux"] == {"Tag": "1", "Digest": DIGEST, "Size": 17}
