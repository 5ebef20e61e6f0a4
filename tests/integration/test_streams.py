"""run, attach, exec and logs, used as a person uses them: pipes, a terminal, signals."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from knarr.engine.options.values import Networking, Options
from knarr.supervise import task
from support.terminal import PATIENCE, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

PLAIN = ("--network", "none")


def line(process: subprocess.Popen[bytes]) -> bytes:
    """Return the next line of a command's output."""
    assert process.stdout
    found = b""
    while not found.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, f"in vain for a line after {found!r}"
        piece = os.read(process.stdout.fileno(), 1)
        assert piece, f"the output ended after {found!r}"
        found += piece
    return found


@pytest.fixture
def web(knarr: Knarr) -> Iterator[Knarr]:
    """Lend an engine in which a container `web` runs."""
    knarr("run", "-d", *PLAIN, "--name", "web", "-e", "WHO=web", "busybox", "sleep", "1000")
    yield knarr
    knarr("rm", "-f", "web")


# run


def test_run_passes_bytes_both_ways(knarr: Knarr) -> None:
    data = bytes(range(256)) * 4096
    process = knarr.start("run", "--rm", "-i", *PLAIN, "busybox", "cat")
    output, errors = process.communicate(data, PATIENCE)
    assert (process.returncode, errors) == (0, b"")
    assert hashlib.sha256(output).digest() == hashlib.sha256(data).digest()


def test_run_keeps_the_streams_apart(knarr: Knarr) -> None:
    done = knarr.do("run", "--rm", *PLAIN, "busybox", "sh", "-c", "echo out; echo err >&2; exit 9")
    assert (done.returncode, done.stdout, done.stderr) == (9, "out\n", "err\n")


def test_run_without_i_has_no_input(knarr: Knarr) -> None:
    done = knarr.do("run", "--rm", *PLAIN, "busybox", "cat", stdin=b"unwanted")
    assert (done.returncode, done.stdout) == (0, "")


def test_only_the_stream_that_is_asked_for_is_attached(knarr: Knarr) -> None:
    done = knarr.do(
        "run", "--rm", "-a", "stderr", *PLAIN, "busybox", "sh", "-c", "echo out; echo err >&2"
    )
    assert (done.stdout, done.stderr) == ("", "err\n")


def test_a_signal_to_the_command_is_one_to_the_container(knarr: Knarr) -> None:
    script = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    process = knarr.start("run", "--rm", *PLAIN, "busybox", "sh", "-c", script)
    assert line(process) == b"ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert (output, process.returncode) == (b"caught\n", 7)


def test_the_container_outlives_the_command(knarr: Knarr) -> None:
    process = knarr.start("run", "--name", "on", *PLAIN, "busybox", "sh", "-c", "echo go; sleep 50")
    assert line(process) == b"go\n"
    process.kill()
    process.communicate()
    assert knarr("ps", "--format", "{{.Names}}") == "on\n"
    knarr("rm", "-f", "on")


def test_a_killed_supervisor_is_replaced_under_an_attached_command(knarr: Knarr) -> None:
    script = "echo one; read x; echo $x; exit 6"
    process = knarr.start("run", "-i", "--name", "on", *PLAIN, "busybox", "sh", "-c", script)
    assert line(process) == b"one\n"
    bundle_dir = knarr.engine.paths.container(knarr.engine.containers.get("on").id)
    killed = _supervisor(bundle_dir)
    os.kill(killed, signal.SIGKILL)
    knarr.wait_until(lambda: _supervisor(bundle_dir) != killed)
    assert process.stdin
    process.stdin.write(b"two\n")
    process.stdin.flush()
    assert line(process) == b"two\n"
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 6


def _supervisor(bundle_dir: str) -> int:
    fields = task.read(bundle_dir)
    assert fields
    pid: int = fields["supervisor_pid"]
    return pid


# terminals


def test_a_terminal_has_the_size_of_ours_and_follows_it(knarr: Knarr) -> None:
    script = "trap 'stty size; exit 5' WINCH; tty; stty size; while :; do sleep 0.02; done"
    person = Terminal(knarr, "run", "--rm", "-it", *PLAIN, "busybox", "sh", "-c", script)
    person.expect("/dev/pts/0")
    person.expect("24 80")
    person.resize(30, 100)
    person.expect("30 100")
    assert person.status() == 5


