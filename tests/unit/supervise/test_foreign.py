"""What other runtimes say when something fails, and how they are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from knarr.engine.runtimes import find_all, find_runtime
from knarr.errors import CommandFailed, Failed, InvalidArgument
from knarr.supervise.foreign.program import Foreign

if TYPE_CHECKING:
    from pathlib import Path

RUNC = '{"level":"error","msg":"MESSAGE","time":"2024-01-01T00:00:00Z"}\n'
SAID = {
    "runc: not in PATH": ('exec: \\"nope\\": executable file not found in $PATH', "nope", 127),
    "runc: no such path": (
        'exec: \\"/nope\\": stat /nope: no such file or directory',
        "/nope",
        127,
    ),
    "runc: a directory": ('exec: \\"/etc\\": permission denied', "/etc", 126),
    "runc: another format": ("exec /x: exec format error", "/x", 126),
    "crun: not there": (
        "executable file `/nope` not found in $PATH: No such file or directory",
        "/nope",
        127,
    ),
    "crun: a directory": ("open executable: Operation not permitted", "/etc", 126),
    "a mount without source": ("mount `/x`: No such file or directory", "sh", 0),
    "not of the program": ("cannot set limits: permission denied", "sh", 0),
}


@pytest.mark.parametrize("case", SAID)
def test_words_become_errors(tmp_path: Path, case: str) -> None:
    message, program, status = SAID[case]
    script = tmp_path / "runtime"
    log = RUNC.replace("MESSAGE", message)
    script.write_text(f"#!/bin/sh\ncat >'{tmp_path}/log' <<'END'\n{log}END\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(CommandFailed if status else Failed) as caught:
        Foreign(str(script), str(tmp_path), "c").start({"process": {"args": [program]}})
    assert getattr(caught.value, "status", 0) == status
    assert caught.value.message == f"runtime: {message.replace(chr(92), '')}"


def test_a_runtime_that_says_nothing_is_told_by_its_status(tmp_path: Path) -> None:
    foreign = Foreign("/bin/false", str(tmp_path), "c")
    with pytest.raises(Failed, match="false start ended with status 1"):
        foreign.start({"process": {"args": ["sh"]}})


def test_a_runtime_that_is_gone_is_an_error(tmp_path: Path) -> None:
    foreign = Foreign(str(tmp_path / "gone"), str(tmp_path), "c")
    with pytest.raises(Failed, match=r"cannot run .*/gone: no such file or directory"):
        foreign.start({"process": {"args": ["sh"]}})


def test_runtimes_are_found_by_name_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "crun"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_runtime("") == find_runtime("knarr") == ""
    assert find_runtime("crun") == find_runtime(str(program)) == str(program)
    assert find_all()["crun"] == str(program)
    for wrong in ("nonsense", "./crun", str(tmp_path), "/no/such"):
        with pytest.raises(InvalidArgument, match="unknown or invalid runtime name"):
            find_runtime(wrong)
