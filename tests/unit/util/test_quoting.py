from __future__ import annotations

import pytest

from knarr.util.quoting import quote, quote_list


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('say "hi"\n\t\\', '"say \\"hi\\"\\n\\t\\\\"'),
        ("\x00\x1b\x7f", '"\\x00\\x1b\\x7f"'),
        ("köln ☃", '"köln ☃"'),
        ("\udcff", '"\\xff"'),
        ("\u200b", '"\\u200b"'),
    ],
)
def test_as_go_does(text: str, quoted: str) -> None:
    assert quote(text) == quoted


def test_list() -> None:
    assert quote_list(["a", "b c"]) == '["a" "b c"]'
    assert quote_list([]) == "[]"
