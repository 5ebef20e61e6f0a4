"""Why a program that ran has ended: the failing thing is run, then `explain` is asked.

What the program itself could not say stands on stderr of `run` too; nothing else does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from support import tinyelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
HOG = "x=aaaaaaaa; while :; do x=$x$x; done"
INTEL = pytest.mark.skipif(os.uname().machine != "x86_64", reason="machine code for amd64")


def end(
    knarr: Knarr, cause: str, *words: str, status: int, aloud: bool = False, stdin: bytes = b""
) -> dict[str, Any]:
    """Run something to its end, and assert its cause, and whether `run` says it."""
    done = knarr.do("run", "--name", "one", *words, stdin=stdin)
    assert done.returncode == status, done
    found = knarr.explained()
    assert found["Cause"] == cause, found
    assert (f"knarr: {found['Sentence']}\n{found['Fix']}\n" in done.stderr) == aloud, done.stderr
    assert aloud or "knarr" not in done.stderr
    assert ("most likely" in found["Sentence"]) != found["Certain"]
    return found


def shell(
    knarr: Knarr, cause: str, script: str, *, status: int = 1, words: tuple[str, ...] = NONE
) -> dict[str, Any]:
    return end(knarr, cause, *words, "busybox", "sh", "-c", script, status=status)


# memory and time


def kernel_tells() -> bool:
    """Tell whether the kernel's log, which knows whom it killed, can be read here."""
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_memory_limit(knarr: Knarr) -> None:
    words = ("-m", "32m", *NONE, "busybox", "sh", "-c", HOG)
    cause = "memory-limit" if kernel_tells() else "memory-short"
    found = end(knarr, cause, *words, status=137, aloud=True)
    assert "32MiB" in found["Sentence"]
    assert "-m 64m" in found["Fix"]
    assert found["Sentence"].startswith("The kernel killed sh, which held ") == kernel_tells()


def test_a_memory_limit_that_a_child_met(knarr: Knarr) -> None:
    if not kernel_tells():
        pytest.skip("the kernel's log cannot be read")
    words = ("-m", "32m", *NONE, "busybox", "sh", "-c", f"sh -c '{HOG}'; exit 4")
    found = end(knarr, "memory-limit-inside", *words, status=4)
    assert "sh ended with status 4" in found["Sentence"]


def test_a_time_limit(knarr: Knarr) -> None:
    words = ("--timeout", "1", *NONE, "busybox", "sleep", "60")
    found = end(knarr, "time-limit", *words, status=137, aloud=True)
    assert "--timeout of 1 second" in found["Sentence"]


# signals


def run_and(knarr: Knarr, *words: str, name: str = "one") -> None:
    knarr("run", "-d", "--name", name, *NONE, *words)


def test_stop_of_what_ends(knarr: Knarr) -> None:
    run_and(knarr, "--init", "busybox", "sleep", "60")
    knarr("stop", "one")
    found = knarr.explained()
    assert found["Cause"] == "stopped"
    assert "SIGTERM" in found["Sentence"]
    assert "status 143" in found["Sentence"]


def test_stop_of_what_does_not_listen(knarr: Knarr) -> None:
    run_and(knarr, "busybox", "sleep", "60")
    knarr("stop", "-t", "1", "one")
    found = knarr.explained()
    assert found["Cause"] == "stop-swallowed"
    assert "kill sleep after 1 second" in found["Sentence"]
    assert "--init" in found["Fix"]


def test_stop_of_a_shell_in_front(knarr: Knarr) -> None:
    run_and(knarr, "busybox", "sh", "-c", "sleep 60; true")
    knarr("stop", "-t", "1", "one")
    found = knarr.explained()
    assert found["Cause"] == "stop-swallowed-by-shell"
    assert "sh -c, which does not hand SIGTERM on" in found["Sentence"]


