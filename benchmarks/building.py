"""Builds beside BuildKit and Buildah, each taking its turn.

    python -m benchmarks.building [--rounds 3] [--only TEXT] [--scale 1]
                                  [--buildkit DIRECTORY] [--debian ARCHIVE]

BuildKit is its own daemon, built from its sources, and `buildctl`: both are looked for in DIRECTORY
or where programs are. Buildah builds with `--layers`, so that it has a cache. No step has a
network, and no engine compresses. What is timed is the whole command. Cold rows get a context that
was never seen, and `--no-cache`.

Debian comes from ARCHIVE, a tar of its files, or from mmdebstrap.

What has many files is removed only at the end: an ext4 without a journal looks for a while at
every inode that was freed before it gives out another one, which would be charged to whoever comes
next. Engines free some too, and so as many files are made anew before each round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.builders import BUILDERS, BuildKit, KnarrBuild
from benchmarks.engines import IMAGE, make_rootfs, workplace
from benchmarks.harness import measure
from benchmarks.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.builders import Builder
    from benchmarks.engines import Engine
    from benchmarks.harness import Result

DEBIAN = "bench-debian"
_APPLETS = ("cat", "echo", "ls", "sh", "sleep", "true", "seq", "find", "sort", "wc", "mkdir")
_PACKAGES = 6
_FILES_OF_PACKAGE = 400


class Building(Row):
    """A build of a context that `furnish` makes; `change` is done to it before each round."""

    def __init__(self, name: str, work: Path, scale: float, *, cold: bool = False) -> None:
        super().__init__(name)
        self.work = work
        self.scale = scale
        self.cold = cold

    def furnish(self, context: Path, number: int) -> None:
        """Make the context for a round, or change it for the next one."""
        raise NotImplementedError

    def before(self, engine: Engine, number: int) -> None:
        place = self.work / engine.name / (str(number) if self.cold else "same")
        place.mkdir(parents=True, exist_ok=True)
        self._context = place
        self.furnish(place, number)
        if number == 0 and not self.cold:
            engine.timer.take(self.command(engine), str(engine.work))
        os.sync()

    def command(self, engine: Engine) -> list[str]:
        assert isinstance(engine, BUILDERS)
        return engine.build(self._context, cached=not self.cold)

    def finish(self, engines: Sequence[Builder]) -> None:
        """Make room when all rounds are over."""


class Unchanged(Building):
    """Twenty steps of which all are cached."""

    def furnish(self, context: Path, number: int) -> None:
        del number
        lines = [f"RUN echo {step} > /file-{step}" for step in range(20)]
        (context / "Dockerfile").write_text("\n".join((f"FROM {IMAGE}", *lines, "")))


class ManyFiles(Building):
    """A COPY of 30,000 small files; warm, with one of them changed."""

    def before(self, engine: Engine, number: int) -> None:
        if not self.cold:  # whose contexts are made anew in any case
            self.furnish(self.work / "spare" / f"{engine.name}-{number}", number)
        super().before(engine, number)

    def furnish(self, context: Path, number: int) -> None:
        context.mkdir(parents=True, exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY tree /tree\n")
        if not (context / "tree").exists():
            for place in range(300):
                directory = context / "tree" / f"directory-{place}"
                directory.mkdir(parents=True)
                for file in range(int(100 * self.scale)):
                    (directory / f"file-{file}").write_text(f"{number} {place} {file}\n" * 20)
        (context / "tree" / "directory-7" / "file-7").write_text(f"changed {number}\n")


class LargeFile(Building):
    """A COPY of one file of 1 GB; warm, with its first byte changed."""

    def furnish(self, context: Path, number: int) -> None:
        (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY large /large\n")
        path = context / "large"
        if not path.exists():
            block = os.urandom(1 << 20)
            with path.open("wb") as file:
                for _ in range(int(1024 * self.scale)):
                    file.write(block)
        with path.open("r+b") as file:
            file.write(number.to_bytes(8, "big"))

    def after(self, engine: Engine) -> None:
        del engine
        if self.cold:
            shutil.rmtree(self._context)

    def finish(self, engines: Sequence[Builder]) -> None:
        shutil.rmtree(self.work)
        for engine in engines:
            engine.forget()


class Stages(Building):
    """Ten stages that do not need each other."""

    def furnish(self, context: Path, number: int) -> None:
        stages = [
            f"FROM {IMAGE} AS stage{stage}\nRUN seq 50000 | sort | wc -l > /result-{stage}\n"
            for stage in range(10)
        ]
        copies = [f"COPY --from=stage{stage} /result-{stage} /\n" for stage in range(10)]
        (context / "Dockerfile").write_text(
            "".join((*stages, f"FROM {IMAGE}\n# {number}\n", *copies))
        )


class Packages(Building):
    """Packages installed on Debian by apt, and files looked at afterwards."""

    def suits(self, engine: Engine) -> bool:
        return super().suits(engine) and (self.work.parent / "debian.tar").exists()

    def furnish(self, context: Path, number: int) -> None:
        for package in range(_PACKAGES):
            _make_package(context, f"bench-{package}", number)
        (context / "Dockerfile").write_text(
            f"FROM {DEBIAN}\n"
            "COPY *.deb /packages/\n"
            "RUN apt-get install -y /packages/*.deb && rm -r /packages\n"
            "RUN dpkg -l > /installed && find / -xdev -type f | wc -l > /files\n"
            "WORKDIR /srv\n"
            'CMD ["true"]\n'
        )


def _make_package(context: Path, name: str, number: int) -> None:
    tree = context / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {number}\nArchitecture: all\nMaintainer: nobody <n@invalid>\n"
        "Description: a package\n"
    )
    (tree / "usr" / "share" / name).mkdir(parents=True)
    for file in range(_FILES_OF_PACKAGE):
        (tree / "usr" / "share" / name / f"file-{file}").write_text(f"{name} {file}\n" * 50)
    command = ["dpkg-deb", "--root-owner-group", "-b", "-Znone", tree, context / f"{name}.deb"]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(tree)


def _rows(work: Path, scale: float) -> list[Building]:
    many, large = f"{int(30000 * scale):,} files", f"{int(1024 * scale)} MB"
    return [
        Unchanged("20 steps, all cached", work / "unchanged", scale),
        ManyFiles(f"`COPY` of {many}, cold", work / "many-cold", scale, cold=True),
        ManyFiles(f"`COPY` of {many}, one changed", work / "many", scale),
        LargeFile(f"`COPY` of {large}, cold", work / "large-cold", scale, cold=True),
        LargeFile(f"`COPY` of {large}, one byte changed", work / "large", scale),
        Stages("10 independent stages", work / "stages", scale, cold=True),
        Packages("packages on Debian", work / "packages", scale, cold=True),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.building", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only rows whose name has this text")
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick look")
    parser.add_argument("--buildkit", default="", help="where buildkitd and buildctl are")
    parser.add_argument("--debian", default="", help="a tar of Debian's files")
    options = parser.parse_args()
    BuildKit.programs = options.buildkit
    with workplace() as work:
        rows = [row for row in _rows(work, options.scale) if options.only in row.name]
        return _run(work, rows, options)


def _run(work: Path, rows: Sequence[Building], options: argparse.Namespace) -> int:
    archives = _archives(work, debian=any(isinstance(row, Packages) for row in rows), of=options)
    engines: list[Builder] = []
    try:
        for kind in BUILDERS:
            if reason := kind.missing():
                print(f"Without {kind.name}: {reason}.")
                continue
            engine = kind(work / kind.name)
            engine.open()
            engines.append(engine)
            for name, archive in archives.items():
                _offer(engines, name, archive)
        _print(rows, engines, options.rounds)
    finally:
        for engine in engines:
            engine.tear_down()
    return 0


def _archives(work: Path, *, debian: bool, of: argparse.Namespace) -> dict[str, Path]:
    """Return the archives of files that are the images to build on."""
    make_rootfs(work / "rootfs", _APPLETS)
    subprocess.run(["tar", "-C", work / "rootfs", "-cf", work / "busybox.tar", "."], check=True)
    archives = {IMAGE: work / "busybox.tar"}
    path = work / "debian.tar"
    if debian and of.debian:
        path.symlink_to(os.path.abspath(of.debian))
    elif debian and shutil.which("mmdebstrap"):
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(path)]
        subprocess.run(command, check=True)
    if path.exists():
        archives[DEBIAN] = path
    return archives


def _offer(engines: Sequence[Builder], name: str, archive: Path) -> None:
    """Let the last of the engines, of which knarr is the first, have an image."""
    engine = engines[-1]
    if not isinstance(engine, BuildKit):
        engine.take(archive, name)
        return
    knarr = engines[0]
    assert isinstance(knarr, KnarrBuild)
    layout = archive.with_suffix(".layout")
    knarr.lay_out(name, layout)
    engine.offer(name, layout)


def _print(rows: Sequence[Building], engines: Sequence[Builder], rounds: int) -> None:
    names = [engine.name for engine in engines]
    print(
        f"\nWhole commands, seconds, median (minimum) of {rounds}; load {os.getloadavg()[0]:.1f}.\n"
    )
    print(f"| | {' | '.join(names)} | times as long as knarr |")
    print(f"|---{'|--:' * len(names)}|---|")
    for row in rows:
        results = measure(row, engines, rounds)
        cells = [_cell(results.get(name)) for name in names]
        print(f"| {row.name} | {' | '.join(cells)} | {_ratios(results)} |", flush=True)
        row.finish(engines)


def _cell(result: Result | None) -> str:
    if result is None or not result.seconds:
        return "failed" if result else ""
    return f"{median(result.seconds):.2f} ({min(result.seconds):.2f})"


def _ratios(results: dict[str, Result]) -> str:
    own = results.get("knarr")
    if own is None or not own.seconds:
        return ""
    return ", ".join(
        f"{name} {median(result.seconds) / median(own.seconds):.1f}"
        for name, result in results.items()
        if name != "knarr" and result.seconds
    )


if __name__ == "__main__":
    sys.exit(main())