def test_keys_reach_the_program(knarr: Knarr) -> None:
    person = Terminal(knarr, "run", "--rm", "-it", *PLAIN, "busybox", "sh")
    person.expect("/ # ")
    person.type("sh -c 'echo sl\"\"eeping; exec sleep 100'\n")
    person.expect("sleeping")
    person.type("\x03")
    person.expect("/ # ")
    person.type("\x04")
    assert person.status() == 130


def test_detaching_and_attaching_again(knarr: Knarr) -> None:
    person = Terminal(knarr, "run", "-it", "--name", "shell", *PLAIN, "busybox", "sh")
    person.expect("/ # ")
    person.type("x=kept\n")
    person.expect("/ # ")
    person.type("\x10\x11")
    person.expect("read escape sequence")
    assert person.status() == 0
    assert knarr("ps", "--format", "{{.Names}}") == "shell\n"
    person = Terminal(knarr, "attach", "--detach-keys", "ctrl-a", "shell")
    person.type("echo =$x=\n")
    person.expect("=kept=")
    person.type("\x01")
    person.expect("read escape sequence")
    person.status()
    person = Terminal(knarr, "attach", "shell")
    person.type("exit 4\n")
    assert person.status() == 4
    knarr("rm", "shell")


def test_a_terminal_is_needed_for_one(knarr: Knarr) -> None:
    said = knarr.fails("run", "-it", *PLAIN, "busybox", "sh", status=1)
    assert "the input device is not a TTY" in said
    assert knarr("ps", "-aq") == ""  # nothing is left that was never to be


# attach


def test_attach_ends_with_the_containers_status(knarr: Knarr) -> None:
    knarr(
        "run", "-d", "-i", "--name", "cat", *PLAIN, "busybox", "sh", "-c", "read x; echo $x; exit 3"
    )
    done = knarr.do("attach", "cat", stdin=b"hello\n")
    assert (done.returncode, done.stdout) == (3, "hello\n")
    knarr("rm", "cat")


def test_attach_needs_a_container_that_runs(web: Knarr) -> None:
    web("pause", "web")
    assert "paused" in web.fails("attach", "web")
    web("unpause", "web")
    web("kill", "web")
    assert "stopped container" in web.fails("attach", "web")
    assert "no such container" in web.fails("attach", "nobody").lower()


def test_attach_without_forwarding_leaves_the_container_alone(web: Knarr) -> None:
    process = web.start("attach", "--sig-proxy=false", "web")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) != 0
    process.communicate()
    assert web("ps", "-q", "--filter", "name=web") != ""


# exec


def test_exec_is_the_container_with_what_is_asked_otherwise(web: Knarr) -> None:
    assert web("exec", "web", "sh", "-c", "echo $WHO; pwd; id -u") == "web\n/\n0\n"
    changed = web(
        "exec", "-u", "nobody", "-w", "/tmp", "-e", "WHO=me", "web",
        "sh", "-c", "echo $WHO; pwd; id -un",
    )  # fmt: skip
    assert changed == "me\n/tmp\nnobody\n"


def test_exec_passes_input_and_status(web: Knarr) -> None:
    done = web.do("exec", "-i", "web", "sh", "-c", "cat; exit 42", stdin=b"abc")
    assert (done.returncode, done.stdout) == (42, "abc")


def test_exec_at_a_terminal(web: Knarr) -> None:
    person = Terminal(web, "exec", "-it", "web", "sh")
    person.expect("/ # ")
    person.type("stty size; exit 3\n")
    person.expect("24 80")
    assert person.status() == 3


def test_exec_in_the_background(web: Knarr) -> None:
    assert web("exec", "-d", "web", "sleep", "77") == ""
    assert "sleep 77" in web("exec", "web", "ps")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("web", "nonesuch"), 127, "executable file not found in $PATH"),
        (("web", "/etc/passwd"), 126, "permission denied"),
        (("nobody", "true"), 1, "no such container: nobody"),
        (("-u", "joe", "web", "true"), 126, "unable to find user joe"),
        (("-w", "/nowhere", "web", "true"), 127, "no such file or directory"),
        (("-it", "web", "sh"), 1, "the input device is not a TTY"),
    ],
)
def test_exec_says_what_is_wrong(
    web: Knarr, words: tuple[str, ...], status: int, said: str
) -> None:
    assert said in web.fails("exec", *words, status=status)


