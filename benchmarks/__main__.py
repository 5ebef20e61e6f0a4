"""Measure, and print a table in Markdown."""

from __future__ import annotations

import argparse
import sys

from benchmarks.engines import ENGINES, Engine, make_rootfs, taking_part, workplace
from benchmarks.harness import Result, Timer, measure
from benchmarks.rows import QUIET, Run, rows
from benchmarks.supervisors import memory_of_one


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="knarr beside other engines")
    parser.add_argument("--rounds", type=int, default=15, help="how often each command is timed")
    parser.add_argument("--only", default="", help="only rows whose name has this text")
    parser.add_argument("--engines", default="", help="only these engines, by commas")
    options = parser.parse_args()
    with workplace() as work:
        make_rootfs(work / "rootfs")
        with taking_part(ENGINES, work, wanted=options.engines) as engines:
            _measure_all(engines, options)
    return 0


def _measure_all(engines: list[Engine], options: argparse.Namespace) -> None:
    interpreter = _interpreter(options.rounds)
    print(
        f"\nWhole commands, milliseconds, median (minimum) of {options.rounds}; ratios are times as"
    )
    print(f"long as knarr. An empty interpreter (`python -I -S`) takes {interpreter}.\n")
    names = [engine.name for engine in engines]
    print(f"| | {' | '.join(names)} | ratios |")
    print(f"|---{'|--:' * len(names)}|---|")
    budget = ""
    for row in rows(options.rounds):
        if options.only in row.name:
            results = measure(row, engines, options.rounds)
            cells = [str(results.get(name, "")) for name in names]
            print(f"| {row.name} | {' | '.join(cells)} | {_ratios(results)} |", flush=True)
            if row.name == Run(*QUIET).name:
                budget = _budget(results, interpreter)
    print(f"\n{budget}")
    memory = {engine.name: memory_of_one(engine) for engine in engines if not engine.runtime}
    figures = ", ".join(f"{name} {figure}" for name, figure in memory.items())
    print(f"Process that looks after a container, kB of its own memory (PSS): {figures}.")


def _budget(results: dict[str, Result], interpreter: Result) -> str:
    """Compare `run` with what it may take: three times the bare runtime and two interpreters."""
    own, bare = results.get("knarr"), results.get("crun") or results.get("runc")
    if own is None or bare is None or own.failure or bare.failure:
        return ""
    allowed = 3 * bare.median + 2 * interpreter.median
    least = 3 * min(bare.seconds) + 2 * min(interpreter.seconds)
    return (
        f"run --rm --network none: {own.median * 1000:.1f} ({min(own.seconds) * 1000:.1f}); three"
        f" times the bare runtime and two interpreters: {allowed * 1000:.1f} ({least * 1000:.1f})."
    )


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
