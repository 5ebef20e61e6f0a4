"""Options of ps(1) that `top` takes."""

from __future__ import annotations

import os
import sys

import pytest

from knarr.engine.container.processes import Process, Users, parse_columns, take_sorting
from knarr.errors import InvalidArgument


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        ([], "UID PID PPID C STIME TTY TIME CMD"),
        (["-ef"], "UID PID PPID C STIME TTY TIME CMD"),
        (["-e"], "PID TTY TIME CMD"),
        (["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        (["-o", "pid,comm"], "PID COMMAND"),
        (["-eo", "pid=Number,args"], "Number COMMAND"),
        (["-opid", "-o", "ppid"], "PID PPID"),
    ],
)
def test_columns(words: list[str], titles: str) -> None:
    assert " ".join(title for _, title in parse_columns(words)) == titles


@pytest.mark.parametrize("words", [["-o"], ["-o", "colour"], ["--forest"], ["-Z"]])
def test_bad_columns(words: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="ps: "):
        parse_columns(words)


def test_sorting_is_taken_out_of_the_arguments() -> None:
    words = ["-eo", "pid", "--sort=-rss,+PID", "--sort", "%cpu"]
    keys = [("rss", True), ("pid", False), ("pcpu", False)]
    assert take_sorting(words) == (["-eo", "pid"], keys)
    for wrong in (["--sort"], ["--sort=colour"], ["--sort", "pid,"]):
        with pytest.raises(InvalidArgument, match="unknown column"):
            take_sorting(wrong)


def test_a_process_is_read_from_proc() -> None:
    process = Process(os.getpid(), 10.0**6, 0)
    assert process.parent == os.getppid()
    assert process.uid == os.getuid()
    assert process.state == "R"
    assert process.command.split()[0] == sys.orig_argv[0]


def test_users_are_called_as_in_the_container() -> None:
    users = Users("0 100000 65536\n", "root:x:0:0::/:\nweb:x:33:33::/:\nsecond:x:0:0::/:\n")
    assert [users.name(uid) for uid in (100000, 100033, 100034, 0)] == ["root", "web", "34", "root"]
    assert Users().name(7) == "7"
