"""What builds: knarr, BuildKit and Buildah, each with a store of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from benchmarks.engines import Engine, Knarr, Podman, wait_for_daemon

if TYPE_CHECKING:
    from pathlib import Path


class KnarrBuild(Knarr):
    """`knarr build`."""

    def build(self, context: Path, *, cached: bool = True) -> list[str]:
        words = [] if cached else ["--no-cache"]
        return self.words("build", "-q", "--network", "none", *words, "-t", "made", str(context))

    def take(self, archive: Path, name: str) -> None:
        """Make an image of an archive of files."""
        self.call("import", str(archive), name)

    def lay_out(self, name: str, directory: Path) -> None:
        """Write an image as an OCI layout."""
        self.call("image", "copy", name, f"oci:{directory}:{name}")

    def forget(self) -> None:
        """Let go of what was built before the last time."""
        self.call("image", "prune", "-f")
        self.call("builder", "prune", "-f")


class Buildah(Podman):
    """Buildah, on a store that Podman fills. With `--layers` it has a cache."""

    name = program = "buildah"

    def own_words(self, *words: str) -> list[str]:
        """Return the whole command for `words` of Buildah itself."""
        return [
            "buildah", "--root", f"{self.work}/root", "--runroot", f"{self.work}/run",
            "--storage-driver", "overlay", *words,
        ]  # fmt: skip

    def build(self, context: Path, *, cached: bool = True) -> list[str]:
        words = [] if cached else ["--no-cache"]
        return self.own_words(
            "build", "-q", "--layers", "--network", "none", *self.LIMITS, *words,
            "-t", "made", str(context),
        )  # fmt: skip

    def take(self, archive: Path, name: str) -> None:
        """Make an image of an archive of files."""
        self.call("import", str(archive), name)

    def forget(self) -> None:
        """Let go of what was built before the last time."""
        command = [*self.timer.inside, *self.own_words("rmi", "--prune", "--force")]
        subprocess.run(command, check=True, capture_output=True)

    def tear_down(self) -> None:
        Engine.tear_down(self)


class BuildKit(Engine):
    """BuildKit's own daemon, asked by `buildctl`.

    It has no registry to take images from: they lie in OCI layouts, which the command line offers
    as named contexts. The result becomes an image in the daemon's store, of uncompressed layers, as
    that of the others.
    """

    name = "buildkit"
    programs = ""  # the directory of both programs, if they are not where programs are

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self._images: dict[str, str] = {}

    @classmethod
    def program_path(cls, name: str) -> str:
        return shutil.which(name, path=cls.programs or None) or ""

    @classmethod
    def missing(cls) -> str:
        for name in ("buildkitd", "buildctl"):
            if not cls.program_path(name):
                return f"there is no {name}"
        return ""

    def start(self) -> None:
        command = [
            self.program_path("buildkitd"), "--root", f"{self.work}/root",
            "--addr", f"unix://{self.work}/sock", "--oci-worker-gc=false",
        ]  # fmt: skip
        with open(self.work / "log", "w") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_daemon(self.words("debug", "workers"), self.work / "log")

    def words(self, *words: str) -> list[str]:
        return [self.program_path("buildctl"), "--addr", f"unix://{self.work}/sock", *words]

    def offer(self, name: str, layout: Path) -> None:
        """Let Dockerfiles say `FROM name`, and mean the image in an OCI layout."""
        (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
        self._images[name] = f"{layout}@{manifest['digest']}"

    def build(self, context: Path, *, cached: bool = True) -> list[str]:
        images: list[str] = []
        for name, place in self._images.items():
            layout, _, digest = place.rpartition("@")
            images += ["--oci-layout", f"{name}={layout}"]
            images += ["--opt", f"context:{name}=oci-layout://{name}@{digest}"]
        return self.words(
            "build", "--progress", "plain", "--frontend", "dockerfile.v0",
            "--local", f"context={context}", "--local", f"dockerfile={context}", *images,
            "--opt", "force-network-mode=none", *([] if cached else ["--no-cache"]),
            "--output", "type=image,name=made,compression=uncompressed",
        )  # fmt: skip

    def forget(self) -> None:
        """Let go of what was built before the last time."""
        self.call("prune", "--all")

    def tear_down(self) -> None:
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait()
        super().tear_down()


Builder = KnarrBuild | BuildKit | Buildah
BUILDERS: tuple[type[Builder], ...] = (KnarrBuild, BuildKit, Buildah)
