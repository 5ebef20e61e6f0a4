"""How pulls and pushes go about it: how many at a time, by which mirrors, what is said of it."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support import images
from support.mischief import refuse
from support.offers import offer
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.engine import Knarr
    from support.testregistry import Handler

pytestmark = pytest.mark.root

LAYERS = [images.layer_tar({f"f{n}": bytes(3000)}) for n in range(5)]
BUSY = 0.15  # seconds that each answer takes


class Crowd:
    """Slows requests down, and counts how many there are at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def act(self, handler: Handler) -> bool:
        del handler
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(BUSY)
        with self._lock:
            self._now -= 1
        return False


@pytest.mark.parametrize(("text", "most"), [("", 3), ("downloads = 1", 1), ("downloads = 5", 5)])
def test_downloads_at_a_time(
    store: Knarr, registry: TestRegistry, settings: Callable[[str], Path], text: str, most: int
) -> None:
    offer(registry, "m", "1", LAYERS)
    crowd = Crowd()
    settings(f"[images]\n{text}\n")
    store("pull", "-q", f"{registry.host}/m:1")  # so that the config is known from the next one on
    store("rmi", f"{registry.host}/m:1")
    registry.on("GET", "/blobs/", crowd.act, times=99)
    store("pull", "-q", f"{registry.host}/m:1")
    assert crowd.most == most


@pytest.mark.parametrize(("text", "most"), [("", 3), ("uploads = 1", 1), ("uploads = 5", 5)])
def test_uploads_at_a_time(
    store: Knarr, registry: TestRegistry, settings: Callable[[str], Path], text: str, most: int
) -> None:
    store("load", stdin=images.docker_archive(LAYERS, "m:1"))
    store("tag", "m:1", f"{registry.host}/m:1")
    settings(f"[images]\n{text}\n")
    crowd = Crowd()
    registry.on("POST", "/blobs/uploads/", crowd.act, times=99)
    store("push", "-q", f"{registry.host}/m:1")
    assert crowd.most == most


def test_a_number_that_is_none(store: Knarr, settings: Callable[[str], Path]) -> None:
    settings("[images]\ndownloads = 0\n")
    said = store.fails("pull", "127.0.0.1:1/x")
    assert "images.downloads must be a whole number, 1 or more" in said


@pytest.fixture
def mirrored(
    registry: TestRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestRegistry]:
    """Lend a mirror of the registry."""
    with TestRegistry() as mirror:
        place = tmp_path / "registries.toml"
        place.write_text(
            f'[[registry]]\nprefix = "{registry.host}"\n'
            f'[[registry.mirror]]\nlocation = "{mirror.host}/hub"\n'
        )
        monkeypatch.setenv("KNARR_REGISTRIES", str(place))
        yield mirror


def test_a_mirror_that_is_passed_over_is_told(
    store: Knarr, registry: TestRegistry, mirrored: TestRegistry
) -> None:
    offer(registry, "m", "1", LAYERS)
    offer(mirrored, "hub/m", "1", LAYERS)
    name = f"{registry.host}/m:1"
    store("pull", "-q", name)  # without a word
    assert registry.requests == []
    store("rmi", name)
    mirrored.on("GET", "/manifests/", refuse(403, "DENIED", "not for you"), times=9)
    done = store.do("pull", "-q", name)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mirror {mirrored.host} was passed over: ")
    assert "not for you" in line
    store("rmi", name)
    mirrored.on("GET", "/blobs/", refuse(503, "UNAVAILABLE", "asleep"), times=99)
    done = store.do("pull", "-q", name)
    assert (done.returncode, done.stdout) == (0, f"{name}\n")
    assert any("asleep" in line for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) <= 3


def test_a_wait_is_told_at_once(store: Knarr, registry: TestRegistry) -> None:
    offer(registry, "m", "1", LAYERS)
    busy = refuse(429, "TOOMANYREQUESTS", "slowly", Retry_After="2")
    registry.on("GET", "/manifests/", busy)
    done = store.do("pull", "-q", f"{registry.host}/m:1")
    assert done.returncode == 0
    assert done.stderr.endswith("toomanyrequests: slowly: trying again in 2 s\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_rate_limit_is_told_with_what_helps(store: Knarr, registry: TestRegistry) -> None:
    words = "You have reached your pull rate limit"
    registry.on("GET", "/", refuse(429, "TOOMANYREQUESTS", words, Retry_After="3600"), times=99)
    begun = time.monotonic()
    said = store.fails("pull", f"{registry.host}/m:1").splitlines()
    assert words in said[0]
    assert "logging in may help" in said[1]
    assert time.monotonic() - begun < 10


def layers_at(registry: TestRegistry, name: str) -> list[tuple[str, bytes]]:
    """Return the kind and the first bytes of each layer of an image."""
    manifest = json.loads(registry.manifests[name, "1"][0])
    return [
        (entry["mediaType"].rpartition(".")[2], registry.blobs[name, entry["digest"]][:2])
        for entry in manifest["layers"]
    ]


@pytest.mark.parametrize("came", ["", "+gzip", "+zstd"])
def test_the_form_of_layers_can_be_chosen(
    store: Knarr, second: Knarr, registry: TestRegistry, came: str
) -> None:
    store("load", stdin=images.oci_archive(LAYERS[:2], "m:1", compression=came))
    starts = {"gzip": ("tar+gzip", b"\x1f\x8b"), "zstd": ("tar+zstd", b"\x28\xb5")}
    for word, expected in starts.items():
        store("tag", "m:1", f"{registry.host}/{word}:1")
        done = store.do("push", "-q", "--compression-format", word, f"{registry.host}/{word}:1")
        assert (done.returncode, done.stderr) == (0, "")
        assert layers_at(registry, word) == [expected] * 2
        second("pull", "-q", f"{registry.host}/{word}:1")
    store("tag", "m:1", f"{registry.host}/plain:1")
    store("push", "-q", "--compression-format", "uncompressed", f"{registry.host}/plain:1")
    assert [kind for kind, _ in layers_at(registry, "plain")] == ["tar"] * 2
    second("pull", "-q", f"{registry.host}/plain:1")
    assert len(set(second("images", "-q").split())) == 1  # it is one image all the same
    small, large = (
        store("push", "--compression-format", "zstd", "--compression-level", level,
              f"{registry.host}/zstd:1").rpartition("digest: ")[2].split()[0]
        for level in ("19", "1")
    )  # fmt: skip
    assert registry.manifests["zstd", small]
    assert registry.manifests["zstd", large]


def test_forms_that_are_none(store: Knarr) -> None:
    for words, why in (
        (("--compression-format", "xz"), "unsupported layer compression type: xz"),
        (
            ("--compression-format", "gzip", "--compression-level", "10"),
            "invalid compression-level 10 of gzip",
        ),
        (("--compression-level", "3"), "--compression-level needs --compression-format"),
    ):
        assert why in store.fails("push", *words, "x:1")
