"""All prunes: what a dry run says, what then really goes, and what filters spare."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")


def lists(knarr: Knarr) -> list[str]:
    """Return everything that can be listed, in one text for each kind."""
    words = (
        ("ps", "-aq"), ("network", "ls", "-q"), ("volume", "ls", "-q"), ("images", "-aq"),
        ("system", "df", "-v"),
    )  # fmt: skip
    return [knarr(*each) for each in words]


def said(knarr: Knarr, *words: str) -> list[str]:
    """Return what a dry run says, having seen that nothing is gone; then what really went."""
    before = lists(knarr)
    told = knarr(*words, "--dry-run")
    assert [line.split(" ago")[-1] for line in lists(knarr)] == [
        line.split(" ago")[-1] for line in before
    ]
    done = knarr(*words, "--force")
    assert told.replace("Would delete", "Deleted").replace("reclaimable", "reclaimed") == done
    return done.splitlines()


@pytest.fixture
def full(knarr: Knarr, tmp_path: Path) -> Knarr:
    """Return an engine with something unused of every kind, and something in use."""
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN head -c 500000 /dev/zero > /big\n")
    knarr("build", "-q", "-t", "built", str(tmp_path))
    knarr("network", "create", "--label", "keep=1", "kept")
    knarr("network", "create", "gone")
    knarr("run", "-d", *NONE, "--name", "runs", "-v", "used:/data", "busybox", "sleep", "1000")
    knarr("run", *NONE, "--name", "ended", "-v", "/data", "built", "touch", "/data/x", "/y")
    knarr("create", *NONE, "--name", "labelled", "-l", "keep=1", "busybox")
    knarr("volume", "create", "named")
    return knarr


def test_containers(full: Knarr) -> None:
    lines = said(full, "container", "prune", "--filter", "label!=keep")
    assert len(lines) == 4
    assert full("ps", "-a", "--format", "{{.Names}}").split() == ["labelled", "runs"]


def test_containers_until(full: Knarr) -> None:
    assert said(full, "container", "prune", "--filter", "until=1h") == ["Total reclaimed space: 0B"]
    time.sleep(1.1)
    lines = said(full, "container", "prune", "--filter", "until=1s", "--filter", "label=keep=1")
    assert len(lines) == 4


def test_networks(full: Knarr) -> None:
    assert said(full, "network", "prune", "--filter", "label!=keep")[1] == "gone"
    assert said(full, "network", "prune")[1] == "kept"


def test_volumes(full: Knarr) -> None:
    assert said(full, "volume", "prune") == ["Total reclaimed space: 0B"]
    full("rm", "ended")
    lines = said(full, "volume", "prune")
    assert len(lines[1]) == 64
    assert said(full, "volume", "prune", "--all")[1] == "named"
    assert full("volume", "ls", "-q") == "used\n"


def test_images(full: Knarr) -> None:
    full("rm", "ended")
    full("builder", "prune", "--all", "--force")
    full("tag", "busybox", "other:1")
    lines = said(full, "image", "prune", "--all")
    assert "untagged: built:latest" in lines
    assert lines[-1] == "Total reclaimed space: 500kB"


def test_build_cache(full: Knarr) -> None:
    assert said(full, "builder", "prune")[-1] == "Total reclaimed space: 0B"
    full("rm", "ended")
    full("rmi", "built")
    assert said(full, "builder", "prune")[-1] == "Total reclaimed space: 500kB"


def test_build_cache_by_space(full: Knarr) -> None:
    full("rm", "ended")
    full("rmi", "built")

    def left(*words: str) -> str:
        return said(full, "builder", "prune", *words)[-1]

    nothing = "Total reclaimed space: 0B"
    assert left("--min-free-space", "1") == nothing
    assert left("--max-used-space", "1g") == nothing
    assert left("--min-free-space", "1000000g", "--reserved-space", "1g") == nothing
    assert left("--min-free-space", "1000000g") == "Total reclaimed space: 500kB"


def test_everything(full: Knarr) -> None:
    lines = said(full, "system", "prune", "--all", "--volumes")
    titles = [line for line in lines if line.startswith("Deleted")]
    assert titles == [
        "Deleted Containers:", "Deleted Networks:", "Deleted Volumes:", "Deleted Images:",
        "Deleted build cache objects:",
    ]  # fmt: skip
    assert "untagged: built:latest" in lines
    assert full("ps", "-a", "--format", "{{.Names}}") == "runs\n"
    assert full("volume", "ls", "-q").split() == ["named", "used"]


def test_bad_filters(knarr: Knarr) -> None:
    for group in ("container", "network", "image", "volume", "system"):
        assert "invalid filter 'colour'" in knarr.fails(
            group, "prune", "-f", "--filter", "colour=x"
        )
