"""Volumes as containers see them: filled from the image, kept, shared, removed with whom."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from knarr.oci.config import RunConfig

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

FILES: dict[str, str | bytes] = {
    "data/file": "from the image\n",
    "data/sub/deep": "deep\n",
    "plain": "a file\n",
}


def run(knarr: Knarr, *words: str) -> str:
    return knarr("run", "--rm", "--network", "none", *words)


@pytest.fixture
def image(knarr: Knarr) -> str:
    knarr.add_image("filled", files=FILES)
    script = "chown -R 12:34 /data; chmod 1770 /data; chmod 4755 /data/file; ln /data/file /data/l"
    knarr("run", "--name", "maker", "--network", "none", "filled", "sh", "-c", script)
    knarr("commit", "maker", "owned")
    knarr("rm", "maker")
    return "owned"


def test_an_empty_volume_gets_what_the_image_has(knarr: Knarr, image: str) -> None:
    assert run(knarr, "-v", "vol:/data", image, "cat", "/data/sub/deep") == "deep\n"
    path = knarr.engine.volumes.path("vol")
    top, file = os.stat(path), os.stat(f"{path}/file")
    assert (top.st_uid, top.st_gid, top.st_mode & 0o7777) == (12, 34, 0o1770)
    assert (file.st_uid, file.st_gid, file.st_mode & 0o7777) == (12, 34, 0o4755)
    assert file.st_ino == os.stat(f"{path}/l").st_ino
    assert os.listdir(os.path.dirname(path)) == ["_data"]


def test_what_is_in_a_volume_stays(knarr: Knarr, image: str) -> None:
    run(knarr, "-v", "vol:/x", image, "sh", "-c", "echo mine > /x/mine")
    assert run(knarr, "-v", "vol:/data", image, "ls", "/data") == "mine\n"


def test_nocopy_leaves_a_volume_empty(knarr: Knarr, image: str) -> None:
    assert run(knarr, "-v", "vol:/data:nocopy", image, "ls", "/data") == ""


@pytest.mark.parametrize("target", ["/plain/x", "/nowhere"])
def test_nothing_is_copied_from_where_no_directory_is(
    knarr: Knarr, image: str, target: str
) -> None:
    knarr.do("run", "--rm", "--network", "none", "-v", f"vol:{target}", image, "true")
    assert os.listdir(knarr.engine.volumes.path("vol")) == []


def test_a_link_in_the_image_leads_nowhere_else(knarr: Knarr, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    knarr.add_image("busybox")
    script = f"ln -s {secret} /trap; ln -s ../../../../../../..{secret} /climb"
    knarr("run", "--name", "maker", "--network", "none", "busybox", "sh", "-c", script)
    knarr("commit", "maker", "hostile")
    knarr("rm", "maker")
    for name in ("trap", "climb"):
        knarr.do("create", "--network", "none", "-v", f"{name}:/{name}", "hostile", "true")
        assert os.listdir(knarr.engine.volumes.path(name)) == []


def test_two_containers_share_a_volume(knarr: Knarr) -> None:
    knarr.add_image()
    knarr(
        "run", "-d", "--network", "none", "--name", "one", "-v", "vol:/x", "busybox",
        "sh", "-c", "while ! test -e /x/go; do sleep 0.05; done; echo seen > /x/answer; sleep 60",
    )  # fmt: skip
    run(knarr, "-v", "vol:/y", "busybox", "touch", "/y/go")
    answer = f"{knarr.engine.volumes.path('vol')}/answer"
    knarr.wait_until(lambda: os.path.exists(answer) and os.path.getsize(answer))
    assert "volume is in use" in knarr.fails("volume", "rm", "vol")
    knarr("rm", "-f", "one")
    assert knarr("volume", "rm", "vol") == "vol\n"


def test_anonymous_volumes_go_with_rm(knarr: Knarr) -> None:
    knarr.add_image("with-volume", config=RunConfig(volumes=("/x",), env=("PATH=/bin",)))
    run(knarr, "with-volume", "touch", "/x/file")
    assert knarr("volume", "ls", "-q") == ""
    for words, left in ((("rm", "-v"), 0), (("rm",), 1)):
        knarr("create", "--name", "box", "--network", "none", "-v", "/y", "with-volume", "true")
        assert len(knarr("volume", "ls", "-q").split()) == 2
        knarr(*words, "box")
        assert len(knarr("volume", "ls", "-q").split()) == 2 * left
    assert knarr("volume", "prune", "-f").startswith("Deleted Volumes:\n")


def test_named_volumes_stay(knarr: Knarr) -> None:
    knarr.add_image()
    run(knarr, "-v", "vol:/x", "busybox", "touch", "/x/file")
    assert knarr("volume", "ls") == "DRIVER    VOLUME NAME\nlocal     vol\n"
    assert run(knarr, "-v", "vol:/x", "busybox", "ls", "/x") == "file\n"


@pytest.mark.parametrize("point", ["volumes:directory-made", "volumes:copied"])
def test_a_volume_is_whole_or_empty_after_a_crash(knarr: Knarr, image: str, point: str) -> None:
    words = ("create", "--network", "none", "-v", "vol:/data", image, "true")
    assert knarr.do(*words, trace=f"{point}=kill").returncode == -signal.SIGKILL
    path = knarr.engine.volumes.path("vol")
    assert os.listdir(path) == []
    knarr.do("ps")  # says that it cleaned up
    assert run(knarr, "-v", "vol:/data", image, "cat", "/data/sub/deep") == "deep\n"
    assert os.listdir(os.path.dirname(path)) == ["_data"]


def test_a_volume_that_others_look_at_is_filled_where_it_is(knarr: Knarr, image: str) -> None:
    knarr(
        "run", "-d", "--network", "none", "--name", "one", "-v", "vol:/elsewhere", image,
        "sh", "-c", "while ! test -e /elsewhere/file; do sleep 0.05; done; sleep 60",
    )  # fmt: skip
    run(knarr, "-v", "vol:/data", image, "true")
    assert knarr("exec", "one", "cat", "/elsewhere/file") == "from the image\n"
