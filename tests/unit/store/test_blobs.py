"""Under a digest there is nothing, or all of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from knarr.errors import Corrupt, NotFound
from knarr.oci.digest import Digest, digest_of
from knarr.store.blobs import Blobs
from support.children import end, run_python, start_python, wait_stopped

PUT = """
import sys
from knarr.store.blobs import Blobs
Blobs(sys.argv[1]).put(b"data")
"""


def test_put_and_read(blobs: Blobs) -> None:
    digest = blobs.put(b"data")
    assert digest == digest_of(b"data") == blobs.put(b"data")
    assert blobs.has(digest)
    assert blobs.size(digest) == 4
    assert blobs.read(digest) == b"data"
    with blobs.open(digest) as file:
        assert file.read() == b"data"
    assert blobs.list() == [digest]
    assert os.listdir(blobs.incoming_dir) == []


def test_writing_in_parts(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"da")
        writer.write(b"ta")
        with writer.reader() as file:
            assert file.read() == b"data"
        assert writer.commit(digest_of(b"data")) == digest_of(b"data")
    assert writer.size == 4


def test_other_bytes_than_promised_are_not_kept(blobs: Blobs) -> None:
    with pytest.raises(Corrupt, match="came"), blobs.writer() as writer:
        writer.write(b"other")
        writer.commit(digest_of(b"data"))
    assert blobs.list() == []
    assert os.listdir(blobs.incoming_dir) == []


def test_sha512_is_verified_too(blobs: Blobs) -> None:
    digest = Digest("sha512:" + hashlib.sha512(b"data").hexdigest())
    with blobs.writer() as writer:
        writer.write(b"data")
        writer.commit(digest)
    assert blobs.read(digest) == b"data"
    with pytest.raises(Corrupt, match="came"), blobs.writer() as writer:
        writer.write(b"other")
        writer.commit(digest)


def test_without_commit_nothing_is_kept(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"data")
    assert blobs.list() == []
    assert os.listdir(blobs.incoming_dir) == []


def test_what_is_missing(blobs: Blobs) -> None:
    digest = digest_of(b"none")
    assert not blobs.has(digest)
    assert blobs.delete(digest) == 0
    for ask in (blobs.open, blobs.size, blobs.read):
        with pytest.raises(NotFound, match=f"no such blob: {digest}"):
            ask(digest)


def test_delete_says_what_it_frees(blobs: Blobs) -> None:
    assert blobs.delete(blobs.put(b"data")) == 4
    assert blobs.list() == []


def test_a_document_that_changed_on_disk_is_noticed(blobs: Blobs) -> None:
    digest = blobs.put(b"data")
    Path(blobs.path(digest)).write_bytes(b"DATA")
    with pytest.raises(Corrupt, match="has other contents"):
        blobs.read(digest)


def test_a_full_disk_leaves_nothing(blobs: Blobs) -> None:
    result = run_python(PUT, blobs.images_dir, trace="blobs.commit:before-rename=enospc")
    assert "No space left on device" in result.stderr
    assert blobs.list() == []
    assert os.listdir(blobs.incoming_dir) == []


def test_sweep_takes_what_the_dead_left_and_spares_the_living(blobs: Blobs) -> None:
    run_python(PUT, blobs.images_dir, trace="blobs.commit:before-rename=kill")
    assert len(os.listdir(blobs.incoming_dir)) == 1
    child = start_python(PUT, blobs.images_dir, trace="blobs.commit:before-rename=stop")
    try:
        wait_stopped(child)
        assert blobs.sweep() == 1
        assert len(os.listdir(blobs.incoming_dir)) == 1
        assert blobs.list() == []
    finally:
        end(child)
    assert blobs.sweep() == 1


def test_files_of_others_are_no_blobs(blobs: Blobs) -> None:
    digest = blobs.put(b"data")
    Path(os.path.dirname(blobs.path(digest)), "README").write_text("hello")
    assert blobs.list() == [digest]
