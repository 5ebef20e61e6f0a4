"""Layers applied: golden folders of archives and of the trees they become, mounted for real.

`layers` has the archives in the notation of `support.archives`, `top` is what the last one's tree
holds (whiteouts as c 0:0), `merged` what an overlay mount of all shows, `digest` that of its tar;
`error` is the message when the last one is refused.

The digests must never change: they are in the configs of images that were built, and the tars are
made again from the trees.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.errors import Corrupt, InvalidArgument
from knarr.oci.digest import digest_of
from knarr.snapshot.overlay import Layers
from knarr.snapshot.snapshotter import Limits
from support.archives import archive, archives
from support.trees import fill, listing

if TYPE_CHECKING:
    from knarr.snapshot.snapshotter import Stack

pytestmark = pytest.mark.root
CASES = sorted((Path(__file__).parents[1] / "golden/layers").iterdir())


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    (tmp_path / "outside").write_text("canary")
    return Layers(str(tmp_path / "layers"))


def untouched(tmp_path: Path) -> list[str]:
    """Return what no archive may change: everything but the new tree."""
    return [line for line in listing(tmp_path) if " layers" not in line]


def lines(found: list[str]) -> str:
    return "".join(f"{line}\n" for line in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(
    case: Path, layers: Layers, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    *below, last = archives(case / "layers")
    stack: Stack = ()
    for tar in below:
        stack += (layers.apply(tar, parents=stack).chain_id,)
    before = untouched(tmp_path)
    if case.name.startswith("refused-"):
        with pytest.raises((Corrupt, InvalidArgument)) as caught:
            layers.apply(last, parents=stack)
        golden(case / "error", f"{caught.value}\n")
    else:
        stack += (layers.apply(last, parents=stack).chain_id,)
        top = Path(layers.path(stack[-1]))
        golden(case / "top", lines(listing(top, root_too=True)))
        golden(case / "digest", f"{layers.write_layer(stack[-1], io.BytesIO())}\n")
        mounted = layers.mount(stack)
        try:
            golden(case / "merged", lines(listing(mounted)))
        finally:
            os.close(mounted)
    assert not [name for name in os.listdir(layers.layers_dir) if name.startswith(".incoming")]
    assert untouched(tmp_path)[: len(before)] == before


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.name.startswith("refused-")], ids=lambda c: c.name
)
def test_packing_and_applying_again_gives_the_same(case: Path, layers: Layers) -> None:
    stack: Stack = ()
    for tar in archives(case / "layers"):
        applied = layers.apply(tar, parents=stack)
        out = io.BytesIO()
        diff_id = layers.write_layer(applied.chain_id, out)
        assert diff_id == digest_of(out.getvalue())
        again = layers.apply(io.BytesIO(out.getvalue()), parents=stack)
        assert again.diff_id == diff_id
        assert listing(Path(layers.path(again.chain_id)), root_too=True) == listing(
            Path(layers.path(applied.chain_id)), root_too=True
        )
        assert layers.write_layer(again.chain_id, io.BytesIO()) == diff_id
        stack += (applied.chain_id,)


def test_a_tree_with_one_of_everything(layers: Layers, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    fill(tree)
    expected = listing(tree, root_too=True)
    applied = layers.adopt(str(tree))
    assert listing(Path(layers.path(applied.chain_id)), root_too=True) == expected
    tar = io.BytesIO()
    layers.write_layer(applied.chain_id, tar)
    other = Layers(str(tmp_path / "elsewhere"))
    again = other.apply(io.BytesIO(tar.getvalue()), diff_id=applied.diff_id)
    copy = Path(other.path(again.chain_id))
    assert listing(copy, root_too=True) == expected
    assert (copy / "var/sparse").stat().st_blocks * 512 < 1 << 20
    assert again.size == applied.size == other.usage(str(copy)).size


@pytest.mark.parametrize(
    ("limits", "text", "words"),
    [
        (Limits(entries=2), "file a\nfile b\nfile c", "too many entries"),
        (Limits(size=10), "file a data=123456\nfile b data=12345", "b and what comes before"),
        (Limits(size=10), "file a data=123456\nfile a data=12345", "a and what comes before"),
        (Limits(depth=3), "file a/b/c/d", "a/b/c/d is too long or too deep"),
        (Limits(depth=3), "file a\nlink b to=a/b/c/d", "too long or too deep"),
        (Limits(name=10), "dir 12345678901/", "too long"),
    ],
)
def test_bombs(layers: Layers, limits: Limits, text: str, words: str) -> None:
    with pytest.raises((Corrupt, InvalidArgument), match=words):
        layers.apply(archive(text), limits=limits)
    assert layers.list() == []


def test_many_replacements_of_a_directory_stay_quick(layers: Layers) -> None:
    """An archive that goes back and forth costs what it says, not the square of it."""
    text = "".join(f"file d/{number}\nfile d\ndir d/\n" for number in range(300))
    applied = layers.apply(archive(text))
    assert os.listdir(layers.path(applied.chain_id)) == ["d"]


def test_killed_while_unpacking(layers: Layers, tmp_path: Path) -> None:
    """What a killed process left is swept, and what one at work has is not."""
    program = (
        "import os, sys; from knarr.snapshot.overlay import Layers; "
        "Layers(sys.argv[1]).apply(sys.stdin.buffer)"
    )
    command = [sys.executable, "-c", program, layers.layers_dir]
    data = archive("file a data=1\nfile b data=2").getvalue()
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(data[:1024])
        process.stdin.flush()
        while not list(Path(layers.layers_dir).glob(".incoming-*")):
            time.sleep(0.005)
        assert layers.sweep() == []
        process.kill()
    assert len(layers.sweep()) == 1
    assert layers.list() == []
    assert layers.apply(io.BytesIO(data)).size == 2
