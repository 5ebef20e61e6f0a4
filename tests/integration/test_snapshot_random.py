"""Layers of random entries: refused or applied, but always inside, and always the same again.

Names come from a small alphabet, so that entries meet: as files, directories, links, whiteouts, in
the same layer and across layers.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
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


BASE = """
dir a/
file a/a data=1
dir a/b/
file a/b/c data=1
file b data=1
symlink c to=a
dir d/
"""
place = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map("/".join)
deed = st.tuples(st.sampled_from(["write", "remove", "mkdir", "link", "chmod", "touch"]), place)


def do(root: Path, what: str, name: str) -> None:
    path = root / name
    try:
        if what == "write":
            path.write_text("longer")
        elif what == "remove" and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif what == "remove":
            path.unlink()
        elif what == "mkdir":
            path.mkdir()
        elif what == "link":
            path.symlink_to("a")
        elif what == "chmod":
            path.chmod(0o711)
        elif what == "touch" and not path.is_symlink():
            os.utime(path, (9, 9))
    except OSError:
        pass  # what cannot be done is not done


def compare(old: Path | None, new: Path, prefix: str = "") -> list[str]:
    """Return what Docker would list: two trees compared, as mounted."""
    found = []
    olds = set(os.listdir(old)) if old else set()
    for each in sorted(os.listdir(new)):
        after = os.lstat(new / each)
        before = os.lstat(old / each) if old and each in olds else None
        olds.discard(each)
        both = before is not None and stat.S_ISDIR(before.st_mode) and stat.S_ISDIR(after.st_mode)
        inner = []
        if stat.S_ISDIR(after.st_mode):
            inner = compare(old / each if old and both else None, new / each, f"{prefix}/{each}")
        if before is None:
            found.append(f"A {prefix}/{each}")
        elif inner or differs(before, after):
            found.append(f"C {prefix}/{each}")
        found += inner
    return found + [f"D {prefix}/{each}" for each in sorted(olds)]


def differs(old: os.stat_result, new: os.stat_result) -> bool:
    if (old.st_mode, old.st_uid, old.st_gid) != (new.st_mode, new.st_uid, new.st_gid):
        return True
    sizes = (old.st_size, old.st_mtime_ns) != (new.st_size, new.st_mtime_ns)
    return not stat.S_ISDIR(new.st_mode) and sizes


@given(st.lists(deed, max_size=8))
@settings(max_examples=100, deadline=None)
def test_random_changes(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, str]]
) -> None:
    base = tmp_path_factory.mktemp("changes")
    layers, active = Layers(str(base / "layers")), str(base / "active")
    os.mkdir(active)
    stack: Stack = ()
    for text in (BASE, "dir d/\nfile d/d data=2"):
        stack += (layers.apply(archive(text), parents=stack).chain_id,)
    layers.prepare(active, stack)
    old, new = layers.mount(stack), layers.mount(stack, active=active)
    try:
        root = Path(f"/proc/self/fd/{new}")
        for what, where in deeds:
            do(root, what, where)
        expected = compare(Path(f"/proc/self/fd/{old}"), root)
        found = [f"{one.kind} {one.path}" for one in layers.changes(active, stack)]
        assert sorted(found) == sorted(expected)
        shown_after = listing(root)
    finally:
        os.close(old)
        os.close(new)
    adopted = layers.adopt(f"{active}/upper", parents=stack)
    again = layers.mount((*stack, adopted.chain_id))
    try:
        assert listing(again) == shown_after
    finally:
        os.close(again)
        shutil.rmtree(base)
