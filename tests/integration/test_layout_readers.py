"""Skopeo and umoci read the store as the OCI layout that it is, while knarr changes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

STEADY = "docker.io/library/steady:1"
LAYERS = [images.layer_tar({"etc/": b"", "etc/hello": b"hello"}), images.layer_tar({"top": b"y"})]
CONFIG = images.config_of(LAYERS)
ROUNDS = 12


@pytest.fixture
def layout(store: Knarr, settings: Callable[[str], Path]) -> Iterator[str]:
    """Give a layout with an image that stays, in which others come and go until the test ends."""
    settings('[images]\nkeep_blobs = "always"\n')
    store("load", stdin=images.oci_archive(LAYERS, "steady:1", config=CONFIG))
    end = threading.Event()
    trouble: list[str] = []
    changing = threading.Thread(target=lambda: change(store, end, trouble))
    changing.start()
    try:
        yield f"{store.root}/images"
    finally:
        end.set()
        changing.join()
    assert trouble == []


def change(store: Knarr, end: threading.Event, trouble: list[str]) -> None:
    """Load, tag, untag and remove images until `end`."""
    turn = 0
    while not end.is_set():
        turn += 1
        other = [LAYERS[0], images.layer_tar({"n": str(turn).encode()})]
        for words, stdin in (
            (["load"], images.oci_archive(other, f"other:{turn}")),
            (["tag", f"other:{turn}", "steady:2"], b""),
            (["rmi", f"other:{turn}", "steady:2"], b""),
        ):
            done = store.do(*words, stdin=stdin)
            if done.returncode:
                trouble.append(done.stderr)
                return


def tool(*words: str) -> str:
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not installed: nobody who reads the layout")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def test_skopeo(layout: str, tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        config = tool("skopeo", "inspect", "--config", "--raw", f"oci:{layout}:{STEADY}")
        assert config.encode() == CONFIG
        tool(
            "skopeo",
            "--insecure-policy",
            "copy",
            f"oci:{layout}:{STEADY}",
            f"dir:{tmp_path}/{turn}",
        )
        copied = json.loads((tmp_path / str(turn) / "manifest.json").read_text())
        assert len(copied["layers"]) == len(LAYERS)


def test_umoci(layout: str, tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        assert STEADY in tool("umoci", "list", "--layout", layout).splitlines()
        found = json.loads(tool("umoci", "stat", "--json", "--image", f"{layout}:{STEADY}"))
        diff_ids = [step["diff_id"] for step in found["history"] if step["layer"]]
        assert diff_ids == [images.sha(layer) for layer in LAYERS]
        bundle = tmp_path / str(turn)
        tool("umoci", "unpack", "--image", f"{layout}:{STEADY}", str(bundle))
        assert (bundle / "rootfs/etc/hello").read_bytes() == b"hello"
        assert (bundle / "rootfs/top").read_bytes() == b"y"
