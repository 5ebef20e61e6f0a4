"""`builder du` and `builder prune`: what the cache holds, and what of it goes."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from knarr.util.files import FileLock
from support.workshop import Workshop

pytestmark = pytest.mark.root

MADE = """\
FROM busybox
RUN head -c 300000 /dev/zero > /first
RUN head -c 200000 /dev/zero > /second
"""


def records(shop: Workshop, *words: str) -> dict[str, dict[str, Any]]:
    """Return what the cache holds, by the last word of its description."""
    return {row["Description"].split(" ")[-1]: row for row in json_lines(shop, *words)}


def json_lines(shop: Workshop, *words: str) -> list[dict[str, Any]]:
    """Return the records that the cache holds."""
    lines = shop.knarr("builder", "du", "--format", "json", *words).splitlines()
    return [json.loads(line) for line in lines]


def test_du_tells_what_could_be_had_back(shop: Workshop) -> None:
    shop.build(MADE)
    found = records(shop)
    assert found.keys() == {"/first", "/second"}
    assert (found["/first"]["Shared"], found["/first"]["Reclaimable"]) == ("true", "false")
    shop.knarr("rmi", "made")
    found = records(shop)
    assert (found["/first"]["Shared"], found["/first"]["Reclaimable"]) == ("false", "true")
    said = shop.knarr("builder", "du").splitlines()
    assert said[0].split("  ")[0] == "ID"
    assert [word.strip() for word in said[0].split("   ") if word] == [
        "ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED",
    ]  # fmt: skip
    assert [line.split() for line in said[-2:]] == [["Reclaimable:", "500kB"], ["Total:", "500kB"]]
    assert "Description:    RUN /bin/sh -c head" in shop.knarr("builder", "du", "--verbose")


def test_filters_choose_among_records(shop: Workshop) -> None:
    shop.build(MADE)
    key = records(shop)["/second"]["ID"]
    assert records(shop, "--filter", f"id={key[:8]}").keys() == {"/second"}
    assert records(shop, "--filter", "type=regular").keys() == {"/first", "/second"}
    assert records(shop, "--filter", "type=source.git") == {}
    assert records(shop, "--filter", "shared=false") == {}
    assert records(shop, "--filter", "until=1h") == {}
    assert "invalid filter 'colour'" in shop.knarr.fails("builder", "du", "--filter", "colour=red")


def test_prune_takes_what_was_chosen_and_leaves_what_fits(shop: Workshop) -> None:
    shop.build(MADE)
    shop.knarr("rmi", "made")
    key = records(shop)["/second"]["ID"]
    assert key in shop.knarr("builder", "prune", "-f", "--filter", f"id={key}")
    assert records(shop).keys() == {"/first"}
    shop.knarr("builder", "prune", "-f", "--max-used-space", "400kB")
    assert records(shop).keys() == {"/first"}
    shop.knarr("builder", "prune", "-f", "--max-used-space", "100kB")
    assert records(shop) == {}


CACHING = """\
FROM busybox
RUN --mount=type=cache,target=/c,id=mine test -e /c/data || head -c 400000 /dev/zero > /c/data
"""


def test_caches_of_steps_are_listed_and_go(shop: Workshop) -> None:
    shop.build(CACHING)
    (found,) = json_lines(shop, "--filter", "type=exec.cachemount")
    assert (found["Description"], found["Size"]) == ("cached mount mine", "400kB")
    assert found["Reclaimable"] == "true"
    assert "400kB" in shop.knarr("system", "df").splitlines()[-1]
    assert found["ID"] in shop.knarr("builder", "prune", "-f", "--dry-run")
    shop.knarr("builder", "prune", "-f", "--filter", "until=1h")
    assert [one["ID"] for one in json_lines(shop, "--filter", "type=exec.cachemount")] == [
        found["ID"]
    ]
    said = shop.knarr("builder", "prune", "-f")
    assert found["ID"] in said
    assert "Total reclaimed space: 400kB" in said
    assert json_lines(shop, "--filter", "type=exec.cachemount") == []
    shop.build(CACHING + "RUN true\n")  # and it is made anew


def test_a_cache_in_use_stays(shop: Workshop) -> None:
    shop.build(CACHING)
    parent = f"{shop.knarr.engine.paths.root}/builds/caches"
    (name,) = os.listdir(parent)
    with FileLock(f"{parent}/{name}/lock"):
        assert name not in shop.knarr("builder", "prune", "-af")
    assert os.path.getsize(f"{parent}/{name}/data/data") == 400000
    os.rename(f"{parent}/{name}/data", f"{parent}/{name}/data.removed")  # a removal cut short
    shop.knarr("builder", "prune", "-f")
    assert not os.path.exists(f"{parent}/{name}/data.removed")
