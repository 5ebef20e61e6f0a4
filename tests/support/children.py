"""Processes that come to grief at a chosen point, for tests of what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys


def run_python(code: str, *args: str, trace: str = "") -> subprocess.CompletedProcess[str]:
    """Run `code` in an interpreter that acts at the trace points in `trace` (`point=kill`)."""
    environment = {**os.environ, "KNARR_TRACE": trace}
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def start_python(code: str, *args: str, trace: str = "") -> subprocess.Popen[bytes]:
    """Start `code` in an interpreter, as `run_python`, and return it; the caller ends it."""
    environment = {**os.environ, "KNARR_TRACE": trace}
    return subprocess.Popen([sys.executable, "-c", code, *args], env=environment)


def wait_stopped(child: subprocess.Popen[bytes]) -> None:
    """Wait until a child has stopped itself at a trace point."""
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and wait for it."""
    child.send_signal(signal.SIGKILL)
    child.wait()
