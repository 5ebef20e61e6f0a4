"""Processes made by clone3, their descriptors and times, programs as the kernel takes them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from knarr.linux import capabilities, process, seccomp

SETUP = """
import os, signal, sys
sys.path[:0] = {path!r}
from knarr.linux import process
"""


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter with one thread, as everything that forks here must have."""
    text = SETUP.format(path=sys.path) + textwrap.dedent(code)
    words = [sys.executable, "-c", text]
    return subprocess.run(
        words, capture_output=True, text=True, errors="surrogateescape", check=False, timeout=30
    )


def test_structures_have_the_kernels_sizes() -> None:
    assert ctypes.sizeof(process.clone_args) == 88  # CLONE_ARGS_SIZE_VER2
    assert ctypes.sizeof(seccomp.sock_fprog) == 16


def test_child_runs_and_ends_by_itself() -> None:
    done = alone("""
        pid, pidfd = process.clone3(0)
        if not pid:
            os._exit(os.getpid() % 100)
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        print(ended.si_pid == pid, ended.si_status == pid % 100, os.get_inheritable(pidfd))
    """)
    assert done.stdout == "True True False\n", done.stderr


def test_child_has_none_of_the_parents_signal_handlers() -> None:
    done = alone("""
        signal.signal(signal.SIGTERM, lambda *_: print("handled"))
        pid, pidfd = process.clone3(0)
        if not pid:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        print(os.waitid(os.P_PIDFD, pidfd, os.WEXITED).si_status)
    """)
    assert done.stdout == "15\n", done.stderr


def test_errors_carry_the_call() -> None:
    done = alone("""
        try:
            process.clone3(process.CLONE_INTO_CGROUP, cgroup_fd=999)
        except OSError as error:
            print(error.errno, error.__notes__)
    """)
    assert done.stdout == "9 [\"clone3('0x200000000',)\"]\n", done.stderr


def test_program_keeps_order_and_duplicates_of_the_environment() -> None:
    done = alone("""
        pid, pidfd = process.clone3(0)
        if not pid:
            process.Program("/usr/bin/env", ["env"], ["B=1", "A=2", "B=3", "X=\\udcff"]).execute()
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    """)
    assert done.stdout.encode("utf-8", "surrogateescape").startswith(b"B=1\nA=2\nB=3\nX="), done


def test_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        process.Program("/nosuch", ["x"], []).execute()


def test_close_range() -> None:
    done = alone("""
        for n in (10, 11, 12):
            os.dup2(1, n)
        process.close_range(10, 11)
        for n in (10, 11, 12):
            try:
                print(os.get_inheritable(n))
            except OSError:
                print("closed")
    """)
    assert done.stdout.split() == ["closed", "closed", "True"], done.stderr


def test_state_and_start_time() -> None:
    state, started = process.state_and_start_time(os.getpid())
    assert state == "R"
    assert started == process.start_time(os.getpid()) > 0
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.state_and_start_time(child.pid)[0] == "Z"
    child.wait()
    with pytest.raises(FileNotFoundError):
        process.start_time(child.pid)


def test_limits_of_another_process() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        process.setrlimit(child.pid, process.RLIMITS.index("CORE"), 0, 0)
        with open(f"/proc/{child.pid}/limits", encoding="ascii") as file:
            text = file.read()
        child.send_signal(signal.SIGKILL)
    assert "Max core file size        0                    0" in text


def test_capabilities_by_name_and_number() -> None:
    assert capabilities.NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40
    some = capabilities.mask(["CAP_KILL", "CAP_BPF"])
    assert some == 1 << 5 | 1 << 39
    assert capabilities.names(some) == ["CAP_KILL", "CAP_BPF"]
    with pytest.raises(KeyError):
        capabilities.mask(["CAP_NOSUCH"])


def test_capabilities_of_this_process_are_those_in_proc() -> None:
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    effective, permitted, inheritable = capabilities.capget()
    assert effective == int(status["CapEff"], 16)
    assert permitted == int(status["CapPrm"], 16)
    assert inheritable == int(status["CapInh"], 16)
