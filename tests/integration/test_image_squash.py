"""`image squash`: one layer that shows what all layers showed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.archives import archive
from support.engine import lent_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

BASE = archive(
    "dir d mode=700 uid=5 mtime=1000\nfile d/gone data=secret\nfile d/kept data=1 uid=7 mode=4755\n"
    "link d/again to=d/kept\nsymlink s to=d\nfile f data=old xattr=user.a=b mtime=2000\n"
    "char null number=1:3\ndir o\nfile o/hidden data=x"
).read()
TOP = archive("dir d mode=700 uid=5 mtime=1000\nfile d/.wh.gone\nfile f data=new mtime=3000\n"
              "dir o\nfile o/.wh..wh..opq\nfile o/shown data=y").read()  # fmt: skip
CONFIG = images.config_of([BASE, TOP])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Knarr]:
    """Lend a command with an image of two layers."""
    with lent_store(tmp_path / "store") as lent:
        lent("load", stdin=images.docker_archive([BASE, TOP], "x:1", config=CONFIG))
        yield lent


def tree(knarr: Knarr, name: str) -> Path:
    """Return the only layer of an image."""
    engine = knarr.engine
    (chain_id,) = engine.images.stack(engine.images.get(name).id)
    return Path(engine.layers.path(chain_id))


def test_the_files_are_those_that_were_shown(store: Knarr) -> None:
    store("image", "squash", "-t", "flat:1", "x:1")
    assert store("image", "diff", "x:1", "flat:1") == ""
    top = tree(store, "flat:1")
    assert sorted(str(path.relative_to(top)) for path in top.rglob("*")) == [
        "d", "d/again", "d/kept", "f", "null", "o", "o/shown", "s",
    ]  # fmt: skip
    kept, again = os.stat(top / "d/kept"), os.stat(top / "d/again")
    assert (kept.st_uid, kept.st_mode & 0o7777, kept.st_ino) == (7, 0o4755, again.st_ino)
    assert os.stat(top / "f").st_mtime == 3000
    assert os.stat(top / "d").st_mtime == 1000
    assert (top / "null").is_char_device()
    assert os.readlink(top / "s") == "d"
    assert not any("overlay" in name for name in os.listxattr(top / "o"))


def test_config_and_history_stay(store: Knarr) -> None:
    flat = store("image", "squash", "x:1").strip()
    old, new = (json.loads(store("inspect", name))[0] for name in ("x:1", flat))
    assert new["Config"] == old["Config"]
    assert (new["Created"], new["Parent"]) == (old["Created"], "")
    assert len(new["RootFS"]["Layers"]) == 1
    lines = store("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", flat)
    assert lines.splitlines() == [
        f"|merge {old['Id']} to one layer", 'CMD ["sh"]|', "COPY 1 /|", "COPY 0 /|",
    ]  # fmt: skip


def test_squashed_again_it_is_the_same(store: Knarr) -> None:
    assert store("image", "squash", "x:1") == store("image", "squash", "-t", "flat:1", "x:1")
    assert store("images", "-q", "flat").split()
    assert store("system", "check") == "Everything is as it should be.\n"


def test_the_first_image_can_go_and_the_flat_one_travels(store: Knarr, tmp_path: Path) -> None:
    store("image", "squash", "-t", "flat:1", "x:1")
    store("rmi", "x:1")
    assert len(store.engine.layers.list()) == 1
    path = str(tmp_path / "flat.tar")
    store("save", "-o", path, "flat:1")
    before = store("images", "-q", "--no-trunc")
    store("rmi", "flat:1")
    assert store.engine.layers.list() == []
    store("load", "-i", path)
    assert store("images", "-q", "--no-trunc") == before


@pytest.mark.parametrize("point", ["squash:adopted", "squash:recorded"])
def test_a_killed_squash_leaves_nothing(store: Knarr, point: str) -> None:
    layers = sorted(store.engine.layers.list())
    assert store.do("image", "squash", "-t", "flat:1", "x:1", trace=f"{point}=kill").returncode < 0
    store.do("images")  # cleans up
    assert sorted(store.engine.layers.list()) == layers
    assert store("images", "-q", "flat") == ""
    assert store("system", "check") == "Everything is as it should be.\n"


# On BASE: everything that a layer can do to those below it.
MIDDLE = archive(
    "dir d mode=711 uid=5 mtime=5000\nfile d/.wh.gone\nfile d/new data=n mtime=6000\n"
    "link d/other to=d/new\nfile f data=new mtime=3000\nfile scratch data=xxxx\ndir o\n"
    "file o/.wh..wh..opq\nfile o/shown data=y\nfile s data=was-a-link"
).read()
LAST = archive(
    "file .wh.scratch\nfile .wh.null\ndir null\nfile null/now-a-directory data=z\n"
    "dir d mode=711 uid=5 mtime=5000\nfile d/late data=l mtime=7000"
).read()


@pytest.fixture
def tall(store: Knarr) -> Knarr:
    """Lend the command with an image of three layers, and one of the lowest of them."""
    store("rmi", "x:1")
    store("load", stdin=images.docker_archive([BASE], "base:1"))
    store("load", stdin=images.docker_archive([BASE, MIDDLE, LAST], "tall:1"))
    return store


def layers_of(knarr: Knarr, name: str) -> list[str]:
    (document,) = json.loads(knarr("inspect", name))
    found: list[str] = document["RootFS"]["Layers"]
    return found


@pytest.mark.parametrize(
    "words", [("--new",), ("--from", "base:1"), ("--from", "2"), ("--from", images.sha(MIDDLE))]
)
def test_layers_above_another_image_become_one(tall: Knarr, words: tuple[str, ...]) -> None:
    tall("image", "squash", *words, "-t", "flat:1", "tall:1")
    assert tall("image", "diff", "tall:1", "flat:1") == ""
    first, second = layers_of(tall, "flat:1")
    assert first == images.sha(BASE)
    assert second not in (images.sha(MIDDLE), images.sha(LAST))
    engine = tall.engine
    top = Path(engine.layers.path(engine.images.stack(engine.images.get("flat:1").id)[-1]))
    # Nothing of what came and went, or of what did not change.
    assert sorted(str(path.relative_to(top)) for path in top.rglob("*")) == [
        "d", "d/gone", "d/late", "d/new", "d/other", "f", "null", "null/now-a-directory", "o",
        "o/hidden", "o/shown", "s",
    ]  # fmt: skip
    assert os.stat(top / "d/gone").st_rdev == os.stat(top / "o/hidden").st_rdev == 0
    assert os.stat(top / "d/new").st_ino == os.stat(top / "d/other").st_ino
    assert (os.stat(top / "d").st_mtime, os.stat(top / "f").st_mtime) == (5000, 3000)
    lines = tall("history", "--format", "{{.CreatedBy}}|{{.Comment}}", "--no-trunc", "flat:1")
    sizes = tall("history", "--format", "{{.CreatedBy}} {{.Size}}", "-H=false", "flat:1")
    old = tall("images", "-q", "--no-trunc", "tall").strip()
    assert lines.splitlines()[0] == f"|merge 2 layers of {old} to one"
    assert "COPY 1 / 0" in sizes
    assert "COPY 2 / 0" in sizes
    assert tall("image", "squash", *words, "tall:1") == tall("image", "squash", *words, "tall:1")
    tall("rmi", "tall:1")
    assert tall("system", "check") == "Everything is as it should be.\n"


def test_a_squashed_layer_travels(tall: Knarr, tmp_path: Path) -> None:
    tall("image", "squash", "--from", "3", "-t", "flat:1", "tall:1")
    assert layers_of(tall, "flat:1")[:2] == [images.sha(BASE), images.sha(MIDDLE)]
    path = str(tmp_path / "flat.tar")
    tall("save", "-o", path, "flat:1")
    before = tall("images", "-q", "--no-trunc", "flat")
    tall("rmi", "flat:1")
    tall("load", "-i", path)
    assert tall("images", "-q", "--no-trunc", "flat") == before
    assert tall("image", "diff", "tall:1", "flat:1") == ""


def test_where_to_begin_is_checked(tall: Knarr) -> None:
    tall("load", stdin=images.docker_archive([MIDDLE], "stranger:1"))
    for words, why in (
        (("--from", "9"), "the image has no step 9"),
        (("--from", "0"), "the image has no step 0"),
        (("--from", "stranger:1"), "the image does not stand on stranger:1"),
        (("--from", "none:1"), "no such image: none:1"),
        (("--from", "4"), "has no layers above that"),
        (("--from", "1", "--new"), "cannot specify both --from and --new"),
    ):
        assert why in tall.fails("image", "squash", *words, "tall:1")
    tall("rmi", "base:1")
    said = tall.fails("image", "squash", "--new", "tall:1")
    assert "the image that this one was made from is not here" in said


def test_what_is_refused(store: Knarr) -> None:
    assert "no such image" in store.fails("image", "squash", "nope")
    assert "not a valid repository/tag" in store.fails("image", "squash", "-t", "A:b", "x:1")
