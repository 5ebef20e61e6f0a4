"""Images for several platforms under one name: looked at, saved, removed each by itself."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socketserver
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from support.offers import offer_index
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root


class Both:
    """A store that has both images of an index; the name means that for amd64."""

    def __init__(self, store: Knarr, registry: TestRegistry) -> None:
        self.index, self.ids = offer_index(registry, "m", "1")
        self.name = f"{registry.host}/m:1"
        for arch in ("arm64", "amd64"):
            store("pull", "-q", "--platform", arch, self.name)


@pytest.fixture
def both(store: Knarr) -> Iterator[Both]:
    with TestRegistry() as registry:
        yield Both(store, registry)


def test_history_of_a_platform(store: Knarr, both: Both) -> None:
    words = ("history", "-q", "--no-trunc")
    assert both.ids["amd64"] in store(*words, both.name)
    assert both.ids["arm64"] in store(*words, "--platform", "linux/arm64", both.name)
    said = store.fails("history", "--platform", "386", both.name)
    assert "was found but does not match the specified platform" in said


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_save_for_a_platform(
    store: Knarr, second: Knarr, both: Both, tmp_path: Path, form: str
) -> None:
    target = str(tmp_path / "saved")
    store("save", "--platform", "arm64", "--format", form, "-o", target, both.name)
    assert second("load", "-i", target) == f"Loaded image: {both.name}\n"
    assert second("images", "-q", "--no-trunc").split() == [both.ids["arm64"]]
    if form == "docker-archive":
        with tarfile.open(target) as archive:
            member = archive.extractfile("manifest.json")
            assert member is not None
            (listed,) = json.loads(member.read())
        assert listed["RepoTags"] == [both.name]
    other = str(tmp_path / "other")
    store.fails("save", "--platform", "386", "--format", form, "-o", other, both.name)
    assert not os.path.isfile(other)


def test_a_platform_is_removed_and_the_name_stays(store: Knarr, both: Both) -> None:
    gone = store("rmi", "--platform", "linux/amd64", both.name).splitlines()
    assert gone[0] == f"Deleted: {both.ids['amd64']}"
    assert not any(line.startswith("Untagged") for line in gone)
    (left,) = json.loads(store("image", "inspect", both.name))
    assert (left["Id"], left["RepoTags"]) == (both.ids["arm64"], [both.name])
    assert "does not match" in store.fails("rmi", "--platform", "amd64", both.name)
    gone = store("rmi", "--platform", "arm64", both.name).splitlines()
    assert f"Untagged: {both.name}" in gone
    assert store("images", "-aq") == ""
    assert store.engine.blobs.list() == []


def test_a_platform_in_use_stays(store: Knarr, both: Both) -> None:
    store("create", "--platform", "arm64", "--name", "user", both.name, "x")
    said = store.fails("rmi", "--platform", "arm64", both.name)
    assert "image is being used by stopped container" in said
    assert both.ids["arm64"] in store("images", "-aq", "--no-trunc")
    store("rmi", "--force", "--platform", "arm64,amd64", both.name)
    assert store("images", "-aq") == ""
    store("rm", "user")


def test_a_name_is_for_all_platforms(store: Knarr, both: Both) -> None:
    """The others are neither listed nor dangling, and go with the name."""
    shown = ("images", "-q", "--no-trunc")
    assert store(*shown).split() == [both.ids["amd64"]]
    assert set(store(*shown, "-a").split()) == set(both.ids.values())
    assert store(*shown, "-f", "dangling=true") == ""
    assert "Total reclaimed space: 0B" in store("image", "prune", "-f")
    assert store("image", "inspect", "--platform", "arm64", both.name)
    store("tag", both.name, "again:1")
    gone = store("rmi", both.name)
    assert "Deleted" not in gone
    assert store("image", "inspect", "--platform", "arm64", "again:1")
    gone = store("rmi", "again:1")
    assert all(f"Deleted: {image_id}" in gone for image_id in both.ids.values())
    assert store.engine.blobs.list() == []


def test_who_is_used_stays_when_the_name_goes(store: Knarr, both: Both) -> None:
    store("create", "--platform", "arm64", "--name", "user", both.name, "x")
    store("rmi", both.name)
    assert store("images", "-q", "--no-trunc").split() == [both.ids["arm64"]]
    store("rm", "user")
    assert both.ids["arm64"] in store("image", "prune", "-f")


def test_the_tree(store: Knarr, both: Both) -> None:
    store("tag", both.name, "again:1")
    store("create", "--platform", "arm64", "--name", "user", both.name, "x")
    legend, empty, head, *lines = store("images", "--tree").splitlines()
    assert (legend.split(), empty) == (["Info", "->", "U", "In", "Use"], "")
    assert head.split("   ")[0].rstrip() == "IMAGE"
    names, top, first, last, end = lines
    assert (names, top.split()[0], end) == (both.name, "again:1", "")
    assert top.split()[1] == both.ids["amd64"][7:19]
    assert first.split()[:3] == ["├─", "linux/amd64", both.ids["amd64"][7:19]]
    assert last.split()[:3] == ["└─", "linux/arm64", both.ids["arm64"][7:19]]
    assert [line.split()[-1] for line in (top, first, last)][0::2] == ["U", "U"]
    assert not first.rstrip().endswith("U")
    store("rm", "user")
    store("rmi", "--platform", "arm64", both.name)
    absent = store("images", "--tree", "again").splitlines()[-2].split()
    assert absent[1:] == ["linux/arm64", absent[2], "0B", "0B"]
    for flag in ("--quiet", "--no-trunc", "--digests"):
        assert "--tree and" in store.fails("images", "--tree", flag)


class _Fake(http.server.BaseHTTPRequestHandler):
    """As much of Docker's server as `docker images --tree` asks for."""

    document: Any = None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = json.dumps(self.document).encode() if "images/json" in self.path else b"OK"
        self.send_response(200)
        for name, value in (("Api-Version", "1.50"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "client"


def docker_tree(path: str, document: Any) -> list[str]:
    """Return what docker makes of a list of images, which a stand-in for its server has."""
    program = shutil.which("docker")
    if program is None:
        pytest.skip("docker is not installed: nobody to compare with")
    handler = type("Bound", (_Fake,), {"document": document})
    with socketserver.ThreadingUnixStreamServer(path, handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            done = subprocess.run(
                [program, "-H", f"unix://{path}", "images", "--tree"],
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
        finally:
            server.shutdown()
            thread.join()
    if "unknown flag" in done.stderr:
        pytest.skip("this docker has no images --tree")
    assert done.returncode == 0, done.stderr
    # Its titles are bold on anything, and the warning is not for us.
    text = done.stdout
    for code in ("\x1b[39m", "\x1b[1m", "\x1b[0m"):
        text = text.replace(code, "")
    return [line.rstrip() for line in text.splitlines() if not line.startswith("WARNING")]


def _as_docker_tells(engine: Any) -> list[dict[str, Any]]:
    """Return the families of an engine in the form of Docker's API."""
    from knarr.engine.image.family.tree import families

    found: list[dict[str, Any]] = []
    for family in families(engine, engine.images.list()):
        manifests = [
            {
                "ID": str(one.id), "Kind": "image", "Available": one.here,
                "Descriptor": {"mediaType": "x", "digest": str(one.id), "size": 1},
                "Size": {"Total": one.disk, "Content": one.content},
                "ImageData": {
                    "Platform": {"os": one.platform.os, "architecture": one.platform.architecture},
                    "Containers": ["x"] if one.used else [],
                    "Size": {"Unpacked": one.disk - one.content},
                },
            }
            for one in family.relatives
        ]  # fmt: skip
        found.append(
            {
                "Id": str(family.id),
                "RepoTags": [name.familiar() for name in family.names],
                "Created": len(found), "Size": family.disk, "Manifests": manifests,
                "Containers": int(family.used),
            }
        )  # fmt: skip
    return found


def test_docker_prints_the_same_tree(store: Knarr, both: Both, tmp_path: Path) -> None:
    store("tag", both.name, "registry.example:5000/a/very/long/name/that/goes/on:and-on")
    store("create", "--platform", "arm64", "--name", "user", both.name, "x")
    document = _as_docker_tells(store.engine)
    ours = [line.rstrip() for line in store("images", "--tree").splitlines()]
    store("rm", "user")
    assert ours == docker_tree(str(tmp_path / "s"), document)
