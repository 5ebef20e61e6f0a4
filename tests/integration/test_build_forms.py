"""Options that change what a build shows, what it does again, and how many layers come of it."""

from __future__ import annotations

import base64
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

STAGES = """\
FROM busybox AS one
RUN echo one > /one
FROM busybox AS two
COPY --from=one /one /one
RUN echo two > /two && rm /one
"""


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("Dockerfile", STAGES)
    return shop


def layers(shop: Workshop, image: str) -> list[str]:
    found: list[str] = json.loads(shop.knarr("image", "inspect", image))[0]["RootFS"]["Layers"]
    return found


def test_stages_that_are_not_to_be_cached(shop: Workshop) -> None:
    shop.build()
    assert shop.build("", "--no-cache-filter", "two").done == [
        "COPY --from=one /one /one", "RUN echo two > /two && rm /one",
    ]  # fmt: skip
    assert len(shop.build("", "--no-cache-filter=one,two").done) == 3
    assert shop.build().done == []


def test_new_layers_become_one(shop: Workshop) -> None:
    shop.build()
    before = shop.history()
    shop.build("", "--squash", tag="squashed")
    assert layers(shop, "squashed")[:-1] == layers(shop, "busybox")
    assert shop.read("cat /two; ls /one 2>/dev/null || echo gone", image="squashed") == "two\ngone"
    assert shop.history("squashed")[1:] == before
    assert shop.config("squashed") == shop.config("made")
    first = shop.image_id("squashed")
    shop.build("", "--squash", "--no-cache", tag="squashed")
    assert shop.image_id("squashed") == first
    shop.build("FROM busybox\nLABEL a=b", "--squash", tag="same")
    assert layers(shop, "same") == layers(shop, "busybox")


def test_annotations_go_into_the_manifest(shop: Workshop) -> None:
    path = shop.directory.parent / "out.tar"
    shop.build("", "--annotation", "a=1", "--annotation", "manifest:b=2", "-o",
               f"type=oci,dest={path}")  # fmt: skip
    with tarfile.open(path) as tar:

        def read(name: str) -> dict[str, Any]:
            file = tar.extractfile(name)
            assert file is not None
            found: dict[str, Any] = json.load(file)
            return found

        digest = read("index.json")["manifests"][0]["digest"].removeprefix("sha256:")
        manifest = read(f"blobs/sha256/{digest}")
    assert manifest["annotations"].items() >= {"a": "1", "b": "2"}.items()
    shown = shop.knarr.fails("build", "--annotation", "nothing", str(shop.directory))
    assert "invalid annotation nothing" in shown


def test_progress_for_programs(shop: Workshop) -> None:
    text = "FROM busybox AS Base\nRUN echo shown; echo other >&2\nRUN exit 3\n"
    shop.write("Dockerfile", text)
    done = shop.knarr.do("build", "--progress", "rawjson", str(shop.directory))
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert last.startswith("knarr: failed to solve")
    events = [json.loads(line) for line in lines]
    vertices = {each["digest"]: each for event in events for each in event.get("vertexes", ())}
    names = {each["name"]: each for each in vertices.values()}
    first = names["[2/3] RUN echo shown; echo other >&2"]
    assert first["started"] < first["completed"]
    assert names["[1/3] FROM docker.io/library/busybox:latest"]["cached"] is True
    assert first["inputs"] == [names["[1/3] FROM docker.io/library/busybox:latest"]["digest"]]
    assert "exit code: 3" in names["[3/3] RUN exit 3"]["error"]
    logs = [each for event in events for each in event.get("logs", ())]
    assert {(each["stream"], base64.b64decode(each["data"])) for each in logs} == {
        (1, b"shown\n"), (2, b"other\n"),
    }  # fmt: skip
    assert {each["vertex"] for each in logs} == {first["digest"]}
    warned = [each for event in events for each in event.get("warnings", ())]
    assert b"StageNameCasing" in base64.b64decode(warned[0]["short"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("# syntax=docker/dockerfile:1", False),
        ("# syntax=docker.io/docker/dockerfile:1.7-labs", False),
        ("# syntax=docker/dockerfile-upstream:master@sha256:" + 64 * "a", False),
        ("# syntax=example/other:2", True),
    ],
)
def test_another_front_end_is_told(shop: Workshop, line: str, *, told: bool) -> None:
    built = shop.build(f"{line}\nFROM busybox\nRUN true")
    assert ("the front end example/other:2 is not run" in built.output) is told
