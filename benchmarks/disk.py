"""What ten images take on disk, pulled by each engine from a registry on loopback.

    python -m benchmarks.disk

The images: a static busybox, a Debian made by mmdebstrap, and eight made of that Debian by
installing a package with apt, which is a layer each. They come to the registry by `docker push`
where Docker is installed, so that their layers are compressed as most registries have them. What is
shown is du(1) of everything that an engine keeps.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engines import Docker, Engine, Knarr, Podman, make_rootfs
from benchmarks.registry import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = (
    "curl", "python3-minimal", "perl", "jq", "sqlite3", "openssh-client", "vim-tiny", "nginx-light",
)  # fmt: skip
DOCKERFILE = """\
FROM debian
RUN apt-get update -q && \\
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {package} && \\
    rm -rf /var/lib/apt/lists
"""
ALWAYS = '[images]\nkeep_blobs = "always"\n'


def make_images(knarr: Engine, rootfs: Path, work: Path) -> list[str]:
    """Make the ten images in an engine, and return their names."""
    debian = work / "debian.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", debian], check=True)
    knarr.call("import", str(debian), "debian")
    with subprocess.Popen(["tar", "-C", rootfs, "-c", "."], stdout=subprocess.PIPE) as tar:
        knarr.call("import", "-", "busybox", stdin=tar.stdout)
    context = work / "context"
    context.mkdir()
    for package in PACKAGES:
        (context / "Dockerfile").write_text(DOCKERFILE.format(package=package))
        knarr.call("build", "-q", "--network", "host", "-t", package, str(context))
    return ["busybox", "debian", *PACKAGES]


def publish(maker: Engine, names: list[str], address: str, work: Path) -> None:
    """Give images to the registry, by Docker if that is installed."""
    pusher: Engine = maker
    archive = work / "ten.tar"
    if not Docker.missing():
        pusher = Docker(work / "pusher")
        pusher.set_up(work / "rootfs")
        maker.call("save", "-o", str(archive), *names)
        pusher.call("load", "-i", str(archive))
    for name in names:
        pusher.call("tag", name, f"{address}/{name}:1")
        pusher.call("push", "-q", f"{address}/{name}:1")
    if pusher is not maker:
        pusher.tear_down()


def disk(path: Path) -> float:
    """Return the MB (10^6 bytes) that a directory takes."""
    done = subprocess.run(["du", "-s", "-B1", path], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0]) / 1e6


def pull_all(engine: Engine, names: list[str], address: str) -> None:
    """Pull every image."""
    plain = ["--tls-verify=false"] if engine.name == "podman" else []
    for name in names:
        engine.call("pull", "-q", *plain, f"{address}/{name}:1")


def measure(kind: type[Engine], work: Path, names: list[str], address: str) -> float:
    """Return the MB that an engine takes for the images, beyond what it takes without any."""
    engine = kind(work / f"{kind.name}-pulling")
    engine.open()
    try:
        before = disk(engine.work)
        pull_all(engine, names, address)
        return disk(engine.work) - before
    finally:
        engine.tear_down()


def measure_containerd(work: Path, names: list[str], address: str) -> float:
    """Return the MB that containerd takes, which keeps blobs and unpacked snapshots."""
    place = work / "containerd"
    place.mkdir()
    config = place / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{place}/root"\nstate = "{place}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{place}/sock"\n'
    )
    with _running(["containerd", "--config", str(config)], place / "sock"):
        before = disk(place / "root")
        for name in names:
            command = ["ctr", "-a", f"{place}/sock", "images", "pull", "--plain-http"]
            subprocess.run([*command, f"{address}/{name}:1"], check=True, capture_output=True)
        return disk(place / "root") - before


@contextlib.contextmanager
def _running(command: list[str], sock: Path) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        try:
            while not sock.exists():
                time.sleep(0.1)
            yield
        finally:
            daemon.terminate()


def main() -> int:
    """Make the images, and print a line for each engine."""
    work = Path(tempfile.mkdtemp(prefix="bench-disk-"))
    try:
        make_rootfs(work / "rootfs")
        maker = Knarr(work / "maker")
        maker.set_up(work / "rootfs")
        with serving(work) as address:
            names = make_images(maker, work / "rootfs", work)
            publish(maker, names, address, work)
            maker.tear_down()
            print(f"compressed, in the registry  {disk(work / 'registry'):6.0f} MB")
            _compare(work, names, address)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


def _compare(work: Path, names: list[str], address: str) -> None:
    for kind in (Knarr, Docker, Podman):
        if not kind.missing():
            print(f"{kind.name:28} {measure(kind, work, names, address):6.0f} MB", flush=True)
    settings = work / "knarr.toml"
    settings.write_text(ALWAYS)
    os.environ["KNARR_SETTINGS"] = str(settings)
    print(
        f"knarr, keep_blobs = always   {measure(Knarr, work, names, address):6.0f} MB", flush=True
    )
    if shutil.which("containerd"):
        print(f"containerd                   {measure_containerd(work, names, address):6.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
