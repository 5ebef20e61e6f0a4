"""`--rootfs`: containers that stand on a directory of the host, which they do not change."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from knarr.engine.changes import export

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")


@pytest.fixture
def rootfs(busybox_rootfs: Path, tmp_path: Path) -> Path:
    """Return a root file system of the test's own."""
    made = tmp_path / "rootfs"
    subprocess.run(["cp", "-a", str(busybox_rootfs), str(made)], check=True)
    (made / "given").write_text("as it was\n")
    return made


def listing(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_container_stands_on_a_directory(knarr: Knarr, rootfs: Path) -> None:
    before = listing(rootfs)
    said = knarr("run", "--rm", *NONE, "--rootfs", str(rootfs), "sh", "-c",
                 "cat /given; echo new >/given; echo more >/more; cat /given")  # fmt: skip
    assert said == "as it was\nnew\n"
    assert (rootfs / "given").read_text() == "as it was\n"
    assert listing(rootfs) == before, "not even mount points are made in it"


def test_its_life_and_its_files(knarr: Knarr, rootfs: Path, tmp_path: Path) -> None:
    words = ("run", "-d", *NONE, "--name", "one", "--rootfs", f"{rootfs}:O")
    knarr(*words, "sh", "-c", "echo mine >/mine; sleep 1000")
    knarr.wait_until(lambda: knarr.do("exec", "one", "test", "-s", "/mine").returncode == 0)
    assert knarr("diff", "one") == "A /mine\n"
    assert knarr("cp", "one:/given", str(tmp_path / "got")) == ""
    assert (tmp_path / "got").read_text() == "as it was\n"
    knarr("stop", "-t", "0", "one")
    assert knarr("cp", "one:/mine", str(tmp_path / "mine")) == ""
    out = io.BytesIO()
    export(knarr.engine.containers.get("one"), out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert {"given", "mine", "bin/busybox"} <= set(tar.getnames())
    knarr("start", "one")
    assert knarr("exec", "one", "cat", "/mine", "/given") == "mine\nas it was\n"
    assert str(rootfs) in knarr.fails("commit", "one", "made")
    knarr("rm", "-f", "one")
    assert (rootfs / "given").exists()


def test_users_and_mounts(knarr: Knarr, rootfs: Path, tmp_path: Path) -> None:
    (rootfs / "etc" / "passwd").write_text("me:x:77:78::/:/bin/sh\n")
    words = ("run", "--rm", *NONE, "-v", f"{tmp_path}:/new/place:ro", "--read-only")
    assert knarr(*words, "-u", "me", "--rootfs", str(rootfs), "id", "-u") == "77\n"
    assert "rootfs" in knarr(*words, "--rootfs", str(rootfs), "ls", "/new/place").split()
    assert not (rootfs / "new").exists()


def test_what_is_no_directory(knarr: Knarr, tmp_path: Path) -> None:
    said = knarr.fails("run", *NONE, "--rootfs", str(tmp_path / "none"), "sh", status=125)
    assert f"no such directory: {tmp_path}/none" in said
    assert "no command specified" in knarr.fails("run", "--rootfs", str(tmp_path), status=125)
