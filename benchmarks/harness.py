"""Taking turns, and what is made of the times."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engines import Engine
    from benchmarks.rows import Row

# crun refuses a machine that has both versions of cgroups while the second has controllers.
HIDE = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'


class Timer:
    """The other end of `benchmarks.timer`."""

    def __init__(self, *, alone: bool) -> None:
        """Start the process; `alone` in a mount namespace without a second cgroup hierarchy."""
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("timer.py"))]
        if alone:
            command = ["unshare", "--mount", "sh", "-c", HIDE, "sh", *command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def inside(self) -> list[str]:
        """Return what to put before a command to run it where timed ones run."""
        return ["nsenter", "--mount", "--target", str(self._process.pid), "--"]

    def take(self, argv: Sequence[str], directory: str) -> tuple[float, float]:
        """Return the seconds that `argv` took, and those of processor time it reaped."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"argv": argv, "directory": directory}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            message = f"{' '.join(argv)}: the process that takes times has ended"
            raise RuntimeError(message)
        answer = json.loads(line)
        if answer["status"] != 0:
            message = f"{' '.join(argv)}: status {answer['status']}\n{answer['errors']}"
            raise RuntimeError(message)
        return answer["seconds"], answer["cpu"]

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # of what it never read: somebody has killed it
            self._process.stdin.close()
        self._process.wait()


class Result:
    """The times of one row with one engine, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self.failure = ""

    @property
    def median(self) -> float:
        return median(self.seconds)

    def __str__(self) -> str:
        if self.failure:
            return "failed"
        return f"{self.median * 1000:.1f} ({min(self.seconds) * 1000:.1f})"


def measure(row: Row, engines: Sequence[Engine], rounds: int) -> dict[str, Result]:
    """Return what `row` takes with each engine that can do it; the first round is not counted."""
    taking_part = [engine for engine in engines if row.suits(engine)]
    results = {engine.name: Result() for engine in taking_part}
    for number in range(rounds + 1):
        for engine in taking_part:
            result = results[engine.name]
            if result.failure:
                continue
            try:
                row.before(engine, number)
                seconds, cpu = engine.timer.take(row.command(engine), str(engine.work))
                row.after(engine)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                result.failure = str(getattr(error, "stderr", "") or error)
                print(f"{row.name}, {engine.name}: {result.failure}", file=sys.stderr)
                continue
            if number:
                result.seconds.append(seconds)
                result.cpu.append(cpu)
    return results
