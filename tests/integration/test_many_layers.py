"""Images of as many layers as overlayfs mounts: loaded, built, run, squashed; and of one more."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from support import images

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

MOST = 500
SHOW = ("run", "--rm", "--network", "none")
COUNT = "ls /many | wc -l; cat /many/last"


def load(knarr: Knarr, directory: Path, count: int) -> None:
    """Load an image of `count` layers, the lowest of which is busybox's."""
    base = str(directory / "base.tar")
    knarr("save", "-o", base, "busybox")
    layers = [images.layer_tar({"many/": b"", f"many/f{n}": b"", "many/last": str(n).encode()})
              for n in range(1, count)]  # fmt: skip
    knarr("load", stdin=images.on_top_of(base, layers, "tall:1"))


def test_the_most_layers_are_loaded_run_and_squashed(knarr: Knarr, tmp_path: Path) -> None:
    load(knarr, tmp_path, MOST)
    script = f"{COUNT}; rm /many/f7; echo x > /y"
    said = knarr("run", "--name", "one", "--network", "none", "tall:1", "sh", "-c", script)
    assert said == f"{MOST}\n{MOST - 1}"
    assert knarr("diff", "one").splitlines() == ["C /many", "D /many/f7", "A /y"]
    assert knarr("cp", "one:/many/last", str(tmp_path / "copied")) == ""
    assert (tmp_path / "copied").read_text() == str(MOST - 1)
    knarr("export", "-o", str(tmp_path / "one.tar"), "one")
    with tarfile.open(tmp_path / "one.tar") as exported:
        assert {"y", "many/last"} <= (names := set(exported.getnames()))
        assert "many/f7" not in names
    knarr("rm", "one")
    knarr("image", "squash", "--from", "busybox", "-t", "flat:1", "tall:1")
    assert knarr(*SHOW, "flat:1", "sh", "-c", COUNT) == f"{MOST}\n{MOST - 1}"
    assert knarr("image", "diff", "tall:1", "flat:1") == ""


def test_the_most_layers_are_built_and_one_more_is_refused(knarr: Knarr, tmp_path: Path) -> None:
    steps = 20
    load(knarr, tmp_path, MOST - steps)
    (tmp_path / "f").write_text("x")
    lines = [f"COPY f /many/c{n}" for n in range(steps)]
    for tag, words in (("built:1", ["FROM tall:1", *lines]),
                       ("more:1", ["FROM built:1", "RUN echo x > /many/more"])):  # fmt: skip
        (tmp_path / "Dockerfile").write_text("\n".join(words) + "\n")
        done = knarr.do("build", "-q", "-t", tag, str(tmp_path))
        assert done.returncode == 0, done.stderr
    assert knarr(*SHOW, "built:1", "sh", "-c", "ls /many | wc -l") == f"{MOST}\n"
    said = knarr.fails(*SHOW, "more:1", "true", status=125)
    assert "squash the image" in said
    knarr("image", "squash", "-t", "flat:1", "more:1")
    assert knarr(*SHOW, "flat:1", "sh", "-c", "ls /many | wc -l") == f"{MOST + 1}\n"
