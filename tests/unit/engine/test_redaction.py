"""Secrets in output are covered, however the output is cut."""

from __future__ import annotations

import pytest

from knarr.engine.build.redaction import Redactor


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("secrets", "printed", "shown"),
    [
        ([b"hunter22"], b"is hunter22, hunter2 and hhunter22", b"is *****, hunter2 and h*****"),
        ([b"hunter22\n"], b"hunter22", b"*****"),
        ([b"abab"], b"aabababab", b"a**********"),
        ([b"short", b"shorter!"], b"shorter! short", b"***** *****"),
        ([b"first line\nsecond line\n"], b"a second line", b"a *****"),
        ([b"abc"], b"abc is too short", b"abc is too short"),
        ([b"last"], b"at las", b"at las"),
    ],
)
def test_covering(size: int, secrets: list[bytes], printed: bytes, shown: bytes) -> None:
    redactor = Redactor(secrets)
    pieces = [printed[at : at + size] for at in range(0, len(printed), size)]
    assert b"".join(map(redactor.feed, pieces)) + redactor.finish() == shown


def test_nothing_is_held_back_that_cannot_be_a_secret() -> None:
    assert Redactor([b"secret"]).feed(b"50 %\r") == b"50 %\r"
