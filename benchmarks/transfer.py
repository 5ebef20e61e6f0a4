"""Images on the move: load, push, pull and copy beside other engines, with a registry on loopback.

    python -m benchmarks.transfer [--rounds 5] [--image FILE.tar …]

Without `--image` two are made: a Debian by mmdebstrap, and 30 layers with 1000 small files each.
What is timed are whole commands. Every engine takes its turn in every round; shown are the medians
of all rounds, and the least. skopeo has no store: what it is compared in is copying from the
registry to an OCI layout.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engines import Docker, Engine, Knarr, Podman, make_rootfs
from benchmarks.registry import ADDRESS, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    Times = dict[tuple[str, str, str], list[float]]

LAYERS, FILES = 30, 1000
COPIES = {
    "knarr": ("image", "copy"),
    "skopeo": ("skopeo", "copy", "--insecure-policy", "-q", "--src-tls-verify=false"),
}


def make_archive(path: Path, layers: int, files: int, words: tuple[int, int]) -> None:
    """Write an archive as `docker save` does, of `layers` with `files` of so many words each."""
    chance = random.Random(7)  # the same files each time
    vocabulary = [chance.randbytes(6).hex().encode() for _ in range(2000)]
    made = []
    for number in range(layers):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as layer:
            for k in range(files):
                text = b" ".join(chance.choices(vocabulary, k=chance.randint(*words)))
                _add(layer, f"srv/{number}/{k // 50}/file{k}", text)
        made.append(buffer.getvalue())
    _write_archive(path, made)


def _write_archive(path: Path, layers: Sequence[bytes]) -> None:
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    item = {"Config": config_name, "RepoTags": [f"{ADDRESS}/{path.stem}:1"], "Layers": names}
    with tarfile.open(path, "w") as archive:
        for name, layer in zip(names, layers, strict=True):
            _add(archive, name, layer)
        _add(archive, config_name, config)
        _add(archive, "manifest.json", json.dumps([item]).encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def make_debian(path: Path, work: Path) -> None:
    """Write an archive as `docker save` does, of one layer: a Debian as mmdebstrap makes it."""
    root = work / "debian.rootfs.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", root], check=True)
    _write_archive(path, [root.read_bytes()])


class Comparison:
    """Engines that take turns with the same images."""

    def __init__(self, engines: Sequence[Engine], archives: Sequence[Path], work: Path) -> None:
        """Take engines that run."""
        self._engines = engines
        self._archives = archives
        self._work = work
        self.times: Times = {}

    def run(self, rounds: int) -> None:
        """Measure everything so many times."""
        for number in range(rounds):
            for archive in self._archives:
                for engine in self._engines:
                    self._moves(engine, archive, number)
                for name in COPIES:
                    self._copies(name, archive)
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)

    def _time(self, name: str, archive: Path, what: str, words: Sequence[str]) -> None:
        begun = time.monotonic()
        subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        self.times.setdefault((archive.stem, what, name), []).append(time.monotonic() - begun)

    def _moves(self, engine: Engine, archive: Path, number: int) -> None:
        """Time load, push, push again and pull of an image, and remove it."""
        plain = ["--tls-verify=false"] if engine.name == "podman" else []
        image = f"{ADDRESS}/{archive.stem}:1"
        own = f"{ADDRESS}/{engine.name}{number}/{archive.stem}:1"

        def timed(what: str, *words: str) -> None:
            self._time(engine.name, archive, what, engine.words(*words))

        timed("load", "load", "-q", "-i", str(archive))
        engine.call("tag", image, own)
        if number == 0:  # later ones find the layers in the registry
            timed("push, the first one", "push", "-q", *plain, own)
        else:
            engine.call("push", "-q", *plain, own)
        timed("push again", "push", "-q", *plain, own)
        engine.call("rmi", "-f", own, image)
        timed("pull", "pull", "-q", *plain, own)
        engine.call("rmi", "-f", own)

    def _copies(self, name: str, archive: Path) -> None:
        """Time a copy of what knarr has pushed to an OCI layout, without any store."""
        if name != "knarr" and not shutil.which(name):
            return
        knarr = next(engine for engine in self._engines if engine.name == "knarr")
        words = knarr.words(*COPIES[name]) if name == "knarr" else list(COPIES[name])
        remote = f"docker://{ADDRESS}/knarr0/{archive.stem}:1"
        layout = self._work / f"layout-{name}"
        self._time(name, archive, "registry to layout", [*words, remote, f"oci:{layout}:x"])
        shutil.rmtree(layout)


def show(times: Times) -> None:
    """Print a table: medians, and the least in brackets."""
    names = list(dict.fromkeys(name for _, _, name in times))
    print(f"{'seconds, median (least)':48}" + "".join(f"{name:>16}" for name in names))
    for image, what in dict.fromkeys((image, what) for image, what, _ in times):
        cells = []
        for name in names:
            found = times.get((image, what, name))
            cell = f"{statistics.median(found):.2f} ({min(found):.2f})" if found else ""
            cells.append(f"{cell:>16}")
        print(f"{image + ': ' + what:48}" + "".join(cells))


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", type=Path, action="append", default=[])
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-transfer-"))
    try:
        make_rootfs(work / "rootfs")
        archives = list(options.image)
        if not archives:
            archives = [work / "debian.tar", work / "many.tar"]
            make_debian(archives[0], work)
            make_archive(archives[1], LAYERS, FILES, (5, 300))
        with serving(work), contextlib.ExitStack() as closing:
            engines = []
            for kind in (Knarr, Docker, Podman):
                if kind.missing():
                    print(f"{kind.name}: {kind.missing()}")
                    continue
                engine: Engine = kind(work / kind.name)
                engine.set_up(work / "rootfs")
                closing.callback(engine.tear_down)
                engines.append(engine)
            comparison = Comparison(engines, archives, work)
            comparison.run(options.rounds)
            show(comparison.times)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