def test_kill(knarr: Knarr) -> None:
    process = knarr.start("run", "--name", "one", *NONE, "busybox", "sh", "-c", "echo; sleep 60")
    assert process.stdout
    assert process.stdout.readline() == b"\n"
    knarr("kill", "one")
    assert process.communicate()[1] == b""  # who kills it knows
    assert process.returncode == 137
    found = knarr.explained()
    assert found["Cause"] == "killed"
    assert "knarr kill (SIGKILL)" in found["Sentence"]


def test_a_signal_that_the_program_ends_by(knarr: Knarr) -> None:
    run_and(knarr, "busybox", "sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.02; done")
    time.sleep(0.2)
    knarr("kill", "-s", "USR1", "one")
    knarr("wait", "one")
    assert knarr.explained()["Cause"] == "ended-by-signal-sent"


def test_somebody_on_the_host(knarr: Knarr) -> None:
    process = knarr.start("run", "--name", "one", *NONE, "busybox", "sh", "-c", "echo; sleep 60")
    assert process.stdout
    assert process.stdout.readline() == b"\n"
    os.kill(int(knarr("inspect", "-f", "{{.State.Pid}}", "one")), signal.SIGKILL)
    assert b"by somebody on the host" in process.communicate()[1]
    assert knarr.explained()["Cause"] == "killed-from-outside"


def test_a_child_that_was_killed(knarr: Knarr) -> None:
    shell(knarr, "killed-inside", "sh -c 'kill -9 $$'; exit $?", status=137)


@INTEL
@pytest.mark.parametrize(
    ("cause", "code", "status"),
    [
        ("segmentation-fault", tinyelf.CRASH, 139),
        ("illegal-instruction", tinyelf.NO_INSTRUCTION, 132),
        ("arithmetic", tinyelf.DIVIDE_BY_ZERO, 136),
    ],
)
def test_crashes(knarr: Knarr, tmp_path: Path, cause: str, code: bytes, status: int) -> None:
    file = tmp_path / "app"
    file.write_bytes(tinyelf.program(code))
    file.chmod(0o755)
    words = (*NONE, "-v", f"{file}:/app", "busybox")
    found = end(knarr, cause, *words, "/app", status=status, aloud=True)
    assert found["Sentence"].startswith("app ")
    knarr("rm", "one")
    end(knarr, f"{cause}-inside", *words, "sh", "-c", "/app; exit $?", status=status)


@pytest.mark.parametrize(
    ("cause", "name", "status", "aloud"),
    [
        ("aborted", "ABRT", 134, True),
        ("bus-error", "BUS", 135, True),
        ("pipe-closed", "PIPE", 141, True),
        ("interrupted", "INT", 130, False),
        ("terminal-closed", "HUP", 129, False),
        ("terminated", "TERM", 143, False),
        ("other-signal", "ALRM", 142, False),
    ],
)
def test_signals_of_its_own(knarr: Knarr, cause: str, name: str, status: int, aloud: bool) -> None:
    # As process 1 of a namespace it would be spared.
    words = ("--pid", "host", *NONE, "busybox", "sh", "-c", f"kill -{name} $$; sleep 9")
    end(knarr, cause, *words, status=status, aloud=aloud)


def test_a_forbidden_call(knarr: Knarr, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"},
        ],
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    words = (*NONE, "--security-opt", f"seccomp={tmp_path}/profile.json", "busybox")
    end(knarr, "call-forbidden", *words, "mkdir", "/x", status=159, aloud=True)


# what nobody saw


def pids(knarr: Knarr) -> tuple[str, dict[str, Any]]:
    (name,) = os.listdir(f"{knarr.root}/containers")
    path = f"{knarr.root}/containers/{name}/task.json"
    with open(path) as file:
        return path, json.load(file)


def test_a_reboot(knarr: Knarr) -> None:
    run_and(knarr, "busybox", "sleep", "60")
    path, fields = pids(knarr)
    for pid in (fields["supervisor_pid"], fields["pid"]):
        os.kill(pid, signal.SIGKILL)
    with open(path, "w") as file:
        json.dump({**fields, "boot_id": "00000000-0000-0000-0000-000000000000"}, file)
    shutil.rmtree(knarr.run_dir)
    found = json.loads(knarr.do("explain", "--format", "json", "one").stdout)
    assert found["Cause"] == "host-rebooted"


