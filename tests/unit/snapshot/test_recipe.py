"""A tar is made again from the files of its tree, bit for bit."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knarr.errors import Corrupt
from knarr.oci.digest import digest_of
from knarr.snapshot.recipe import Recorder, replay
from support.images import layer_tar


class Slow:
    """A reader that gives few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        self.file = io.BytesIO(data)
        self.most = most

    def read(self, size: int = -1) -> bytes:
        return self.file.read(min(size, self.most) if size >= 0 else self.most)


def recipe_of(data: bytes, most: int = 1 << 20) -> bytes:
    recorder = Recorder(Slow(data, most))
    read = b""
    while piece := recorder.read(1 << 16):
        read += piece
    assert read == data
    assert recorder.size == len(data)
    return recorder.finish()


def again(data: bytes, tree: Path, most: int = 1 << 20) -> bytes:
    out = io.BytesIO()
    found = replay(io.BytesIO(recipe_of(data, most)), str(tree), out)
    assert found == digest_of(out.getvalue())
    return out.getvalue()


def extract(data: bytes, tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extraction_filter = lambda member, _: member  # the argument came with 3.11.4
        archive.extractall(tree)


LONG = "a/" * 60 + "name-that-does-not-fit-into-a-header-of-a-hundred-bytes"
FILES = {
    "empty": b"",
    "small": b"s" * 255,
    "d/": b"",
    "d/large": bytes(range(256)) * 40,
    "./d/even": b"e" * 1024,
    LONG: b"l" * 3000,
    "ünïcode": b"u" * 700,
}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
@pytest.mark.parametrize("most", [7, 512, 1 << 20])
def test_dialects(tmp_path: Path, form: int, most: int) -> None:
    data = layer_tar(FILES, form=form)
    extract(data, tmp_path)
    assert again(data, tmp_path, most) == data


def test_contents_are_not_in_the_recipe(tmp_path: Path) -> None:
    secret = os.urandom(100_000)
    data = layer_tar({"f": secret})
    extract(data, tmp_path)
    assert len(recipe_of(data)) < 300
    assert again(data, tmp_path) == data


def test_sparse_files_of_gnu_tar(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        for offset in range(0, 60 << 20, 1 << 20):
            file.seek(offset)
            file.write(b"x" * 5000)
    (source / "after").write_bytes(b"y" * 5000)
    tree = tmp_path / "tree"
    tree.mkdir()
    for form in ("gnu", "pax"):
        command = ["tar", "-C", str(source), "-cSf", "-", f"--format={form}", "holes", "after"]
        data = subprocess.run(command, capture_output=True, check=True).stdout
        assert len(data) < 1 << 20
        (tree / "after").write_bytes(b"y" * 5000)
        assert again(data, tree) == data


def test_what_follows_the_end_is_kept(tmp_path: Path) -> None:
    data = layer_tar({"f": b"x" * 1000}) + b"\0" * 512 + b"trailer"
    extract(data, tmp_path)
    assert again(data, tmp_path) == data


@pytest.mark.parametrize("cut", [100, 513, 1000, 2047])
def test_a_broken_tar_is_kept_as_it_is(tmp_path: Path, cut: int) -> None:
    data = layer_tar({"f": b"x" * 1000, "g": b"y" * 1000})
    extract(data, tmp_path)
    recipe_of(data[:cut])  # whoever unpacks it says what is wrong
    noise = os.urandom(2000)
    assert again(noise, tmp_path) == noise


def test_a_changed_tree_is_noticed(tmp_path: Path) -> None:
    data = layer_tar({"f": b"x" * 1000})
    extract(data, tmp_path)
    (tmp_path / "f").write_bytes(b"y" * 1000)
    assert again(data, tmp_path) != data
    (tmp_path / "f").write_bytes(b"y" * 900)
    with pytest.raises(Corrupt, match="f in the tree is shorter"):
        again(data, tmp_path)
    (tmp_path / "f").unlink()
    with pytest.raises(Corrupt, match="no file f"):
        again(data, tmp_path)


def test_links_do_not_lead_out_of_the_tree(tmp_path: Path) -> None:
    data = layer_tar({"d/f": b"x" * 1000})
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "f").write_bytes(b"x" * 1000)
    (tree / "d").symlink_to(outside)
    with pytest.raises(Corrupt, match="no file d/f"):
        again(data, tree)


@pytest.mark.parametrize("damage", [b"", b"\x28\xb5\x2f\xfd", b"nothing"])
def test_a_damaged_recipe_is_refused_or_gives_another_digest(tmp_path: Path, damage: bytes) -> None:
    data = layer_tar({"f": b"x" * 1000})
    try:
        assert replay(io.BytesIO(damage), str(tmp_path), io.BytesIO()) != digest_of(data)
    except Corrupt:
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 700))
def test_any_bytes_come_back(tmp_path: Path, data: bytes, most: int) -> None:
    assert again(data, tmp_path, most) == data
