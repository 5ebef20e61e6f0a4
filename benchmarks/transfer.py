"""Images on the move: load, push and pull beside other engines, with a registry on loopback.

    python -m benchmarks.transfer [--rounds 3] [--image FILE.tar …]

Without `--image` two are made: 30 layers with 1000 small files each, and one layer with big files.
What is timed are whole commands; the least of all rounds is shown (of a push the first: later ones
find the layers in the registry), and what the store takes on disk after everything was pulled.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from benchmarks.engines import Docker, Engine, Knarr, Podman, make_rootfs

LAYERS, FILES = 30, 1000
REGISTRY = "127.0.0.1:5907"
CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "{address}"}}
"""


def make_archive(path: Path, layers: int, files: int, words: tuple[int, int]) -> None:
    """Write an archive as `docker save` does, of `layers` with `files` of so many words each."""
    chance = random.Random(7)  # the same files each time
    vocabulary = [chance.randbytes(6).hex().encode() for _ in range(2000)]
    names, diff_ids = [], []
    with tarfile.open(path, "w") as archive:
        for number in range(layers):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as layer:
                for k in range(files):
                    text = b" ".join(chance.choices(vocabulary, k=chance.randint(*words)))
                    _add(layer, f"srv/{number}/{k // 50}/file{k}", text)
            names.append(f"{number}/layer.tar")
            diff_ids.append(f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}")
            _add(archive, names[-1], buffer.getvalue())
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["true"]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }
        ).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        _add(archive, name, config)
        item = {"Config": name, "RepoTags": [f"{REGISTRY}/{path.stem}:1"], "Layers": names}
        _add(archive, "manifest.json", json.dumps([item]).encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def measure(engine: Engine, archive: Path, rounds: int) -> dict[str, float]:
    """Return the seconds of load, first push, second push and pull of an archive's image."""
    plain = ["--tls-verify=false"] if engine.name == "podman" else []
    image = f"{REGISTRY}/{archive.stem}:1"
    found: dict[str, float] = {}

    def timed(what: str, *words: str) -> None:
        begun = time.monotonic()
        engine.call(*words)
        taken = time.monotonic() - begun
        first = found.get(what, taken)
        # Later pushes of the same layers are taken over within the registry.
        found[what] = first if what == "push" else min(taken, first)

    for number in range(rounds):
        own = f"{REGISTRY}/{engine.name}{number}/{archive.stem}:1"
        timed("load", "load", "-i", str(archive))
        engine.call("tag", image, own)
        timed("push", "push", "-q", *plain, own)
        timed("push again", "push", "-q", *plain, own)
        engine.call("rmi", "-f", own, image)
        timed("pull", "pull", "-q", *plain, own)
        if number < rounds - 1:
            engine.call("rmi", "-f", own)
    return found


def disk(path: Path) -> int:
    """Return the MB that a directory takes."""
    done = subprocess.run(["du", "-sm", path], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def main() -> int:
    """Measure, and print a line for each engine and image."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--image", type=Path, action="append", default=[])
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-transfer-"))
    try:
        archives = list(options.image)
        if not archives:
            archives = [work / "many.tar", work / "few.tar"]
            make_archive(archives[0], LAYERS, FILES, (5, 300))
            make_archive(archives[1], 1, 200, (20_000, 60_000))
        config = work / "registry.yml"
        config.write_text(CONFIG.format(directory=work / "registry", address=REGISTRY))
        command = ["docker-registry", "serve", str(config)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as registry:
            time.sleep(1.0)
            try:
                _compare(work, archives, options.rounds)
            finally:
                registry.terminate()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


def _compare(work: Path, archives: list[Path], rounds: int) -> None:
    make_rootfs(work / "rootfs")
    for kind in (Knarr, Docker, Podman):
        if kind.missing():
            print(f"{kind.name}: {kind.missing()}")
            continue
        engine = kind(work / kind.name)
        engine.set_up(work / "rootfs")
        try:
            for archive in archives:
                found = measure(engine, archive, rounds)
                line = "  ".join(f"{what} {seconds:.2f}" for what, seconds in found.items())
                print(f"{kind.name:8} {archive.stem:8} {line}  disk {disk(engine.work)} MB")
                sys.stdout.flush()
        finally:
            engine.tear_down()


if __name__ == "__main__":
    sys.exit(main())
