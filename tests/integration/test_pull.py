"""Images from registries and to them: pull, push, `--pull`, platforms; what a cut pull leaves."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images
from support.dockerregistry import docker_registry
from support.engine import Knarr
from support.offers import MANIFEST, offer, offer_index
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.testregistry import Handler

pytestmark = pytest.mark.root


BASE = images.layer_tar({f"f{n}": os.urandom(4000) for n in range(500)})
TOP = images.layer_tar({"top": b"y" * 3000})


def test_docker_s_words(store: Knarr, registry: TestRegistry) -> None:
    digest = offer(registry, "a/b", "latest", [BASE, TOP])["digest"]
    name = f"{registry.host}/a/b"
    said = store("pull", name).splitlines()
    assert said[:2] == ["Using default tag: latest", "latest: Pulling from a/b"]
    assert said[-3:] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {name}:latest",
        f"{name}:latest",
    ]
    shown = {line.partition(": ")[2] for line in said[2:-3]}
    assert {"Pulling fs layer", "Download complete", "Pull complete"} <= shown
    again = store("pull", name).splitlines()
    assert again[2:] == [
        f"Digest: {digest}",
        f"Status: Image is up to date for {name}:latest",
        f"{name}:latest",
    ]
    assert store("pull", "-q", f"{name}@{digest}") == f"{name}@{digest}\n"
    assert f"latest    {digest}" in store("images", "--digests")
    assert os.listdir(f"{store.root}/images/downloads") == []


def test_what_is_not_there(store: Knarr, registry: TestRegistry) -> None:
    offer(registry, "a", "1", [TOP])
    assert "manifest unknown" in store.fails("pull", f"{registry.host}/a:2")
    said = store.fails("run", "--pull", "never", f"{registry.host}/a:1", status=125)
    assert "no such image" in said
    assert not registry.seen("GET", "blobs")


@pytest.mark.parametrize("compression", ["", "+gzip", "+zstd"])
def test_blobs_that_lie_leave_nothing(
    store: Knarr, registry: TestRegistry, compression: str
) -> None:
    offer(registry, "a", "1", [BASE, TOP], compression=compression)
    for key, data in list(registry.blobs.items()):
        if len(data) > 100_000:
            registry.blobs[key] = data[:-100] + b"!" * 100
    store.fails("pull", f"{registry.host}/a:1")
    for place in ("images/blobs/sha256", "images/downloads", "images/incoming"):
        path = Path(store.root, place)
        assert not path.exists() or not [p for p in path.iterdir() if p.stat().st_size > 100_000]
    assert store("images", "-q") == ""


def cut_after(count: int) -> Callable[[Handler], bool]:
    """Return an act that sends so many bytes of a blob, and then nothing for long."""

    def act(handler: Handler) -> bool:
        name, digest = handler.path.removeprefix("/v2/").split("/blobs/")
        data = handler.registry.blobs[name, digest]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:count])
        handler.wfile.flush()
        time.sleep(5)
        return True

    return act


def test_a_killed_pull_is_gone_on_with(store: Knarr, registry: TestRegistry) -> None:
    offer(registry, "a", "1", [BASE, TOP])
    big = next(d for (_, d), data in registry.blobs.items() if len(data) > 1_000_000)
    registry.on("GET", big, cut_after(700_000))
    pulling = store.start("pull", f"{registry.host}/a:1")
    part = Path(store.root, "images/downloads", big.replace(":", "-"))
    end = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 500_000):
        assert time.monotonic() < end
        time.sleep(0.02)
    pulling.send_signal(signal.SIGKILL)
    pulling.communicate()
    kept = part.stat().st_size
    done = store.do("pull", f"{registry.host}/a:1")
    assert done.returncode == 0, done.stderr
    asked = [seen.headers.get("Range") for seen in registry.seen("GET", big)]
    assert asked == [None, f"bytes={kept}-"]
    assert not part.exists()


@pytest.mark.parametrize(
    "point",
    ["journal:begun", "store:unpacked", "store:before-record", "database:before-commit",
     "database:after-commit", "tags.write_index:before-write"],
)  # fmt: skip
def test_a_pull_killed_at_any_point(store: Knarr, registry: TestRegistry, point: str) -> None:
    offer(registry, "a", "1", [BASE, TOP])
    killed = store.do("pull", f"{registry.host}/a:1", trace=f"{point}=kill")
    assert killed.returncode == -signal.SIGKILL
    assert store.do("pull", "-q", f"{registry.host}/a:1").returncode == 0
    archived = store.do("save", f"{registry.host}/a:1")
    assert archived.returncode == 0
    store("rmi", f"{registry.host}/a:1")
    for place in ("layers", "images/blobs/sha256", "images/downloads", "images/incoming"):
        found = [n for n in os.listdir(f"{store.root}/{place}") if n not in (".unsynced", ".empty")]
        assert found == [], place


def test_two_pulls_at_once_download_once(store: Knarr, registry: TestRegistry) -> None:
    offer(registry, "a", "1", [BASE, TOP])
    big = next(d for (_, d), data in registry.blobs.items() if len(data) > 1_000_000)
    slow = threading.Event()

    def wait(handler: Handler) -> bool:
        del handler
        slow.wait(10)
        return False

    registry.on("GET", big, wait)
    pulls = [store.start("pull", "-q", f"{registry.host}/a:1") for _ in range(2)]
    end = time.monotonic() + 20
    while len(registry.seen("GET", "manifests/1")) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.3)
    slow.set()
    for each in pulls:
        out, err = each.communicate(timeout=30)
        assert each.returncode == 0, err
        assert out.decode() == f"{registry.host}/a:1\n"
    assert len(registry.seen("GET", big)) == 1


def test_an_index_is_kept_with_its_platforms(store: Knarr, registry: TestRegistry) -> None:
    index, ids = offer_index(registry, "m", "1")
    name = f"{registry.host}/m:1"
    store("pull", "-q", "--platform", "linux/arm64", name)
    (found,) = json.loads(store("image", "inspect", name))
    assert (found["Id"], found["Architecture"]) == (ids["arm64"], "arm64")
    assert found["RepoDigests"] == [f"{registry.host}/m@{index}"]
    assert (
        Path(store.root, "images/blobs/sha256", index[7:]).read_bytes()
        == (registry.manifests["m", "1"][0])
    )
    said = store.do("create", name, "x").stderr
    assert "platform (linux/arm64) does not match the detected host platform" in said
    made = store("create", "--platform", "linux/arm64", name, "x").strip()
    assert json.loads(store("inspect", made))[0]["Image"] == ids["arm64"]
    store("pull", "-q", name)
    assert json.loads(store("image", "inspect", name))[0]["Id"] == ids["amd64"]
    (other,) = json.loads(store("image", "inspect", "--platform", "arm64", name))
    assert other["Id"] == ids["arm64"]
    assert "actual: linux/amd64" in store.fails("image", "inspect", "--platform", "386", name)
    # Both are here: nothing is asked for.
    registry.requests.clear()
    store("create", "--platform", "linux/arm64", name, "x")
    store("create", name, "x")
    assert registry.requests == []
    store("rm", "-f", *store("ps", "-aq").split())


def test_no_image_for_the_platform(store: Knarr, registry: TestRegistry) -> None:
    offer_index(registry, "m", "1")
    said = store.fails("pull", "--platform", "linux/s390x", f"{registry.host}/m:1")
    assert "no match for platform in manifest: linux/s390x not found" in said
    assert "linux/amd64, linux/arm64" in said


def test_policies(store: Knarr, registry: TestRegistry) -> None:
    offer(registry, "a", "latest", [TOP])
    name = f"{registry.host}/a"
    done = store.do("create", name, "x")
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[:2] == [f"Unable to find image '{name}:latest' locally", "latest: Pulling from a"]
    assert said[-1] == f"Status: Downloaded newer image for {name}:latest"
    registry.requests.clear()
    store("create", name, "x")
    assert registry.requests == []
    done = store.do("create", "--pull", "always", name, "x")
    assert f"Status: Image is up to date for {name}:latest" in done.stderr
    assert store.do("create", "--pull", "always", "-q", name, "x").stderr == ""
    assert "invalid pull option" in store.fails("create", "--pull", "often", name, status=125)
    store("rm", "-f", *store("ps", "-aq").split())


def test_all_tags(store: Knarr, second: Knarr, registry: TestRegistry) -> None:
    store(
        "load", stdin=images.docker_archive([TOP], f"{registry.host}/a:1", f"{registry.host}/a:2")
    )
    said = store("push", "-a", f"{registry.host}/a")
    assert "1: digest: sha256:" in said
    assert "2: digest: sha256:" in said
    second("pull", "-q", "-a", f"{registry.host}/a")
    assert sorted(second("images", "--format", "{{.Tag}}").split()) == ["1", "2"]


def test_a_second_push_sends_nothing(store: Knarr, second: Knarr, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as host:
        store("load", stdin=images.docker_archive([BASE, TOP], f"{host}/a:1"))
        first = store("push", f"{host}/a:1").splitlines()
        assert first[0] == f"The push refers to repository [{host}/a]"
        assert sum(line.endswith(": Pushed") for line in first) == 2
        again = store("push", f"{host}/a:1").splitlines()
        assert sum(line.endswith(": Layer already exists") for line in again) == 2
        assert again[-1] == first[-1]
        # What was pulled is given on as it came, and taken over from the neighbour.
        second("pull", "-q", f"{host}/a:1")
        second("tag", f"{host}/a:1", f"{host}/b:1")
        moved = second("push", f"{host}/b:1").splitlines()
        assert sum(line.endswith(": Mounted from a") for line in moved) == 2
        assert moved[-1] == first[-1]
        assert second("image", "inspect", f"{host}/a:1", "-f", "{{.Id}}") == store(
            "image", "inspect", f"{host}/a:1", "-f", "{{.Id}}"
        )


def test_old_manifests_and_foreign_layers(store: Knarr, registry: TestRegistry) -> None:
    old = json.dumps({"schemaVersion": 1, "name": "a", "fsLayers": []}).encode()
    kind = "application/vnd.docker.distribution.manifest.v1+json"
    registry.add_manifest("a", "old", old, kind)
    said = store.fails("pull", f"{registry.host}/a:old")
    assert "schema version 1, which is obsolete" in said
    foreign = offer(registry, "a", "1", [TOP])
    raw = registry.blobs["a", foreign["digest"]].replace(
        b"image.layer.v1.tar+gzip", b"image.layer.nondistributable.v1.tar+gzip"
    )
    registry.add_manifest("a", "foreign", raw, MANIFEST)
    assert "is a foreign layer" in store.fails("pull", f"{registry.host}/a:foreign")


def test_a_build_pulls_what_it_stands_on(
    store: Knarr, registry: TestRegistry, tmp_path: Path
) -> None:
    digest = offer(registry, "a", "1", [TOP])["digest"]
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {registry.host}/a:1\nCOPY Dockerfile /d\n")
    done = store.do("build", "--progress", "plain", "-t", "built", str(context))
    assert done.returncode == 0, done.stderr
    assert f"[internal] pull {registry.host}/a:1" in done.stderr
    assert f"{registry.host}/a@{digest}" in store("image", "inspect", f"{registry.host}/a:1")
    registry.requests.clear()
    assert store.do("build", "-q", str(context)).returncode == 0
    assert registry.requests == []
    newer = offer(registry, "a", "1", [BASE])["digest"]
    assert store.do("build", "-q", "--pull", str(context)).returncode == 0
    assert newer in store("image", "inspect", f"{registry.host}/a:1")
    (context / "Dockerfile").write_text(f"FROM {registry.host}/a:2\n")
    said = store.fails("build", str(context))
    assert "failed to resolve source metadata: manifest for" in said
