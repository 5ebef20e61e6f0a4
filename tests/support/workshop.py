"""A build context for tests, and the command that builds it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.engine import Knarr

# Two stages, of which the second takes a file of the first.
STAGES = """\
FROM busybox AS work
COPY source /source
RUN tr a-z A-Z < /source > /made
FROM busybox
COPY --from=work /made /made
RUN cat /made > /copy
"""
_HEAD = re.compile(r"^#(\d+) (\[.*)$", re.MULTILINE)


class Built:
    """What one build said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.output = done.stderr
        self.stdout = done.stdout

    def steps(self, state: str) -> list[str]:
        """Return the names of the steps that ended as CACHED or DONE, without their numbers."""
        names = dict(_HEAD.findall(self.output))
        ended = re.findall(rf"^#(\d+) {state}", self.output, re.MULTILINE)
        return [names[number].partition("] ")[2] for number in ended if number in names]

    @property
    def cached(self) -> list[str]:
        return self.steps("CACHED")

    @property
    def done(self) -> list[str]:
        return [name for name in self.steps("DONE") if not name.startswith("load ")]


class Workshop:
    """A directory to build from; several engines may."""

    def __init__(self, knarr: Knarr, directory: Path) -> None:
        self.knarr = knarr
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def write(self, name: str, text: str | bytes, *, mode: int = 0o644) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        os.chmod(path, mode)
        # As files are that were not made a moment ago: their contents are remembered.
        os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))
        return path

    def try_build(
        self, *words: str, tag: str = "made", stdin: bytes = b"", trace: str = ""
    ) -> Built:
        """Build and return what came of it, whatever that is."""
        place = () if words and words[-1] == "-" else (str(self.directory),)
        return Built(
            self.knarr.do(
                "build", "--progress", "plain", "-t", tag, *words, *place, stdin=stdin, trace=trace
            )
        )

    def build(self, dockerfile: str = "", *words: str, tag: str = "made") -> Built:
        """Build, which has to succeed."""
        if dockerfile:
            self.write("Dockerfile", dockerfile)
        built = self.try_build(*words, tag=tag)
        assert built.status == 0, built.output
        return built

    def fail(self, dockerfile: str, *words: str) -> str:
        """Build, which has to fail, and return what was said."""
        self.write("Dockerfile", dockerfile)
        built = self.try_build(*words)
        assert built.status == 1, built.output
        assert "Traceback" not in built.output
        return built.output

    def read(self, script: str, *, image: str = "made", user: str = "") -> str:
        """Return what a shell script prints in a container of the image."""
        who = ("-u", user) if user else ()
        words = ("run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", *who, image)
        return self.knarr(*words, "-c", script).strip()

    def config(self, image: str = "made") -> dict[str, Any]:
        """Return the image's config, as `inspect` shows it."""
        found: dict[str, Any] = json.loads(self.knarr("image", "inspect", image))[0]["Config"]
        return found

    def layers(self, image: str = "made") -> list[str]:
        """Return the diff IDs of the image, bottom first."""
        found = json.loads(self.knarr("image", "inspect", image))[0]["RootFS"]["Layers"]
        return [str(each) for each in found]

    def image_id(self, image: str = "made") -> str:
        return self.knarr("images", "-q", "--no-trunc", image).strip()

    def history(self, image: str = "made") -> list[str]:
        """Return the instructions, the last one first."""
        form = "{{.CreatedBy}}"
        return self.knarr("history", "--no-trunc", "--format", form, image).splitlines()


def two_stages(knarr: Knarr, directory: Path) -> Workshop:
    """Return a workshop with STAGES to build."""
    shop = Workshop(knarr, directory)
    shop.write("source", "some words")
    shop.write("Dockerfile", STAGES)
    return shop


def with_another(knarr: Knarr, shop: Workshop) -> Workshop:
    """Return the same directory with an engine that has built nothing."""
    knarr.add_image()
    return Workshop(knarr, shop.directory)