def test_exec_needs_a_container_that_runs(web: Knarr) -> None:
    web("pause", "web")
    assert "is paused, unpause the container before exec" in web.fails("exec", "web", "true")
    web("unpause", "web")
    web("kill", "web")
    assert "is not running" in web.fails("exec", "web", "true")


def test_exec_has_the_containers_rights(web: Knarr) -> None:
    first = web("exec", "web", "grep", "-E", "^(Cap|Seccomp:|NoNew)", "/proc/1/status")
    own = web("exec", "web", "grep", "-E", "^(Cap|Seccomp:|NoNew)", "/proc/self/status")
    assert own == first
    assert "Seccomp:\t2" in own
    privileged = web("exec", "--privileged", "web", "grep", "CapEff", "/proc/self/status")
    assert privileged not in own


# logs


def test_logs_are_what_was_written(knarr: Knarr) -> None:
    knarr("run", "--name", "job", *PLAIN, "busybox", "seq", "5")
    assert knarr("logs", "job") == "1\n2\n3\n4\n5\n"
    assert knarr("logs", "-n", "2", "job") == "4\n5\n"
    assert knarr("logs", "--since", "1h", "--tail", "1", "job") == "5\n"
    assert knarr("logs", "--until", "1h", "job") == ""
    (line,) = knarr("logs", "-t", "-n1", "job").splitlines()
    assert len(line) == 32
    assert line.endswith("Z 5")
    knarr("rm", "job")


def test_logs_keep_the_streams_apart(knarr: Knarr) -> None:
    knarr.do("run", "--name", "job", *PLAIN, "busybox", "sh", "-c", "echo out; echo err >&2")
    done = knarr.do("logs", "job")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    knarr("rm", "job")


def test_logs_follow_until_the_end(knarr: Knarr) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.05; done"
    knarr("run", "-d", "--name", "job", *PLAIN, "busybox", "sh", "-c", script)
    assert knarr("logs", "-f", "job") == "1\n2\n3\n"
    knarr("rm", "job")


def test_logs_follow_over_rotations(knarr: Knarr) -> None:
    words = ("--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    script = "read x; for i in $(seq 40); do seq 50; sleep 0.01; done"
    knarr("run", "-d", "-i", "--name", "job", *words, *PLAIN, "busybox", "sh", "-c", script)
    reader = knarr.start("logs", "-f", "job")
    time.sleep(0.3)
    knarr.do("attach", "job", stdin=b"\n")
    output, _ = reader.communicate(timeout=PATIENCE)
    assert output.decode() == "".join(f"{n}\n" for n in range(1, 51)) * 40
    knarr("rm", "job")


def test_a_driver_that_keeps_nothing_has_nothing_to_read(knarr: Knarr) -> None:
    knarr("run", "--name", "job", "--log-driver", "none", *PLAIN, "busybox", "echo", "hi")
    assert "does not support reading" in knarr.fails("logs", "job")
    knarr("rm", "job")


@pytest.mark.parametrize("words", [("nobody",), ("--since", "soon", "job")])
def test_logs_says_what_is_wrong(knarr: Knarr, words: tuple[str, ...]) -> None:
    assert "knarr: " in knarr.fails("logs", *words)


# the library


def test_the_library_runs_execs_and_reads_logs(knarr: Knarr) -> None:
    container = knarr.engine.containers.run(
        "busybox", ["sh", "-c", "echo logged; exec sleep 100"],
        options=Options(networking=Networking(mode="none")),
    )  # fmt: skip
    done = container.exec(["sh", "-c", "cat; echo err >&2; exit 4"], data=b"input")
    assert (done.exit_code, done.stdout, done.stderr) == (4, b"input", b"err\n")
    (entry,) = container.logs()
    assert entry
    assert entry.text == "logged\n"
    container.remove(force=True)
