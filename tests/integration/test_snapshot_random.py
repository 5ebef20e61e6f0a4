"""Layers of random entries: refused or applied, but always inside, and always the same again.

Names come from a small alphabet, so that entries meet: as files, directories, links, whiteouts, in
the same layer and across layers.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr.errors import Corrupt, InvalidArgument
from knarr.snapshot.overlay import Layers
from support.archives import archive
from support.trees import listing

if TYPE_CHECKING:
    from knarr.snapshot.lowers import Directory
    from knarr.snapshot.snapshotter import Stack

pytestmark = pytest.mark.root

part = st.sampled_from(["a", "b", "c", "a", "b", ".wh.a", ".wh.b", ".wh..wh..opq", "..", ".", ""])
name = st.lists(part, min_size=1, max_size=4).map("/".join).filter(lambda text: text.strip("/"))
target = st.lists(
    st.sampled_from(["a", "b", "c", "..", "/", "outside"]), min_size=1, max_size=4
).map("/".join)
line = st.one_of(
    st.builds("file '{}' data={}".format, name, st.integers(0, 9)),
    st.builds("dir '{}/' mode={:o}".format, name, st.sampled_from([0o755, 0o700, 0o1777])),
    st.builds("symlink '{}' to='{}'".format, name, target),
    st.builds("link '{}' to='{}'".format, name, target),
    st.builds("char '{}' number=1:3".format, name),
    st.builds("fifo '{}'".format, name),
)
layers_of_lines = st.lists(st.lists(line, max_size=8), min_size=1, max_size=4)


def shown(view: Directory, prefix: str = "") -> list[str]:
    """Return the names that a merged directory shows, found without mounting."""
    found = []
    for each in view.names():
        entry = view.find(each)
        assert entry is not None
        found.append(prefix + each)
        if entry.directory:
            found += shown(entry.directory, f"{prefix}{each}/")
    return found


@given(layers_of_lines)
@settings(max_examples=150, deadline=None)
def test_random_layers(tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]) -> None:
    base = tmp_path_factory.mktemp("random")
    try:
        _check(base, texts)
    finally:
        shutil.rmtree(base)


def _check(base: Path, texts: list[list[str]]) -> None:
    (base / "outside").write_text("canary")
    layers, other = Layers(str(base / "layers")), Layers(str(base / "other"))
    stack: Stack = ()
    below: Stack = ()
    for lines in texts:
        try:
            applied = layers.apply(archive("\n".join(lines)), parents=stack)
        except (Corrupt, InvalidArgument):
            continue
        out = io.BytesIO()
        diff_id = layers.write_layer(applied.chain_id, out)
        again = other.apply(io.BytesIO(out.getvalue()), parents=below, diff_id=diff_id)
        assert other.write_layer(again.chain_id, io.BytesIO()) == diff_id
        stack, below = (*stack, applied.chain_id), (*below, again.chain_id)
    assert (base / "outside").read_text() == "canary"
    assert sorted(os.listdir(base)) in (["layers", "other", "outside"], ["layers", "outside"])
    if not stack:
        return
    mounted, copied = layers.mount(stack), other.mount(below)
    try:
        assert listing(copied) == listing(mounted)
        names = sorted(line.split(" ")[4] for line in listing(mounted))
        assert sorted(shown(layers.view(stack))) == names
    finally:
        os.close(mounted)
        os.close(copied)
