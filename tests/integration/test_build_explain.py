"""Why a build did a step again: `build --explain` and `explain build`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

STORY = """\
FROM busybox AS build
ARG VERSION=1
COPY src/ /app/
RUN echo "$VERSION" > /version
FROM busybox
COPY --from=build /app /app
COPY --from=build /version /
RUN cat /app/a /version > /all
"""


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("src/a", "one")
    shop.write("src/b", "two")
    return shop


def why(shop: Workshop, *words: str) -> dict[str, list[str]]:
    """Build, and return the causes of each step by its instruction; of cached steps none."""
    before = shop.try_build("--explain", *words)
    assert before.status == 0, before.output
    found: dict[str, Any] = json.loads(shop.knarr("explain", "-f", "json", "build"))
    said = {
        step["Name"].partition("] ")[2]: [cause["Sentence"] for cause in step["Causes"]]
        for step in found["Steps"]
    }
    for sentences in said.values():
        for sentence in sentences:
            assert f"    {sentence}\n" in before.output
    return {name: sentences for name, sentences in said.items() if sentences}


def test_first_build_and_one_without_changes(shop: Workshop) -> None:
    shop.write("Dockerfile", STORY)
    assert set(map(tuple, why(shop).values())) == {("no build of this Dockerfile is remembered",)}
    assert why(shop) == {}
    assert "RUN cat /app/a /version > /all: cached, done" in shop.knarr("explain", "build")


def test_changed_files_are_named(shop: Workshop) -> None:
    shop.build(STORY)
    shop.write("src/a", "three")
    shop.write("src/b", "two", mode=0o755)
    shop.write("src/c", "new")
    found = why(shop)
    assert found["COPY src/ /app/"] == [
        "the content of src/a changed",
        "the mode of src/b changed from 0644 to 0755",
        "src/c was added",
    ]
    assert found["COPY --from=build /app /app"][0] == "the content of app/a changed"
    assert found['RUN echo "1" > /version'] == [
        "the files below it changed: [build 2/3] COPY src/ /app/"
    ]
    os.unlink(shop.directory / "src" / "c")
    assert why(shop)["COPY src/ /app/"] == ["src/c was removed"]


def test_touching_a_file_is_no_change(shop: Workshop) -> None:
    shop.build(STORY)
    os.utime(shop.directory / "src" / "a")
    assert why(shop) == {}


def test_arguments_are_named_with_their_values(shop: Workshop) -> None:
    shop.build(STORY)
    found = why(shop, "--build-arg", "VERSION=2")
    assert found['RUN echo "2" > /version'] == ["ARG VERSION changed from 1 to 2"]
    assert found["COPY --from=build /version /"] == ["the content of version changed"]
    assert "COPY src/ /app/" not in found


def test_changed_and_new_instructions(shop: Workshop) -> None:
    shop.build(STORY)
    shop.write("Dockerfile", STORY.replace("RUN cat", "ENV X=1\nRUN wc") + "RUN true\n")
    assert why(shop) == {
        "RUN wc /app/a /version > /all": [
            "the instruction was changed; it was RUN cat /app/a /version > /all",
            "ENV X is new: 1",
        ],
        "RUN true": ["the instruction is new"],
    }


def test_another_base_image(shop: Workshop) -> None:
    shop.build("FROM busybox\nRUN true")
    shop.knarr("tag", "busybox", "old")
    other = shop.write("Other", "FROM old\nRUN echo other > /new")
    shop.build("", "-f", str(other), tag="busybox")
    found = why(shop)
    (said,) = found["FROM docker.io/library/busybox:latest"]
    assert said.startswith("the image docker.io/library/busybox:latest is another: it was sha256:")
    assert found["RUN true"] == [said]


def test_no_cache_and_a_pruned_cache(shop: Workshop) -> None:
    shop.build(STORY)
    assert set(map(tuple, why(shop, "--no-cache").values())) == {("the cache was not to be used",)}
    shop.knarr("builder", "prune", "-af")
    gone = "nothing changed, but its result is no longer in the cache"
    assert why(shop)["COPY src/ /app/"] == [gone]


def test_what_a_failed_build_did_not_come_to_is_compared_with_the_build_before(
    shop: Workshop,
) -> None:
    shop.build(STORY)
    shop.write("src/a", "three")
    text = STORY.replace('echo "$VERSION"', "false")
    shop.write("Dockerfile", text)
    said = shop.try_build("--explain").output
    assert "RUN false > /version: failed, for" in said
    shop.write("Dockerfile", STORY)
    assert why(shop)["COPY --from=build /app /app"] == ["the content of app/a changed"]


def test_a_container_of_that_name_is_explained_by_its_id(shop: Workshop) -> None:
    container = shop.knarr("run", "-d", "--name", "build", "busybox", "true").strip()
    shop.knarr("wait", "build")
    assert "ended by itself" in shop.knarr("explain", container)
    assert "no build is remembered" in shop.knarr.fails("explain", "build")
    assert "one container at a time" in shop.knarr.fails("explain", container, "x")