def test_an_end_that_nobody_saw(knarr: Knarr) -> None:
    run_and(knarr, "busybox", "sleep", "60")
    _, fields = pids(knarr)
    os.kill(fields["supervisor_pid"], signal.SIGKILL)
    os.kill(fields["pid"], signal.SIGKILL)
    knarr.wait_until(lambda: not os.path.exists(f"/proc/{fields['pid']}"))
    found = json.loads(knarr.do("explain", "--format", "json", "one").stdout)
    assert found["Cause"] == "end-unseen"


# ends by itself


def test_success(knarr: Knarr) -> None:
    found = end(knarr, "done", *NONE, "busybox", "true", status=0)
    assert found["Sentence"].startswith("true ended by itself after ")


def test_a_status_of_its_own(knarr: Knarr) -> None:
    found = end(knarr, "own-status", *NONE, "busybox", "sh", "-c", "exit 3", status=3)
    assert "status 3" in found["Sentence"]


def test_a_status_of_its_own_with_words(knarr: Knarr) -> None:
    found = shell(knarr, "own-status-saying", "echo one; echo 'no database' >&2; exit 3", status=3)
    assert '"no database"' in found["Sentence"]
    assert "    no database\n" in knarr("explain", "one")


def test_an_exit_code_is_no_signal(knarr: Knarr) -> None:
    found = shell(knarr, "killed-inside", "exit 137", status=137)
    assert not found["Certain"]


def test_a_shell_without_input(knarr: Knarr) -> None:
    end(knarr, "shell-without-input", *NONE, "busybox", status=0)


def test_a_shell_whose_input_ended(knarr: Knarr) -> None:
    end(knarr, "input-ended", "-i", *NONE, "busybox", status=0, stdin=b"true\n")


def test_a_server_in_the_background(knarr: Knarr) -> None:
    knarr.add_image("web", files={"bin/nginx": "#!/bin/sh\nexit 0\n"})
    found = end(knarr, "went-to-background", *NONE, "web", "nginx", status=0)
    assert "daemon off;" in found["Fix"]
    knarr("rm", "one")
    end(knarr, "done", *NONE, "web", "nginx", "-g", "daemon off;", status=0)


# what it says at its end


def test_a_root_that_is_read_only(knarr: Knarr) -> None:
    shell(knarr, "read-only-root", "touch /x", words=("--read-only", *NONE))


def test_a_mount_that_is_read_only(knarr: Knarr, tmp_path: Path) -> None:
    words = ("-v", f"{tmp_path}:/data:ro", *NONE)
    found = shell(knarr, "read-only-mount", "touch /data/x", words=words)
    assert f"/data, which is mounted read-only from {tmp_path}" in found["Sentence"]


