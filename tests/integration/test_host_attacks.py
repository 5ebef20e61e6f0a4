"""What another user of the host reaches of an engine: nothing, whatever names it knows."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

NOBODY = 65534


def as_nobody(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        words, user=NOBODY, group=NOBODY, extra_groups=(), capture_output=True, check=False
    )


@pytest.fixture
def reachable(knarr: Knarr) -> Knarr:
    """Let everybody pass to the root, as it is with /var/lib."""
    for directory in (knarr.directory, *knarr.directory.parents):
        os.chmod(directory, stat.S_IMODE(directory.stat().st_mode) | 0o111)
    return knarr


def closed(path: str) -> bool:
    """Tell whether `path`, which is there, cannot be reached by others."""
    assert os.path.lexists(path), path
    return as_nobody("ls" if os.path.isdir(path) else "cat", path).returncode != 0


def test_records_are_not_read_by_others(reachable: Knarr) -> None:
    """The database's log has what containers are given in their environment."""
    reachable("create", "-e", "PASSWORD=hunter2", "busybox")
    kept = [path for path in Path(reachable.root).iterdir() if b"hunter2" in _bytes(path)]
    assert kept
    assert all(closed(str(path)) for path in kept)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_setuid_programs_of_containers_are_not_for_others(reachable: Knarr) -> None:
    reachable("volume", "create", "tools")
    reachable(
        "run", "--name", "one", "-v", "tools:/tools", "busybox",
        "sh", "-c", "cp /bin/busybox /tools/id; cp /bin/busybox /bin/id2; chmod 4755 /tools/id",
    )  # fmt: skip
    found = [str(path) for path in Path(reachable.root).rglob("*") if path.name in ("id", "id2")]
    assert {os.path.basename(path) for path in found} == {"id", "id2"}
    assert [path for path in found if as_nobody("sh", "-c", path).returncode == 0] == []


def test_contents_of_images_are_not_read_by_others(reachable: Knarr) -> None:
    reachable.add_image("private", files={"key": "hunter2"})
    assert closed(reachable.engine.blobs.incoming_dir)
    assert closed(reachable.engine.paths.images_dir)
    assert closed(reachable.engine.paths.layers_dir)


def test_a_root_of_an_earlier_version_is_closed(reachable: Knarr) -> None:
    paths = reachable.engine.paths
    for directory in (paths.root, paths.images_dir, paths.volumes_dir, paths.journal_dir):
        os.chmod(directory, 0o711)
    os.chmod(paths.database_path, 0o644)
    reachable("ps")
    assert closed(paths.database_path)
    assert closed(paths.volumes_dir)


def test_sockets_and_streams_are_not_for_others(reachable: Knarr) -> None:
    reachable("run", "-d", "--name", "one", "busybox", "sleep", "60")
    (container,) = reachable.engine.containers.all()
    task = reachable.engine.paths.task(container.id)
    for name in os.listdir(task):
        kind = stat.S_IFMT(os.lstat(f"{task}/{name}").st_mode)
        if kind in (stat.S_IFSOCK, stat.S_IFIFO):
            assert as_nobody("test", "-r", f"{task}/{name}").returncode == 1, name
            assert as_nobody("test", "-w", f"{task}/{name}").returncode == 1, name
