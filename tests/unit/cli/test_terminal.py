"""Detach keys as people write them, and a terminal given back as it was."""

from __future__ import annotations

import os
import termios

import pytest

from knarr.cli.terminal import RawTerminal
from knarr.engine.options.detachkeys import parse_keys
from knarr.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-a", b"\x01"),
        ("a", b"a"),
        ("a,b,c", b"abc"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\0\x1b\x1c\x1d\x1e\x1f"),
        ("DEL", b"\x7f"),
    ],
)
def test_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-A", "ctrl-1", "ab", "ctrl-p,", "é", "alt-x"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(InvalidArgument, match="unknown character"):
        parse_keys(text)


def test_a_terminal_is_raw_until_it_is_left() -> None:
    master, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    with RawTerminal(terminal):
        raw = termios.tcgetattr(terminal)
        assert not raw[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        assert not raw[1] & termios.OPOST
    assert termios.tcgetattr(terminal) == before
    os.close(master)
    os.close(terminal)
