"""`images.space`: what is not needed goes when something comes, in the order that is promised."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from knarr.engine.space.stock import take_stock
from support import images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.engine import Knarr

    Settings = Callable[[str], Path]

pytestmark = pytest.mark.root

SIZE = 1_000_000
SLOW = """\
FROM base:1 AS one
RUN touch /started && sleep 2
FROM base:1
COPY --from=one /started /
"""
DOCKERFILE = "FROM busybox\nCOPY {name} /{name}\nRUN head -c {size} /dev/zero > /made\n"


def limit(settings: Settings, size: int, *more: str) -> None:
    lines = ("[images]", f"space = {size}", 'space_spares = "0s"', *more)
    settings("\n".join(lines) + "\n")


def load(knarr: Knarr, name: str, *names: str) -> str:
    """Load an image of its own 1 MB, and return what the command said beside its output."""
    layer = images.layer_tar({name: os.urandom(SIZE)})
    done = knarr.do("load", "-q", stdin=images.docker_archive([layer], *(names or (f"{name}:1",))))
    assert done.returncode == 0, done.stderr
    return done.stderr


def build(knarr: Knarr, directory: Path, name: str) -> str:
    """Build an image whose steps make 2 MB, and return what was said."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_bytes(os.urandom(SIZE))
    (directory / "Dockerfile").write_text(DOCKERFILE.format(name=name, size=SIZE))
    done = knarr.do("build", "-q", "-t", f"{name}:1", str(directory))
    assert done.returncode == 0, done.stderr
    return done.stderr


def names(knarr: Knarr) -> set[str]:
    return set(knarr("images", "--format", "{{.Repository}}").split())


def removed(said: str) -> list[str]:
    """Return what was removed, in its order."""
    lines = [line for line in said.splitlines() if line.startswith("removed ")]
    assert all(line.endswith(" to stay within images.space") for line in lines)
    return [line.removeprefix("removed ").partition(" (")[0] for line in lines]


def taken(knarr: Knarr) -> int:
    return take_stock(knarr.engine).size


def test_nothing_goes_without_a_limit(store: Knarr) -> None:
    for name in "abc":
        assert load(store, name) == ""
    assert names(store) == {"a", "b", "c"}


def test_images_without_a_name_go_before_those_with_one(store: Knarr, settings: Settings) -> None:
    load(store, "named")
    load(store, "old", "x:1")
    load(store, "new", "x:1")  # takes the name from the one before
    limit(settings, taken(store) + 10_000, 'space_removes = "unused"')
    said = load(store, "more")
    (gone,) = removed(said)
    assert gone.startswith("image ")
    assert ":" not in gone
    assert names(store) == {"named", "x", "more"}


def test_named_images_stay_unless_settings_allow(store: Knarr, settings: Settings) -> None:
    limit(settings, 2 * SIZE)
    load(store, "a")
    load(store, "b")
    said = load(store, "c")
    assert removed(said) == []
    assert "where images.space allows 2MB: what is left is needed" in said
    assert names(store) == {"a", "b", "c"}


def test_the_longest_unused_image_goes_first(store: Knarr, settings: Settings) -> None:
    for name in ("one", "two", "three"):
        load(store, name)
    store("rm", store("create", "--network", "none", "one:1", "true").strip())
    limit(settings, taken(store) + 10_000, 'space_removes = "unused"')
    assert removed(load(store, "four")) == ["image two:1"]
    assert names(store) == {"one", "three", "four"}


def test_what_came_or_was_used_lately_stays(store: Knarr, settings: Settings) -> None:
    settings(f'[images]\nspace = {SIZE}\nspace_removes = "unused"\n')
    load(store, "a")
    assert removed(load(store, "b")) == []
    assert names(store) == {"a", "b"}


def test_the_image_of_a_container_stays(knarr: Knarr, settings: Settings) -> None:
    load(knarr, "used")
    knarr("create", "--network", "none", "used:1", "true")
    limit(settings, SIZE, 'space_removes = "unused"')
    load(knarr, "more")
    assert "used" in names(knarr)


def test_what_an_operation_under_way_needs_stays(store: Knarr, settings: Settings) -> None:
    load(store, "pushed")
    load(store, "idle")
    needs = (store.engine.images.get("pushed:1").id,)
    limit(settings, 2 * SIZE, 'space_removes = "unused"')
    with store.engine.journal.begin("push", "pushed:1", needs=needs):
        assert removed(load(store, "more")) == ["image idle:1"]
    assert names(store) == {"pushed", "more"}


def test_the_build_cache_goes_first(knarr: Knarr, settings: Settings, tmp_path: Path) -> None:
    build(knarr, tmp_path / "context", "a")
    knarr("rmi", "a:1")
    load(knarr, "named")
    limit(settings, taken(knarr) + 10_000, 'space_removes = "unused"')
    said = removed(load(knarr, "more"))
    assert said[0].endswith("results of the build cache")
    assert {"named", "more"} <= names(knarr)


def test_two_results_are_not_the_price_of_one(
    knarr: Knarr, settings: Settings, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        build(knarr, tmp_path / name, name)
        knarr("rmi", f"{name}:1")
    limit(settings, taken(knarr) - SIZE // 2)
    load(knarr, "more")
    left = {
        line["ID"]
        for line in map(json.loads, knarr("builder", "du", "--format", "json").splitlines())
    }
    assert left, "the later results are still there"


def test_a_build_under_way_keeps_what_it_stands_on(
    knarr: Knarr, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(SLOW)
    knarr.add_image("base:1", files={"data": os.urandom(SIZE)})
    limit(settings, SIZE, 'space_removes = "unused"')
    building = knarr.start("build", "-t", "built", str(tmp_path))
    time.sleep(1)
    load(knarr, "more")
    out, err = building.communicate(timeout=30)
    assert building.returncode == 0, out + err
    assert knarr("run", "--rm", "--network", "none", "built", "ls", "/started") == "/started\n"
