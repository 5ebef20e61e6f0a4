"""Containers made into images, images carried around: acts 6 and 7."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from story import Story


def commit(story: Story) -> None:
    """Act 6: a container's changes as an image."""
    story.title("6. Commit")
    before = story.do("knarr images -q --no-trunc my-image:latest")
    story.do("knarr exec my-container sh -c 'echo second > /app/version'")
    options = "-m 'with a version' -a 'A. Sailor' --change 'ENV RELEASE=2' --change 'USER nobody'"
    story.do(f"knarr commit {options} my-container my-image:v2")
    shown = story.do("knarr run --rm my-image:v2 sh -c 'cat /app/version; echo $RELEASE; id -un'")
    story.check(shown.split() == ["second", "2", "nobody"], "v2 has the changes and the new config")
    form = "{{.Comment}}, {{.Author}}"
    facts = story.do(f"knarr inspect -f '{form}' my-image:v2")
    story.check(facts == "with a version, A. Sailor", "and says who made it and why")
    story.do("knarr run --rm my-image cat /app/version", status=1)
    story.check(story.do("knarr images -q --no-trunc my-image:latest") == before,
                "the old image has not changed")  # fmt: skip


def carry(story: Story) -> None:
    """Act 7: archives, names, removal, and what it all takes on disk."""
    story.title("7. Save, load, export, import, tag, remove")
    image = story.do("knarr images -q --no-trunc my-image:v2")
    _archives(story, image)
    story.do("knarr export -o files.tar my-container")
    story.do("knarr import files.tar flat:1")
    story.check(story.do("knarr run --rm flat:1 cat /app/version") == "second",
                "export and import carry a container's files")  # fmt: skip
    story.do("knarr tag my-image:v2 registry.example/team/app:1.0")
    tagged = story.do("knarr images -q --no-trunc registry.example/team/app:1.0")
    story.check(tagged == image, "tag")
    refused = story.do("knarr rmi my-image:latest", status=1)
    story.check("is using its referenced image" in refused, "rmi refuses what a container uses")
    story.do("knarr rmi debian:bookworm flat:1")
    story.do("knarr rmi registry.example/team/app:1.0")
    story.check(story.do("knarr run --rm my-image:v2 cat /app/version") == "second",
                "shared layers stay")  # fmt: skip
    _disk(story)


def _archives(story: Story, image: str) -> None:
    story.do("knarr save -o plain.tar my-image:v2")
    listing = story.do("tar -tf plain.tar | sort | head -n 40")
    story.check("manifest.json" in listing and "index.json" in listing,
                "one archive for both: docker-archive and OCI layout")  # fmt: skip
    story.do("gzip -1 -k plain.tar")
    story.do("knarr save --compression zstd -o plain.tar.zst my-image:v2")
    for name in ("plain.tar", "plain.tar.gz", "plain.tar.zst"):
        story.do("knarr rmi my-image:v2")
        story.do(f"knarr load -i {name}")
        story.check(story.do("knarr images -q --no-trunc my-image:v2") == image,
                    f"{name} gives the same image")  # fmt: skip
    story.do("knarr save --format oci-archive -o oci.tar my-image:v2")
    story.do("knarr rmi my-image:v2")
    story.do("knarr load < oci.tar")
    story.check(story.do("knarr images -q --no-trunc my-image:v2") == image,
                "so does an OCI archive, from standard input")  # fmt: skip


def _disk(story: Story) -> None:
    story.tell("a container takes no more than what it has written")
    for number in range(3):
        story.do(f"knarr run -d --name idle-{number} my-image sleep 600")
    story.do("knarr exec idle-0 dd if=/dev/zero of=/big bs=1M count=5 status=none")
    story.do("knarr ps -s --format 'table {{.Names}}\\t{{.Size}}'")
    root = f"{story.directory}/root/containers"
    sizes = []
    for number in range(3):
        container = story.do(f"knarr inspect -f '{{{{.Id}}}}' idle-{number}")
        sizes.append(_usage(f"{root}/{container}"))
    story.tell(f"bytes on disk: {', '.join(str(size) for size in sizes)}")
    story.check(5 << 20 <= sizes[0] < 6 << 20, "one has written 5 MiB")
    story.check(max(sizes[1:]) < 1 << 18, "the others take less than 256 KiB")
    story.do("knarr system df")
    story.do("knarr rm -f idle-0 idle-1 idle-2")


def _usage(directory: str) -> int:
    return sum(
        os.lstat(os.path.join(above, name)).st_blocks * 512
        for above, directories, files in os.walk(directory)
        for name in directories + files
    )
