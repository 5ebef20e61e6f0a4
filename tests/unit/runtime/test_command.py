"""The command line of `knarr-runtime`, and what it remembers."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from knarr.errors import CommandFailed, Conflict, InvalidArgument, NotFound, PermissionDenied
from knarr.runtime.command import state, voice
from knarr.runtime.command.arguments import COMMANDS, GLOBAL, check_arguments, parse_options
from knarr.runtime.command.executing import parse_signal, parse_size
from knarr.runtime.command.reports import parse_duration

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.errors import KnarrError


def parse(command: str, words: str) -> tuple[dict[str, object], list[str]]:
    known = COMMANDS[command][0]
    options, rest = parse_options(words.split(), known)
    given = {n: options.texts(n) for n in known if n in options}
    return dict(given), rest


@pytest.mark.parametrize(
    ("command", "words", "options", "rest"),
    [
        ("run", "id", {}, ["id"]),
        ("run", "--bundle /b -d id", {"bundle": ["/b"], "detach": ["true"]}, ["id"]),
        ("run", "-b=/b --detach=false id", {"bundle": ["/b"], "detach": ["false"]}, ["id"]),
        ("run", "-bundle /b id", {"bundle": ["/b"]}, ["id"]),
        ("exec", "-t id sh -c -x", {"tty": ["true"]}, ["id", "sh", "-c", "-x"]),
        ("exec", "-e A=1 --env B=2 id x", {"env": ["A=1", "B=2"]}, ["id", "x"]),
        ("exec", "-- id --cwd", {}, ["id", "--cwd"]),
        ("list", "-f json", {"format": ["json"]}, []),
        ("ps", "-f json id -ef", {"format": ["json"]}, ["id", "-ef"]),
        ("delete", "-f id", {"force": ["true"]}, ["id"]),
    ],
)
def test_options(command: str, words: str, options: dict[str, object], rest: list[str]) -> None:
    assert parse(command, words) == (options, rest)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--nosuch id", "unknown option --nosuch"),
        ("--bundle", "option --bundle needs a value"),
        ("--detach=maybe id", "true or false"),
    ],
)
def test_wrong_options(words: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        parse("run", words)


def test_numbers_of_arguments() -> None:
    check_arguments("kill", ["id"])
    check_arguments("kill", ["id", "9"])
    for command, arguments in (("run", []), ("kill", ["a", "b", "c"]), ("list", ["x"])):
        with pytest.raises(InvalidArgument, match="requires"):
            check_arguments(command, arguments)


def test_every_short_option_of_the_global_ones_is_long_somewhere() -> None:
    options, rest = parse_options(["--root", "/r", "--debug", "state", "--x"], GLOBAL)
    assert options.text("root") == "/r"
    assert options.flag("debug")
    assert rest == ["state", "--x"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9), ("KILL", 9), ("SIGTERM", 15), ("usr1", signal.SIGUSR1), ("0", 0),
        ("RTMIN+1", signal.SIGRTMIN + 1), ("SIGRTMAX-1", signal.SIGRTMAX - 1),
    ],
)  # fmt: skip
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "NOSUCH", "SIG_DFL", "65", "-1"])
def test_no_signals(text: str) -> None:
    with pytest.raises(InvalidArgument, match="unknown signal"):
        parse_signal(text)


def test_sizes_and_durations() -> None:
    assert [parse_size(t, "x") for t in ("5", "-1", "2k", "3MiB", "1g")] == [
        5, -1, 2048, 3 << 20, 1 << 30,
    ]  # fmt: skip
    assert [parse_duration(t) for t in ("100ms", "5s", "2m")] == [0.1, 5.0, 120.0]
    for text in ("", "5x", "0s", "s"):
        with pytest.raises(InvalidArgument):
            parse_duration(text)
    with pytest.raises(InvalidArgument):
        parse_size("5x", "memory")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "x" * 256])
def test_impossible_ids(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="invalid container ID format"):
        state.reserve(str(tmp_path), name)


def test_state_is_kept_until_removed(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    directory = state.reserve(root, "c_1.x+y")
    with pytest.raises(Conflict, match="container with given ID already exists"):
        state.reserve(root, "c_1.x+y")
    with pytest.raises(NotFound, match="container does not exist"):
        state.read(root, "c_1.x+y")
    fields = {
        "pid": os.getpid(), "pid_started": 1, "bundle": "/b", "rootfs": "/b/r", "owner": "",
        "created": "now", "cgroup_paths": {}, "spec": {"annotations": {"a": "b"}},
    }  # fmt: skip
    state.write(directory, fields)
    found = state.read(root, "c_1.x+y")
    # A process of that number lives, but it began at another time: it is not the container's.
    assert found.status() == state.STOPPED
    assert found.shown()["pid"] == 0
    assert found.shown()["annotations"] == {"a": "b"}
    assert [each.id for each in state.read_all(root)] == ["c_1.x+y"]
    state.remove(directory)
    assert state.read_all(root) == []


@pytest.mark.parametrize(
    ("error", "command", "ours", "theirs"),
    [
        (
            PermissionDenied("mounting bind /a at /b: operation not permitted"),
            "run",
            "knarr-runtime: mounting bind /a at /b: operation not permitted",
            (
                "runc run failed: unable to start container process: error during container init: "
                "error mounting bind /a at /b: operation not permitted"
            ),
        ),
        (
            CommandFailed("exec /x: no such file or directory", status=127, hint="No /bin/lua."),
            "run",
            "knarr-runtime: exec /x: no such file or directory. No /bin/lua.",
            "exec /x: no such file or directory",
        ),
        (
            NotFound("container does not exist"),
            "state",
            "knarr-runtime: container does not exist",
            "container does not exist",
        ),
    ],
)
def test_who_is_called_runc_speaks_like_it(
    monkeypatch: pytest.MonkeyPatch, error: KnarrError, command: str, ours: str, theirs: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/knarr-runtime"])
    assert voice.complaint(error, command) == ours
    assert voice.version().startswith("knarr-runtime version 0.")
    monkeypatch.setattr(sys, "argv", ["/opt/bin/runc"])
    assert voice.complaint(error, command) == theirs
    assert re.match(r"runc version \d+\.\d+\.\d+\ncommit: \S+\nspec: \d", voice.version())
