"""Builds beside BuildKit and Buildah, each taking its turn.

    python -m benchmarks.building [--rounds 5] [--only TEXT] [--scale 1]

BuildKit is the one inside Docker's daemon, asked by the daemon's own command line (Debian's 20.10)
with `DOCKER_BUILDKIT=1`: later command lines want a plug-in. Buildah builds with `--layers`, so
that it has a cache. No step has a network, and no engine was asked for output: what is timed is the
whole command. Cold rows get a context that was never seen, and `--no-cache`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.engines import IMAGE, Docker, Engine, Knarr, Podman, make_rootfs
from benchmarks.harness import measure
from benchmarks.rows import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness import Result

DEBIAN = "bench-debian"
_APPLETS = ("cat", "echo", "ls", "sh", "sleep", "true", "seq", "find", "sort", "wc", "mkdir")
_PACKAGES = 6
_FILES_OF_PACKAGE = 400


class KnarrBuild(Knarr):
    """`knarr build`."""

    def build(self, *words: str) -> list[str]:
        return self.words("build", "-q", "--network", "none", *words)


class BuildKit(Docker):
    """BuildKit as Debian's dockerd has it built in."""

    name = "buildkit"
    client = "/usr/bin/docker"

    @classmethod
    def missing(cls) -> str:
        if not os.path.exists(cls.client):
            return "Debian's docker.io is not installed"
        return super().missing()

    def words(self, *words: str) -> list[str]:
        host = f"unix://{self.work}/sock"
        return ["env", "DOCKER_BUILDKIT=1", self.client, "--host", host, *words]

    def build(self, *words: str) -> list[str]:
        return self.words("build", "-q", "--network", "none", *words)


class Buildah(Podman):
    """Buildah, on a store that Podman fills."""

    name = program = "buildah"

    def build(self, *words: str) -> list[str]:
        return [
            "buildah", "--root", f"{self.work}/root", "--runroot", f"{self.work}/run",
            "--storage-driver", "overlay", "build", "-q", "--layers", "--network", "none",
            *self.LIMITS, *words,
        ]  # fmt: skip

    def tear_down(self) -> None:
        Engine.tear_down(self)


Builder = KnarrBuild | BuildKit | Buildah


class Building(Row):
    """A build of a context that `furnish` makes; `change` is done to it before each round."""

    cold = False

    def __init__(self, name: str, work: Path, scale: float) -> None:
        super().__init__(name)
        self.work = work
        self.scale = scale

    def furnish(self, context: Path, number: int) -> None:
        """Make the context for a round, or change it for the next one."""
        raise NotImplementedError

    def context(self, engine: Engine, number: int) -> Path:
        return self.work / engine.name / (str(number) if self.cold else "same")

    def before(self, engine: Engine, number: int) -> None:
        self._context = self.context(engine, number)
        self._context.mkdir(parents=True, exist_ok=True)
        self.furnish(self._context, number)
        if number == 0 and not self.cold:
            engine.timer.take(self.command(engine), str(engine.work))
        os.sync()

    def command(self, engine: Engine) -> list[str]:
        assert isinstance(engine, Builder)
        words = ["--no-cache"] if self.cold else []
        return engine.build(*words, "-t", "made", str(self._context))

    def after(self, engine: Engine) -> None:
        del engine
        if self.cold:
            shutil.rmtree(self._context)


class Unchanged(Building):
    """Twenty steps of which all are cached."""

    def furnish(self, context: Path, number: int) -> None:
        del number
        lines = [f"RUN echo {step} > /file-{step}" for step in range(20)]
        (context / "Dockerfile").write_text("\n".join((f"FROM {IMAGE}", *lines, "")))


class ManyFiles(Building):
    """A COPY of 30,000 small files; warm, with one of them changed."""

    def furnish(self, context: Path, number: int) -> None:
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


class Stages(Building):
    """Ten stages that do not need each other."""

    cold = True

    def furnish(self, context: Path, number: int) -> None:
        stages = [
            f"FROM {IMAGE} AS stage{stage}\nRUN seq 200000 | sort | wc -l > /result-{stage}\n"
            for stage in range(10)
        ]
        copies = [f"COPY --from=stage{stage} /result-{stage} /\n" for stage in range(10)]
        (context / "Dockerfile").write_text(
            "".join((*stages, f"FROM {IMAGE}\n# {number}\n", *copies))
        )


class Packages(Building):
    """Packages installed on Debian, and files looked at afterwards."""

    cold = True

    def suits(self, engine: Engine) -> bool:
        return super().suits(engine) and (self.work.parent / "debian.tar").exists()

    def furnish(self, context: Path, number: int) -> None:
        for package in range(_PACKAGES):
            _make_package(context, f"bench-{package}", number)
        (context / "Dockerfile").write_text(
            f"FROM {DEBIAN}\n"
            "COPY *.deb /packages/\n"
            "RUN dpkg -i /packages/*.deb && rm -r /packages\n"
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
    rows: list[Building] = [
        Unchanged("20 steps, all cached", work / "unchanged", scale),
        ManyFiles(f"`COPY` of {many}, one changed", work / "many", scale),
        ManyFiles(f"`COPY` of {many}, cold", work / "many-cold", scale),
        LargeFile(f"`COPY` of {large}, one byte changed", work / "large", scale),
        LargeFile(f"`COPY` of {large}, cold", work / "large-cold", scale),
        Stages("10 independent stages", work / "stages", scale),
        Packages("packages on Debian", work / "packages", scale),
    ]
    rows[2].cold = rows[4].cold = True
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.building", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only rows whose name has this text")
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick look")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks: containers are started as root here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="knarr-bench-", dir="/var/tmp") as directory:
        return _run(Path(directory), options)


def _run(work: Path, options: argparse.Namespace) -> int:
    make_rootfs(work / "rootfs", _APPLETS)
    debian = work / "debian.tar"
    if shutil.which("mmdebstrap") and options.only in "packages on Debian":
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(debian)]
        subprocess.run(command, check=True)
    engines: list[Engine] = []
    try:
        for kind in (KnarrBuild, BuildKit, Buildah):
            if reason := kind.missing():
                print(f"Without {kind.name}: {reason}.")
                continue
            engine = kind(work / kind.name)
            engines.append(engine)
            engine.set_up(work / "rootfs")
            if debian.exists():
                engine.call("import", str(debian), DEBIAN)
        _print([row for row in _rows(work, options.scale) if options.only in row.name], engines,
               options.rounds)  # fmt: skip
    finally:
        for engine in engines:
            engine.tear_down()
    return 0


def _print(rows: Sequence[Building], engines: Sequence[Engine], rounds: int) -> None:
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
        shutil.rmtree(row.work, ignore_errors=True)


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
