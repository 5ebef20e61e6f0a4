"""Digesting by a thread."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from knarr.util.threadedhash import ThreadedHash

PIECE = 1 << 17


@pytest.mark.parametrize("sizes", [[], [5], [PIECE], [3, PIECE, 7, 1] * 20, [PIECE] * 100], ids=len)
def test_the_digest_is_that_of_all_pieces_in_order(sizes: list[int]) -> None:
    pieces = [os.urandom(size) for size in sizes]
    with ThreadedHash(hashlib.sha256()) as digest:
        for piece in pieces:
            digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_the_thread_ends_with_the_statement_even_after_an_error() -> None:
    plain = hashlib.sha256()
    with pytest.raises(ZeroDivisionError), ThreadedHash(plain) as digest:
        digest.update(bytes(PIECE))
        raise ZeroDivisionError
    assert plain.hexdigest() == hashlib.sha256(bytes(PIECE)).hexdigest()


def test_more_can_come_after_the_digest() -> None:
    with ThreadedHash(hashlib.sha256()) as digest:
        digest.update(bytes(PIECE))
        first = digest.hexdigest()
        digest.update(b"end")
    assert first == hashlib.sha256(bytes(PIECE)).hexdigest()
    assert digest.hexdigest() == hashlib.sha256(bytes(PIECE) + b"end").hexdigest()


def test_small_pieces_need_no_thread() -> None:
    before = threading.active_count()
    with ThreadedHash(hashlib.sha256()) as digest:
        digest.update(b"small")
        assert threading.active_count() == before
