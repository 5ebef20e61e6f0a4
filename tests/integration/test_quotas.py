"""Limits of what containers and volumes may take, where the file system of the root counts it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.engine import lent_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

REFUSED = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"


@pytest.fixture
def limiting(tmp_path: Path) -> Iterator[Knarr]:
    """Lend an engine on a file system that limits projects."""
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("mkfs.xfs is not installed")
    image, place = tmp_path / "image", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", str(image)], check=True)
    place.mkdir()
    words = ["mount", "-o", "loop,prjquota", str(image), str(place)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("the kernel counts no projects on XFS")
    try:
        with lent_engine(place / "knarr") as knarr:
            yield knarr
        knarr.engine.close()  # the look for leaks has opened it again
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(path: str, mebibytes: int) -> tuple[str, ...]:
    return ("sh", "-c", f"head -c {mebibytes << 20} /dev/zero > {path} && echo fits")


def run(knarr: Knarr, *words: str) -> tuple[str, str]:
    done = knarr.do("run", "--rm", "--network", "none", *words)
    return done.stdout, done.stderr


def test_a_container_has_no_more_than_it_is_given(limiting: Knarr) -> None:
    limit = ("--storage-opt", "size=20m", "busybox")
    assert run(limiting, *limit, *fill("/big", 15)) == ("fits\n", "")
    assert run(limiting, *limit, *fill("/big", 25))[0] == ""
    assert run(limiting, "busybox", *fill("/big", 25))[0] == "fits\n"
    limiting("create", "--name", "one", "--network", "none", *limit, *fill("/big", 15))
    form = "{{json .HostConfig.StorageOpt}}"
    assert limiting("inspect", "one", "--format", form) == '{"size":"20m"}\n'
    assert limiting("start", "-a", "one") == "fits\n"
    limiting("commit", "one", "big")
    assert run(limiting, *limit[:2], "big", *fill("/more", 15))[0] == "fits\n"


def test_what_is_changed_of_an_image_counts(limiting: Knarr) -> None:
    limiting.add_image("large", files={"large": os.urandom(15 << 20)})
    words = ("--storage-opt", "size=20m", "large", "sh", "-c")
    copies = "echo x >> /large && echo once; cp /large /second && echo twice"
    out, errors = run(limiting, *words, copies)
    assert out == "once\n"
    assert "No space left on device" in errors


def test_a_volume_has_no_more_than_it_is_given(limiting: Knarr) -> None:
    limiting("volume", "create", "--opt", "size=20m", "data")
    volume = ("-v", "data:/x", "busybox")
    assert run(limiting, *volume, *fill("/x/one", 15))[0] == "fits\n"
    assert run(limiting, *volume, *fill("/x/two", 15))[0] == ""
    assert limiting("volume", "inspect", "data", "--format", "{{.Options.size}}") == "20m\n"
    os.truncate(f"{limiting.engine.volumes.path('data')}/two", 0)
    limiting("volume", "snapshot", "data@one")
    limiting("volume", "restore", "data@one")
    assert run(limiting, *volume, *fill("/x/two", 15))[0] == ""
    limiting("volume", "clone", "data", "free")
    assert run(limiting, "-v", "free:/x", "busybox", *fill("/x/two", 15))[0] == "fits\n"


def test_an_image_fills_a_limited_volume_within_its_limit(limiting: Knarr) -> None:
    limiting.add_image("large", files={"data/large": os.urandom(15 << 20)})
    for size, fits in (("10m", False), ("20m", True)):
        limiting("volume", "create", "--opt", f"size={size}", f"data{size}")
        done = limiting.do(
            "run", "--rm", "--network", "none", "-v", f"data{size}:/data", "large", "true"
        )
        assert (done.returncode == 0) is fits, done.stderr
        assert fits or "no space left" in done.stderr.lower()


def test_limits_go_with_what_they_limit(limiting: Knarr) -> None:
    top = os.path.dirname(limiting.engine.paths.root)
    limiting("volume", "create", "--opt", "size=20m", "data")
    run(limiting, "--storage-opt", "size=30m", "busybox", "true")
    limiting("volume", "rm", "data")
    # A number that was free may be drawn again: no limit may be left on it.
    if shutil.which("repquota") is None:
        pytest.skip("repquota is not installed")
    said = subprocess.run(
        ["repquota", "-P", top], check=True, capture_output=True, text=True
    ).stdout
    assert " 20480 " not in said
    assert " 30720 " not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("size=1g",), REFUSED),
        (("foo=1g",), "Unknown option foo"),
        (("size=abc",), "invalid size: 'abc'"),
        (("size",), "invalid storage option"),
    ],
)
def test_elsewhere_limits_are_refused_as_by_docker(
    knarr: Knarr, words: tuple[str, ...], said: str
) -> None:
    options = [word for text in words for word in ("--storage-opt", text)]
    done = knarr.fails("run", "--rm", "--network", "none", *options, "busybox", "true", status=125)
    assert done.startswith(f"knarr: {said}\n")
    assert knarr("ps", "-aq") == ""
