from __future__ import annotations

import pytest

from knarr.util.quoting import harmless, quote, quote_list


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain köln ☃ \\ \" '", "plain köln ☃ \\ \" '"),
        ("\033[2J\a\x7f\u009b", "\\x1b[2J\\a\\x7f\\u009b"),
        ("abc\u202ecba\u2069", "abc\\u202ecba\\u2069"),
        ("a\tb\nc\r", "a\tb\nc\\r"),
    ],
)
def test_nothing_commands_a_terminal(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_what_stays_in_its_line() -> None:
    assert harmless("a\tb\nc", lines=False) == "a\\tb\\nc"
