"""What lies around containers that run: memory, idling, streams, logs, exec.

    python -m benchmarks.life                    # a table in Markdown
    python -m benchmarks.life --idle 10 --megabytes 100 --rounds 1

Each engine takes its turn in every round; of times the best counts, since on a machine that is not
idle it says more than the middle.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.engines import (
    APPLETS,
    IMAGE,
    Docker,
    Engine,
    Knarr,
    Podman,
    make_rootfs,
    taking_part,
    workplace,
)
from benchmarks.rows import QUIET
from benchmarks.supervisors import Supervisors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ENGINES: tuple[type[Engine], ...] = (Knarr, Docker, Podman)
LINE = "x" * 79
MIB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.life", description=__doc__.splitlines()[0])
    parser.add_argument("--idle", type=int, default=50, help="how many containers idle")
    parser.add_argument("--seconds", type=float, default=20, help="for how long they are watched")
    parser.add_argument("--megabytes", type=int, default=1024, help="what passes through a pipe")
    parser.add_argument("--rounds", type=int, default=3, help="how often streams are measured")
    parser.add_argument("--engines", default="", help="only these engines, by commas")
    options = parser.parse_args()
    with workplace() as work:
        make_rootfs(work / "rootfs", (*APPLETS, "dd", "head", "yes"))
        with taking_part(ENGINES, work, wanted=options.engines) as engines:
            print(f"\n| | {' | '.join(engine.name for engine in engines)} |")
            print(f"|---{'|--:' * len(engines)}|")
            _idle(engines, options)
            _streams(engines, options)
    return 0


def _row(title: str, cells: Iterable[str]) -> None:
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


# containers that do nothing


def _idle(engines: list[Engine], options: argparse.Namespace) -> None:
    found = [_watch(engine, options) for engine in engines]
    count = options.idle
    private = [f"{one.private / count / 1024:.1f}" for one in found]
    _row(f"memory of {count} idle containers, MiB a container: private", private)
    _row("… with its part of what is shared (PSS)", [f"{o.pss / count / 1024:.1f}" for o in found])
    _row("… of the daemon beside them, MiB (PSS)", [f"{one.daemon / 1024:.0f}" for one in found])
    _row(
        f"processor time that {count} idle containers and the daemon take, ms a second",
        [f"{one.busy:.1f}" for one in found],
    )


def _watch(engine: Engine, options: argparse.Namespace) -> Supervisors:
    """Return what looks after idle containers, which are removed again."""
    names = [f"idle{number}" for number in range(options.idle)]
    daemons = Supervisors.daemons(engine)
    for name in names:
        engine.call("run", "-d", *QUIET, "--name", name, IMAGE, "sleep", "600")
    try:
        pids = [int(engine.call("inspect", "--format", "{{.State.Pid}}", n)) for n in names]
        time.sleep(2)  # what starting them left to do
        return Supervisors(pids, daemons, options.seconds)
    finally:
        engine.call("rm", "-f", *names)


# streams


def _streams(engines: list[Engine], options: argparse.Namespace) -> None:
    size = options.megabytes * MIB
    lines = size // 4 // (len(LINE) + 1)
    copied = f"dd if=/dev/zero bs=64k count={size // (64 << 10)} 2>/dev/null"
    written = f"yes {LINE} | head -n {lines}"
    nowhere = ("--log-driver", "none")
    rows: list[tuple[str, Callable[[Engine], float]]] = [
        ("`run … dd`, no log, MB/s", lambda e: size / _read(e, size, nowhere, copied) / 1e6),
        (
            "`run -i … cat`, no log, MB/s both ways",
            lambda e: size / _read(e, size, (*nowhere, "-i"), "cat", given=size) / 1e6,
        ),
        (
            "`run … dd`, logged, MB/s",
            lambda e: size / 4 / _read(e, size // 4, (), copied.replace("64k", "16k")) / 1e6,
        ),
        (
            "lines of 80 bytes, logged and read, thousand a second",
            lambda e: lines / _read(e, lines * (len(LINE) + 1), (), written) / 1e3,
        ),
        (
            "lines of 80 bytes, logged only, thousand a second",
            lambda e: lines / _detached(e, written) / 1e3,
        ),
        ("twenty `exec … true`, one after another, ms each", lambda e: -_execs(e) * 1e3),
        ("fifty `exec … true` at once, ms in all", lambda e: -_execs_at_once(e) * 1e3),
    ]
    for title, measure in rows:
        best = [float("-inf")] * len(engines)
        for _ in range(options.rounds):
            for number, engine in enumerate(engines):
                best[number] = max(best[number], measure(engine))
        _row(title, [f"{abs(figure):.0f}" for figure in best])


def _command(engine: Engine, argv: list[str]) -> list[str]:
    return [*(engine.timer.inside if engine.alone else []), *argv]


def _read(
    engine: Engine, size: int, options: tuple[str, ...], script: str, *, given: int = 0
) -> float:
    """Return how long it took to read `size` bytes of a container's output."""
    argv = engine.run("--rm", *QUIET, *options, IMAGE, "sh", "-c", script)
    source = subprocess.Popen(["head", "-c", str(given), "/dev/zero"], stdout=subprocess.PIPE)
    started = time.monotonic()
    process = subprocess.Popen(
        _command(engine, argv), stdin=source.stdout, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=engine.work,
    )  # fmt: skip
    assert process.stdout is not None
    assert source.stdout is not None
    source.stdout.close()
    count = 0
    while piece := os.read(process.stdout.fileno(), MIB):
        count += len(piece)
    seconds = time.monotonic() - started
    process.wait()
    source.wait()
    if count != size:
        message = f"{engine.name}: {count} bytes arrived instead of {size}"
        raise RuntimeError(message)
    return seconds


def _detached(engine: Engine, script: str) -> float:
    """Return how long a container took that nobody but the log reads."""
    engine.call("create", *QUIET, "--name", "writer", IMAGE, "sh", "-c", script)
    started = time.monotonic()
    engine.call("start", "writer")
    engine.call("wait", "writer")
    seconds = time.monotonic() - started
    engine.call("rm", "-f", "writer")
    return seconds


def _execs(engine: Engine) -> float:
    engine.call("run", "-d", *QUIET, "--name", "box", IMAGE, "sleep", "600")
    engine.timer.take(engine.words("exec", "box", "true"), str(engine.work))  # to warm up
    times = [
        engine.timer.take(engine.words("exec", "box", "true"), str(engine.work))[0]
        for _ in range(20)
    ]
    engine.call("rm", "-f", "box")
    return sum(times) / len(times)


def _execs_at_once(engine: Engine) -> float:
    engine.call("run", "-d", *QUIET, "--name", "box", IMAGE, "sleep", "600")
    argv = _command(engine, engine.words("exec", "box", "true"))
    started = time.monotonic()
    processes = [
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(50)
    ]
    failed = sum(process.wait() != 0 for process in processes)
    seconds = time.monotonic() - started
    engine.call("rm", "-f", "box")
    if failed:
        print(f"{engine.name}: {failed} of 50 failed", file=sys.stderr)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
