"""Whatever comes from outside is read or refused: no other error, no hang, nothing elsewhere.

A reader that fails shows the input, to be put into the corpus (see `support.fuzzing`).
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from knarr.build.dockerfile.program import parse_dockerfile
from knarr.errors import Corrupt, InvalidArgument, SyntaxFault, Unsupported
from knarr.oci import layout
from knarr.oci.config import decode_config
from knarr.oci.digest import digest_of
from knarr.oci.manifest import decode_manifest
from knarr.oci.reference import parse_reference
from knarr.snapshot.overlay import Layers
from knarr.snapshot.recipe import Recorder, replay
from knarr.snapshot.snapshotter import Limits
from support.archives import archive
from support.fuzzing import Mutations, Watch, corpus, mend_headers

BASE = "dir usr\nfile usr/hello data=x\nsymlink lib to=usr\nsymlink a to=/etc\nfile pipe data=x"
LIMITS = Limits(entries=10_000, size=1 << 24)


def test_references() -> None:
    for data in Mutations(corpus("reference")).limited(20_000):
        text = data.decode("utf-8", "surrogateescape")
        with Watch():
            try:
                found = parse_reference(text)
            except InvalidArgument:
                continue
            assert parse_reference(str(found)) == found, data
            assert parse_reference(found.familiar()) == found, data


def test_documents() -> None:
    for data in Mutations(corpus("document")).limited(4_000):
        for read in (decode_manifest, decode_config, layout.parse_index):
            with Watch():
                try:
                    found = read(data)
                except (Corrupt, Unsupported):
                    continue
                except Exception as error:  # noqa: BLE001 - the input is what helps
                    pytest.fail(f"{read.__name__}({data!r}): {error!r}")
            assert found.raw == data


def test_dockerfiles() -> None:
    for data in Mutations(corpus("dockerfile")).limited(1_000):
        with Watch():
            try:
                parse_dockerfile(data)
            except SyntaxFault:
                continue
            except Exception as error:  # noqa: BLE001 - as above
                pytest.fail(f"{data!r}: {error!r}")


@pytest.mark.root
def test_archives(tmp_path: Path) -> None:
    layers = Layers(str(tmp_path / "in" / "layers"))
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    base = layers.apply(archive(BASE))
    for data in Mutations(corpus("archive"), mend=mend_headers).limited(400):
        for parents in ((), (base.chain_id,)):
            recorder = Recorder(io.BytesIO(data))
            with Watch():
                try:
                    made = layers.apply(recorder, parents=parents, limits=LIMITS)
                except (Corrupt, InvalidArgument, Unsupported):
                    assert_alone(tmp_path, {base.chain_id.hex})
                    continue
                except Exception as error:  # noqa: BLE001 - as above
                    pytest.fail(f"{data!r}: {error!r}")
                while recorder.read(1 << 16):
                    pass
                assert made.diff_id == digest_of(data)
                try_recipe(recorder.finish(), layers.path(made.chain_id), data)
            if made.chain_id != base.chain_id:
                layers.remove(made.chain_id)
            assert_alone(tmp_path, {base.chain_id.hex})
    assert outside.read_text() == "as it was"


def try_recipe(recipe: bytes, tree: str, data: bytes) -> None:
    """Make the archive again: the same, or it is noticed."""
    out = io.BytesIO()
    try:
        digest = replay(io.BytesIO(recipe), tree, out)
    except Corrupt:
        return
    assert (digest == digest_of(data)) == (out.getvalue() == data)


def assert_alone(directory: Path, trees: set[str]) -> None:
    assert sorted(os.listdir(directory)) == ["in", "outside"]
    assert os.listdir(directory / "in") == ["layers"]
    names = os.listdir(directory / "in" / "layers")
    assert {name for name in names if not name.startswith((".unsynced", ".empty"))} == trees
