"""Why a container could not be started or made: `run` of the failing thing, then `explain`.

Each sentence is asked for twice: under the error of `run`, and of `explain` afterwards.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from knarr.oci.config import RunConfig
from support import tinyelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
INTEL = pytest.mark.skipif(os.uname().machine != "x86_64", reason="machine code for amd64")


def fail(knarr: Knarr, cause: str, *words: str, status: int = 127) -> dict[str, Any]:
    """Fail to run, and assert that `run` and `explain` say the same."""
    said = knarr.fails("run", "--name", "one", *words, status=status)
    found = knarr.explained()
    assert found["Cause"] == cause, found
    assert found["Certain"]
    assert found["Sentence"] in said
    assert found["Fix"] in said
    assert knarr("explain", "one") == f"{found['Sentence']}\n{found['Fix']}\n"
    return found


def write(directory: Path, data: bytes, mode: int = 0o755) -> str:
    path = directory / "program"
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


# the program


@pytest.mark.parametrize(
    ("cause", "command", "says"),
    [
        ("program-misspelt", ["slep", "1"], "/bin"),
        ("program-missing", ["postgres-server"], 'no program "postgres-server"'),
        ("command-in-one-word", ["sleep 10"], '"sleep 10"'),
        ("option-as-program", ["-p", "80:80"], '"-p"'),
        ("program-file-missing", ["/usr/bin/nosuch"], "/usr/bin/nosuch"),
    ],
)
def test_no_such_program(knarr: Knarr, cause: str, command: list[str], says: str) -> None:
    found = fail(knarr, cause, *NONE, "busybox", *command)
    assert says in found["Sentence"]
    if cause == "program-misspelt":
        assert "sleep" in found["Fix"]


def test_a_directory(knarr: Knarr) -> None:
    found = fail(knarr, "program-is-a-directory", *NONE, "busybox", "/etc", status=126)
    assert found["Sentence"].startswith("/etc is a directory")


@pytest.mark.parametrize(
    ("cause", "data", "mode", "status", "says"),
    [
        ("program-not-executable", b"#!/bin/sh\n", 0o644, 126, "permission"),
        ("script-with-windows-line-ends", b"#!/bin/sh\r\necho\r\n", 0o755, 127, r'"/bin/sh\r"'),
        ("interpreter-missing", b"#!/usr/bin/python3 -u\n", 0o755, 127, "/usr/bin/python3,"),
        ("script-without-interpreter", b"echo hello\n", 0o755, 126, "/x"),
        ("program-empty", b"", 0o755, 126, "empty"),
        ("not-a-program", b"\0\1\2\3", 0o755, 126, "/x"),
        ("other-architecture", tinyelf.program(machine=tinyelf.ARM64), 0o755, 126, "arm64"),
        ("loader-missing", tinyelf.program(loader="/lib/ld-mine.so"), 0o755, 127, "/lib/ld-mine"),
    ],
)
def test_what_lies_there(
    knarr: Knarr, tmp_path: Path, cause: str, data: bytes, mode: int, status: int, says: str
) -> None:
    if b"ELF" in data and os.uname().machine != "x86_64":
        pytest.skip("these programs are foreign, or not, as seen from amd64")
    file = write(tmp_path, data, mode)
    found = fail(knarr, cause, *NONE, "-v", f"{file}:/x", "busybox", "/x", status=status)
    assert says in found["Sentence"]


@INTEL
@pytest.mark.parametrize(
    ("cause", "loader", "own"),
    [
        ("glibc-program-on-musl", "/lib64/ld-linux-x86-64.so.2", "lib/ld-musl-x86_64.so.1"),
        ("musl-program-on-glibc", "/lib/ld-musl-x86_64.so.1", "lib64/ld-linux-x86-64.so.2"),
    ],
)
def test_the_other_c_library(knarr: Knarr, cause: str, loader: str, own: str) -> None:
    knarr.add_image("mixed", files={"app": tinyelf.program(loader=loader), own: "a loader"})
    found = fail(knarr, cause, *NONE, "mixed", "/app")
    assert loader in found["Sentence"]


def test_an_image_s_program_behind_links(knarr: Knarr) -> None:
    files: dict[str, str | bytes] = {"opt/": "", "bin/tool": "#!/nosuch\n"}
    knarr.add_image("linked", links={"app": "/opt/../bin/tool"}, files=files)
    found = fail(knarr, "interpreter-missing", *NONE, "linked", "/app")
    assert "/nosuch" in found["Sentence"]


def test_a_link_to_the_host_leads_nowhere(knarr: Knarr) -> None:
    assert os.path.exists("/usr/bin/env")
    knarr.add_image("hostile", links={"app": "/usr/bin/env"})
    fail(knarr, "program-file-missing", *NONE, "hostile", "/app")


def test_a_program_of_somebody_else(knarr: Knarr, tmp_path: Path) -> None:
    file = write(tmp_path, b"#!/bin/sh\n", 0o700)
    words = ("-u", "1000", "-v", f"{file}:/x", "busybox", "/x")
    found = fail(knarr, "program-not-for-user", *NONE, *words, status=126)
    assert "User 1000 may not" in found["Sentence"]
    assert "mode 0700" in found["Sentence"]


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "noexec"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_file_system_without_programs(knarr: Knarr, noexec: Path) -> None:
    write(noexec, b"#!/bin/sh\n")
    words = ("-v", f"{noexec}:/x", "busybox", "/x/program")
    fail(knarr, "file-system-noexec", *NONE, *words, status=126)


def test_behind_an_init(knarr: Knarr) -> None:
    fail(knarr, "program-misspelt", *NONE, "--init", "busybox", "slep")


def test_by_another_runtime(knarr: Knarr, tmp_path: Path) -> None:
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed")
    fail(knarr, "program-misspelt", "--runtime", "runc", *NONE, "busybox", "slep")
    knarr("rm", "one")
    file = write(tmp_path, b"#!/bin/sh\r\n")
    words = ("--runtime", "runc", *NONE, "-v", f"{file}:/x", "busybox", "/x")
    knarr.do("run", "--name", "one", *words)  # runc finds it out too late to give 127
    assert knarr.explained()["Cause"] == "script-with-windows-line-ends"


# what it needs


def test_a_port_of_another_container(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "web", "-p", "127.0.0.1:0:80", "busybox", "sleep", "60")
    port = knarr("port", "web", "80").strip().rpartition(":")[2]
    words = ("-p", f"127.0.0.1:{port}:80", "busybox", "true")
    found = fail(knarr, "port-taken-by-container", *words, status=125)
    assert found["Sentence"] == f"Port {port} of the host belongs to the container web."
    knarr("rm", "-f", "web")
    assert knarr.explained()["Cause"] == "port-was-in-use"


def test_a_port_of_a_program(knarr: Knarr) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        words = ("-p", f"127.0.0.1:{port}:80", "busybox", "true")
        found = fail(knarr, "port-in-use", *words, status=125)
        assert f"(process {os.getpid()})" in found["Sentence"]


def test_what_is_not_there(knarr: Knarr) -> None:
    for cause, words, says in (
        ("mount-source-missing", ["--mount", "type=bind,src=/nosuch,dst=/x"], "/nosuch"),
        ("device-missing", ["--device", "/dev/nosuch"], "/dev/nosuch"),
        ("network-missing", ["--network", "nosuch"], "nosuch"),
        ("user-unknown", ["--user", "www"], "user www"),
        ("user-unknown", ["--user", "0:www"], "group www"),
    ):
        found = fail(knarr, cause, *words, "busybox", "true", status=125)
        assert says in found["Sentence"]
        knarr("rm", "one")


def test_a_network_that_has_gone(knarr: Knarr) -> None:
    knarr("network", "create", "inner")
    knarr("create", "--name", "one", "--network", "inner", "busybox", "true")
    knarr("network", "rm", "inner")
    said = knarr.fails("start", "one")
    assert knarr.explained()["Sentence"] == "There was no network inner when it was started."
    assert "There was no network inner when it was started." in said
    assert "There was no network inner when it was started." in knarr.fails("restart", "one")
    assert "There was no network inner when it was started." in knarr.fails("start", "-a", "one")


def test_a_file_on_a_directory(knarr: Knarr) -> None:
    words = ("-v", "/etc/passwd:/etc", "busybox", "true")
    found = fail(knarr, "file-and-directory", *NONE, *words, status=125)
    assert "/etc/passwd cannot be mounted at /etc" in found["Sentence"]


def test_a_working_directory_that_cannot_be_entered(knarr: Knarr) -> None:
    words = ("-v", "/etc/passwd:/users", "-w", "/users", "busybox", "true")
    found = fail(knarr, "working-directory", *NONE, *words, status=126)
    assert found["Sentence"] == "The working directory /users cannot be entered: not a directory."


def test_a_neighbour_that_does_not_run(knarr: Knarr) -> None:
    knarr("create", "--name", "other", "busybox", "true")
    words = ("--network", "container:other", "busybox", "true")
    fail(knarr, "neighbour-missing", *words, status=125)


# no container at all


def test_a_name_that_is_taken(knarr: Knarr) -> None:
    container_id = knarr("create", "--name", "one", "busybox", "true").strip()
    for command in ("run", "create"):
        said = knarr.do(command, "--name", "one", "busybox", "true").stderr
        assert f"The name one belongs to the container {container_id[:12]}." in said
        assert "knarr rm one" in said


def test_an_image_without_a_command(knarr: Knarr) -> None:
    knarr.add_image("bare", config=RunConfig(env=("PATH=/bin",)))
    said = knarr.fails("run", "bare", status=125)
    assert "The image has no command of its own, and none was given." in said


def test_too_little_memory(knarr: Knarr) -> None:
    said = knarr.fails("run", "-m", "512", "busybox", "true", status=125)
    assert "A memory limit below 6MB leaves no room for any program." in said
    assert "-m 512m" in said


def test_with_rm_the_cause_is_said_before_it_is_gone(knarr: Knarr) -> None:
    said = knarr.fails("run", "--rm", *NONE, "busybox", "slep", status=127)
    assert "Did you mean sleep" in said
    said = knarr.fails("run", "-d", "--rm", *NONE, "busybox", "slep", status=127)
    assert "Did you mean sleep" in said
    assert knarr("ps", "-aq") == ""


def test_no_such_container(knarr: Knarr) -> None:
    assert knarr.fails("explain", "nosuch") == "knarr: no such container: nosuch\n"