@pytest.fixture
def little(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "little"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk(knarr: Knarr, little: Path) -> None:
    words = ("-v", f"{little}:/data", *NONE)
    script = "dd if=/dev/zero of=/data/x bs=4k count=99"
    found = shell(knarr, "disk-full", script, words=words)
    assert f"{little} has no space left" in found["Sentence"]


def test_a_full_tmpfs_of_its_own(knarr: Knarr) -> None:
    words = ("--tmpfs", "/data:size=64k", *NONE)
    shell(knarr, "disk-was-full", "dd if=/dev/zero of=/data/x bs=4k count=99", words=words)


def test_a_limit_of_processes(knarr: Knarr) -> None:
    script = "sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait"
    found = shell(knarr, "process-limit", script, status=2, words=("--pids-limit", "3", *NONE))
    assert "limit of 3 processes" in found["Sentence"]


def test_a_mount_that_is_somebody_else_s(knarr: Knarr, tmp_path: Path) -> None:
    place = tmp_path / "private"
    place.mkdir(mode=0o700)
    os.chown(place, 1234, 1234)
    words = ("-u", "1000", "-v", f"{place}:/data", *NONE)
    found = shell(knarr, "mount-denied", "ls /data", words=words)
    assert "belongs to user 1234 with mode 0700" in found["Sentence"]
    assert "--user 1234:1234" in found["Fix"]


def test_a_file_that_is_root_s(knarr: Knarr) -> None:
    shell(knarr, "denied", "touch /etc/x", words=("-u", "1000", *NONE))


def test_what_containers_may_not(knarr: Knarr) -> None:
    shell(knarr, "not-permitted", "hostname other")


def test_an_address_in_use_inside(knarr: Knarr) -> None:
    script = "busybox httpd -p 80; busybox httpd -f -p 80"
    shell(knarr, "address-in-use-inside", script)


def test_an_address_in_use_on_the_host(knarr: Knarr) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        script = f"busybox httpd -f -p {server.getsockname()[1]}"
        shell(knarr, "address-in-use-on-host", script, words=("--network", "host"))


def test_no_network_for_names(knarr: Knarr) -> None:
    shell(knarr, "names-without-network", "wget http://db.example/")


def test_no_network(knarr: Knarr) -> None:
    shell(knarr, "no-network", "wget http://192.0.2.1/")


def test_a_name_that_nobody_knows(knarr: Knarr) -> None:
    words = ("--dns", "127.0.0.1", "--dns-option", "timeout:1", "--dns-option", "attempts:1")
    shell(knarr, "name-unknown", "wget http://db.example/", words=words)


def test_a_library_that_is_not_there(knarr: Knarr) -> None:
    loader = "/lib64/ld-linux-x86-64.so.2"
    if not os.path.exists(loader):
        pytest.skip("the host has no glibc for amd64")
    words = (*NONE, "-v", f"{os.path.realpath(loader)}:{loader}", "-v", "/bin/ls:/tool", "busybox")
    found = end(knarr, "library-missing", *words, "/tool", status=127)
    assert "/tool needs the shared library lib" in found["Sentence"]


def test_a_program_that_a_script_misses(knarr: Knarr) -> None:
    found = shell(knarr, "program-missing-inside", "migrate --all; exit $?", status=127)
    assert "the program migrate," in found["Sentence"]


def test_a_file_that_a_script_cannot_execute(knarr: Knarr) -> None:
    shell(knarr, "not-executable-inside", "/etc/passwd; exit $?", status=126)


def test_status_127_alone(knarr: Knarr) -> None:
    shell(knarr, "not-found-inside", "exit 127", status=127)


def test_an_empty_directory_over_the_image_s(knarr: Knarr, tmp_path: Path) -> None:
    place = tmp_path / "app"
    place.mkdir()
    words = ("-v", f"{place}:/app", *NONE)
    shell(knarr, "mount-empty", "cat /app/config.yml", words=words)


@pytest.mark.parametrize(
    ("cause", "line", "words"),
    [
        ("open-files-limit", "accept: Too many open files", ()),
        ("no-more-processes", "sh: can't fork", ()),
        ("read-only-files", "open /sys/x: Read-only file system", ()),
        ("low-port", "nginx: bind() to 0.0.0.0:80 failed (13: Permission denied)", ("-u", "1000")),
        ("libc-too-old", "./app: /lib/libc.so.6: version `GLIBC_2.38' not found", ()),
        ("other-architecture-inside", "/app: line 3: ./tool: Exec format error", ()),
        (
            "library-missing-musl",
            "Error loading shared library libz.so.1: No such file or directory (needed by /app)",
            (),
        ),
    ],
)
def test_words_of_programs(knarr: Knarr, cause: str, line: str, words: tuple[str, ...]) -> None:
    words = ("-e", f"LINE={line}", *words, *NONE)
    shell(knarr, cause, 'echo "$LINE" >&2; exit 1', words=words)
