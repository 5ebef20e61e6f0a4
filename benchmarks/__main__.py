"""Measure, and print a table in Markdown."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.engines import ENGINES, Engine, make_rootfs
from benchmarks.harness import Result, Timer, measure
from benchmarks.rows import rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="knarr beside other engines")
    parser.add_argument("--rounds", type=int, default=15, help="how often each command is timed")
    parser.add_argument("--only", default="", help="only rows whose name has this text")
    parser.add_argument("--engines", default="", help="only these engines, by commas")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks: containers are started as root here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="knarr-bench-", dir="/var/tmp") as directory:
        return _run(Path(directory), options)


def _run(work: Path, options: argparse.Namespace) -> int:
    make_rootfs(work / "rootfs")
    wanted = options.engines.split(",") if options.engines else [kind.name for kind in ENGINES]
    engines: list[Engine] = []
    try:
        for kind in ENGINES:
            reason = "" if kind.name not in wanted else kind.missing()
            if reason:
                print(f"Without {kind.name}: {reason}.")
            elif kind.name in wanted:
                engine = kind(work / kind.name)
                engines.append(engine)
                engine.set_up(work / "rootfs")
        _measure_all(engines, options)
    finally:
        for engine in engines:
            engine.tear_down()
    return 0


def _measure_all(engines: list[Engine], options: argparse.Namespace) -> None:
    interpreter = _interpreter(options.rounds)
    print(f"\nWhole commands, milliseconds, median (minimum) of {options.rounds}.")
    print(f"An empty interpreter (`python -I -S`) takes {interpreter}.\n")
    names = [engine.name for engine in engines]
    print(f"| | {' | '.join(names)} | ratios |")
    print(f"|---{'|--:' * len(names)}|---|")
    for row in rows(options.rounds):
        if options.only in row.name:
            results = measure(row, engines, options.rounds)
            cells = [str(results.get(name, "")) for name in names]
            print(f"| {row.name} | {' | '.join(cells)} | {_ratios(results)} |", flush=True)


def _interpreter(rounds: int) -> Result:
    timer, result = Timer(alone=False), Result()
    for _ in range(rounds):
        seconds, _cpu = timer.take([sys.executable, "-I", "-S", "-c", "pass"], "/")
        result.seconds.append(seconds)
    timer.close()
    return result


def _ratios(results: dict[str, Result]) -> str:
    """Say how many times as long as knarr each other engine takes."""
    own = results.get("knarr")
    if own is None or own.failure:
        return ""
    return ", ".join(
        f"{name} {result.median / own.median:.1f}"
        for name, result in results.items()
        if result is not own and not result.failure
    )


if __name__ == "__main__":
    sys.exit(main())
