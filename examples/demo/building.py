"""From a Dockerfile to an image: acts 1 and 2."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from story import Story

WEB = Path(__file__).parents[1] / "web"
BASE = "debian:bookworm"
STEPS = ("ENV DEBIAN_FRONTEND", "RUN apt-get", "COPY app.py", "EXPOSE 80", "CMD [")


def get_base(story: Story) -> None:
    """Make the base image from Debian's packages; its archive is kept for the next time."""
    story.title("Before: a base image, made from Debian's packages")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    archive = Path(home) / "knarr-demo" / "bookworm.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        aside = archive.with_name(f"{os.getpid()}.tar")
        story.tell("mmdebstrap takes some seconds; its result is kept in the cache directory")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(aside)],
            check=True,
        )
        aside.rename(archive)
    os.symlink(archive, f"{story.directory}/bookworm.tar")
    story.do(f"knarr import --change 'CMD [\"bash\"]' bookworm.tar {BASE}")


def build(story: Story) -> None:
    """Act 1: build, build again, touch, change."""
    story.title("1. Build")
    shutil.copytree(WEB, f"{story.directory}/web")
    app = Path(story.directory) / "web" / "app.py"
    story.do("cat web/Dockerfile")
    first = story.do("cd web && knarr build -t my-image .")
    story.check("Setting up python3" in first, "apt-get ran inside the build, with DNS and network")
    story.tell("once more: nothing has changed")
    again = story.do("cd web && knarr build -t my-image .")
    story.check(_cached(again) == {"ENV", "RUN", "COPY"} or _cached(again) >= {"RUN", "COPY"},
                "every step comes from the cache")  # fmt: skip
    image = story.do("knarr images -q --no-trunc my-image")
    story.tell("app.py touched, not changed")
    touched = story.do("cd web && touch app.py && knarr build -t my-image .")
    story.check(_cached(touched) >= {"RUN", "COPY"}, "a new time alone is not a change")
    story.check(story.do("knarr images -q --no-trunc my-image") == image, "the image is the same")
    story.tell("app.py changed")
    app.write_text(app.read_text().replace("hello from", "greetings from"))
    changed = story.do("cd web && knarr build -t my-image .")
    story.check("RUN" in _cached(changed), "the packages come from the cache")
    story.check("COPY" not in _cached(changed), "COPY ran again")
    story.check("Setting up python3" not in changed, "apt-get did not run again")


def _cached(output: str) -> set[str]:
    """Return the instructions whose step the output says is cached."""
    found, instruction = set(), ""
    for line in output.splitlines():
        words = [word for word in line.split() if word.isupper() and word.isalpha()]
        if words and words[0] != "CACHED":
            instruction = words[0]
        if "CACHED" in line:
            found.add(instruction)
    return found


def look(story: Story) -> None:
    """Act 2: what the image is made of."""
    story.title("2. Look at the image")
    listed = story.do("knarr images")
    story.check("my-image" in listed and "debian" in listed, "both images are listed")
    history = story.do("knarr history my-image")
    story.check(all(word in history for word in ("apt-get update", "COPY", "EXPOSE", "CMD")),
                "each layer names the instruction that made it")  # fmt: skip
    story.do("knarr inspect my-image", quiet=True)
    settings = story.do("knarr inspect -f '{{json .Config}}' my-image")
    story.check('"DEBIAN_FRONTEND=noninteractive"' in settings, "ENV is in the config")
    story.check('"80/tcp":{}' in settings, "so is EXPOSE")
    story.check('"Cmd":["python3","/app/app.py"]' in settings, "and CMD")
