"""`system df` says what du(1) finds: shared bytes once, unique bytes as what a removal frees."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.engine.space.diskusage import DiskUse, disk_use
from support import images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

BASE = images.layer_tar({f"base{n}": os.urandom(5000 + n) for n in range(40)})
TOP = images.layer_tar({"top": os.urandom(90_001)})
OTHER = images.layer_tar({"other": os.urandom(33_333), "more": b"x"})


def du(knarr: Knarr) -> int:
    """Return the bytes of all files of the store, each once, as du(1) has them."""
    places = [f"{knarr.root}/layers", f"{knarr.root}/images/blobs", f"{knarr.root}/images/recipes"]
    there = [place for place in places if os.path.isdir(place)]
    done = subprocess.run(["du", "-0ab", *there], capture_output=True, check=True)
    lines = [line.split(b"\t", 1) for line in done.stdout.split(b"\0") if line]
    return sum(int(size) for size, path in lines if not os.path.isdir(path))


def use(knarr: Knarr) -> DiskUse:
    return disk_use(knarr.engine)


def test_the_sum_is_what_is_on_the_disk(store: Knarr, settings: Callable[[str], Path]) -> None:
    store("load", stdin=images.docker_archive([BASE, TOP], "a:1"))
    store("load", stdin=images.oci_archive([BASE, OTHER], "b:1", compression="+zstd"))
    assert use(store).layers == du(store)
    settings('[images]\nkeep_blobs = "always"\n')
    store("load", stdin=images.oci_archive([OTHER], "c:1"))
    assert use(store).layers == du(store)


@pytest.mark.parametrize("compression", ["", "+zstd"])
def test_unique_bytes_are_those_that_a_removal_frees(store: Knarr, compression: str) -> None:
    store("load", stdin=images.docker_archive([BASE, TOP], "a:1"))
    store("load", stdin=images.oci_archive([BASE, OTHER], "b:1", compression=compression))
    sizes = {one.image.tags[0].familiar(): one for one in use(store).images}
    assert sizes["a:1"].shared == sizes["b:1"].shared >= 200_000
    before = du(store)
    store("rmi", "b:1")
    assert before - du(store) == sizes["b:1"].unique
    (left,) = use(store).images
    assert (left.shared, left.unique) == (0, du(store))


def test_the_same_image_twice_takes_nothing_more(store: Knarr) -> None:
    store("load", stdin=images.docker_archive([BASE], "a:1"))
    before = use(store).layers
    store("tag", "a:1", "b:1")
    assert use(store).layers == before == du(store)


def test_details_show_shared_and_unique_bytes(store: Knarr) -> None:
    store("load", stdin=images.docker_archive([BASE, TOP], "a:1"))
    store("load", stdin=images.docker_archive([BASE, OTHER], "b:1"))
    lines = store("system", "df", "-v").splitlines()
    head = next(line for line in lines if line.startswith("REPOSITORY"))
    row = next(line for line in lines if line.startswith("a "))
    at, end = head.index("SHARED SIZE"), head.index("CONTAINERS")
    shared, unique = row[at:end].split()
    assert shared.startswith("20")
    assert shared.endswith("kB")
    assert unique.startswith("9")
    assert unique.endswith("kB")
