"""The power is cut between any two system calls: what is found then, on any disk there may be.

What was recorded of each command is replayed (`support.powercut`). Each time the store is opened as
after a boot; then everything in it has to be as it should be, and what was there before is there.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.engine.checking.images import CHECKS
from knarr.engine.engine import Engine
from knarr.snapshot import marks
from support import images, powercut
from support.offers import offer
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed: no record"),
]

BASE = images.layer_tar({"etc/": b"", "etc/a": b"a" * 700, "b": b"b" * 3000})
TOP = images.layer_tar({"etc/.wh.a": b"", "c": b"c" * 900})


def replay(
    knarr: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> list[set[str]]:
    """Cut the power during a command; return the names of images before and after it.

    In between there are no others.
    """
    scratch = tmp_path / "power"
    scratch.mkdir()
    before = names(knarr.engine)
    log = powercut.record(knarr.command(*words), Path(knarr.root), scratch)
    after = names(knarr.engine)
    monkeypatch.setattr(marks, "_boot_id", "that-of-another-boot")
    count = 0
    for cut in log.cuts(random.Random(1)):
        count += 1
        disk = scratch / "disk"
        disk.mkdir()
        cut.make(disk / "root")
        unfinished = [e for e in (disk / "root/journal").iterdir() if e.name[0] != "."]
        with Engine(str(disk / "root"), str(disk / "run")) as engine:
            assert names(engine) in (before, after), cut.name
            assert [found for check in CHECKS for found in check.find(engine)] == [], cut.name
            if unfinished:
                assert engine.notices, cut.name
        shutil.rmtree(disk)
    assert count > 20, "there were moments to be cut at"
    return [before, after]


def names(engine: Engine) -> set[str]:
    return {tag.familiar() for image in engine.images.list() for tag in image.tags}


def test_load(store: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.tar").write_bytes(images.docker_archive([BASE, TOP], "x:1"))
    words = ("load", "-q", "-i", str(tmp_path / "x.tar"))
    assert replay(store, tmp_path, monkeypatch, *words) == [set(), {"x:1"}]


def test_pull(store: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestRegistry() as registry:
        offer(registry, "a", "1", [BASE, TOP])
        name = f"{registry.host}/a:1"
        assert replay(store, tmp_path, monkeypatch, "pull", "-q", name) == [set(), {name}]


def test_rmi(store: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store("load", stdin=images.docker_archive([BASE, TOP], "x:1"))
    store("load", stdin=images.oci_archive([BASE], "y:1", compression="+zstd"))
    assert replay(store, tmp_path, monkeypatch, "rmi", "x:1") == [{"x:1", "y:1"}, {"y:1"}]


def test_commit(knarr: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "mkdir /d && echo x > /d/x && rm /bin/true"
    knarr("run", "--name", "one", "--network", "none", "busybox", "sh", "-c", script)
    found = replay(knarr, tmp_path, monkeypatch, "commit", "one", "made:1")
    assert found[1] == {"busybox:latest", "made:1"}


def test_build(knarr: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nCOPY data /data\nRUN echo x > /x\n")
    (context / "data").write_bytes(b"d" * 2000)
    words = ("build", "-q", "--network", "none", "-t", "made:1", str(context))
    found = replay(knarr, tmp_path, monkeypatch, *words)
    assert found[1] == {"busybox:latest", "made:1"}
