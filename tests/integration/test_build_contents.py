"""Files that a build reads once: the layer holds what was there, and its digest is of that."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.root

LARGE = 6 << 20


def top_layer(shop: Workshop, tmp_path: Path) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Return what the topmost layer holds; it is the one that the config promises."""
    path = tmp_path / "saved.tar"
    shop.knarr("save", "-o", str(path), "made")
    with tarfile.open(path) as saved:
        (entry,) = json.load(saved.extractfile("manifest.json"))  # type: ignore[arg-type]
        config: dict[str, Any] = json.load(saved.extractfile(entry["Config"]))  # type: ignore[arg-type]
        layer = saved.extractfile(entry["Layers"][-1]).read()  # type: ignore[union-attr]
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    assert digest == config["rootfs"]["diff_ids"][-1]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        return {
            member.name: (member, files.extractfile(member).read() if member.isreg() else b"")  # type: ignore[union-attr]
            for member in files
        }


def test_all_kinds_of_files_arrive_as_they_are(shop: Workshop, tmp_path: Path) -> None:
    contents = {
        "empty": b"",
        "small": b"small",
        "border": os.urandom(1 << 16),
        "above": os.urandom((1 << 16) + 1),
        "large": os.urandom(LARGE + 5),
        "named": os.urandom(LARGE),
        "setuid": os.urandom(LARGE),
        "attribute": os.urandom(LARGE),
    }
    for name, content in contents.items():
        shop.write(f"tree/{name}", content)
    os.chmod(shop.directory / "tree/setuid", 0o4755)
    os.setxattr(shop.directory / "tree/attribute", "user.colour", b"red")
    os.link(shop.directory / "tree/named", shop.directory / "tree/again")
    with (shop.write("tree/holes", b"x")).open("r+b") as file:
        file.truncate(LARGE)
    shop.build("FROM scratch\nCOPY tree /tree\n")
    found = top_layer(shop, tmp_path)
    for name, content in contents.items():
        member, data = found[f"tree/{name}"]
        data = data or found["tree/again"][1] if name == "named" else data
        assert data == content, name
        assert member.mode == (0o4755 if name == "setuid" else 0o644)
    assert found["tree/holes"][1] == b"x" + bytes(LARGE - 1)
    assert found["tree/attribute"][0].pax_headers["SCHILY.xattr.user.colour"] == "red"
    assert found["tree/named"][0].islnk()
    assert {member.mtime for member, _ in found.values() if member.isreg()} == {315_532_800}


def test_what_replaces_a_file_of_the_same_step_counts(shop: Workshop, tmp_path: Path) -> None:
    shop.write("one/small", "first")
    shop.write("one/large", os.urandom(LARGE))
    shop.write("one/link", os.urandom(LARGE))
    shop.write("two/small", "second")
    other = os.urandom(LARGE)
    shop.write("two/large", other)
    (shop.directory / "two/link").symlink_to("small")
    shop.write("three/here", "from a file")
    shop.build(
        "FROM scratch\nCOPY one two /files/\nCOPY three/here <<here /texts/\nfrom a text\nhere\n"
    )
    found = top_layer(shop, tmp_path)
    assert found["texts/here"][1] == b"from a text\n"
    shop.build("FROM scratch\nCOPY one two /files/\n")
    found = top_layer(shop, tmp_path)
    assert found["files/small"][1] == b"second"
    assert found["files/large"][1] == other
    assert found["files/link"][0].issym()


def test_a_large_file_of_a_lower_layer_is_replaced(shop: Workshop, tmp_path: Path) -> None:
    shop.write("old", os.urandom(LARGE))
    new = os.urandom(LARGE)
    shop.write("new", new)
    shop.build("FROM scratch\nCOPY old /file\nCOPY new /file\n")
    assert top_layer(shop, tmp_path)["file"][1] == new


def test_a_copy_of_the_context_is_remembered_as_what_it_was(shop: Workshop) -> None:
    shop.write("tree/large", bytes(LARGE))
    shop.write("tree/small", "small")
    dockerfile = "FROM busybox\nCOPY tree /tree\nRUN cat /tree/small; wc -c /tree/large\n"
    first = shop.build(dockerfile)
    assert f"{LARGE} /tree/large" in first.output
    again = shop.build(dockerfile, "--no-cache", tag="again")
    assert again.done == ["COPY tree /tree", "RUN cat /tree/small; wc -c /tree/large"]
    assert shop.image_id("again") == shop.image_id("made")
    assert shop.build(dockerfile).done == []


def test_large_files_go_where_links_and_flags_lead(shop: Workshop) -> None:
    shop.write("large", os.urandom(LARGE))
    shop.write("sub/large", (shop.directory / "large").read_bytes())
    below = ("real", "real/x", "real/x/sub", "p/sub", "q", "linked", "own", "w", "w/sub")
    places = " ".join(f"{place}/large" for place in below)
    built = shop.build(
        "FROM busybox\n"
        "RUN mkdir -p /real/x && ln -s /real /dir && ln -s ../real/x /real/link\n"
        "COPY large /dir/\nCOPY lar* /dir/link/\nCOPY --parents sub/lar* /dir/link/\n"
        "COPY --parents sub/large /p/\nCOPY --parents ./sub/./large /q/\n"
        "COPY --link large /linked/\nCOPY --chown=3:4 --chmod=700 large /own/\n"
        "WORKDIR /w\nCOPY . .\n"
        f"RUN cd / && sha256sum {places} && stat -c 'owner %u:%g %a' own/large\n"
    )
    digest = hashlib.sha256((shop.directory / "large").read_bytes()).hexdigest()
    assert built.output.count(f"{digest}  ") == len(below)
    assert "owner 3:4 700" in built.output
