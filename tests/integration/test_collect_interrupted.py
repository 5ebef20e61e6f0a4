"""A collection of garbage that is killed halfway, and finished by others, under a pull or a build.

Three processes: one brings an image and stands still in the middle, one removes what it stands on
and is killed while it does, the third is the next command, which finishes what was left.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import images
from support.offers import offer
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

BASE = images.layer_tar({"base": b"b" * 9000})
TOP = images.layer_tar({"top": b"t" * 2000})
FINE = "Everything is as it should be.\n"
HALFWAY = ["database:after-commit", "collect:forgotten", "trees.remove:before-delete"]


def standing(knarr: Knarr, point: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a command that stands still at a point, and return it when it does."""
    child = knarr.start(*words, trace=f"{point}=stop")
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return child


def killed(knarr: Knarr, point: str, *words: str) -> None:
    assert knarr.do(*words, trace=f"{point}=kill").returncode == -signal.SIGKILL


@pytest.mark.parametrize("halfway", HALFWAY)
@pytest.mark.parametrize("point", ["store:unpacked", "store:before-record"])
def test_a_pull_keeps_what_it_needs(store: Knarr, point: str, halfway: str) -> None:
    config = images.config_of([BASE], author="of something else")
    unneeded = images.layer_tar({halfway: b"x"})
    store("load", stdin=images.docker_archive([BASE], "base:1", config=config))
    store("load", stdin=images.docker_archive([unneeded], "other:1"))
    with TestRegistry() as registry:
        offer(registry, "a", "1", [BASE, TOP])
        pulling = standing(store, point, "pull", "-q", f"{registry.host}/a:1")
        # Of what these two stand on, the pull needs one layer, and nobody the other.
        killed(store, halfway, "rmi", "base:1", "other:1")
        store.do("images")
        store.do("rmi", "base:1", "other:1")
        pulling.send_signal(signal.SIGCONT)
        out, error = pulling.communicate(timeout=60)
        assert (pulling.returncode, error) == (0, b"")
        assert out.decode() == f"{registry.host}/a:1\n"
        assert store("system", "check") == FINE
        assert len(store.engine.layers.list()) == 2


@pytest.mark.parametrize("halfway", HALFWAY[:2])  # under a build no tree is removed at all
def test_a_build_keeps_what_it_stands_on(knarr: Knarr, tmp_path: Path, halfway: str) -> None:
    knarr.add_image("base:1", files={"data": b"d" * 3000})
    knarr.add_image("other:1", files={"more": halfway})
    mark = os.urandom(8).hex().encode()
    lines = ("FROM base:1", f"RUN sleep 3; echo {mark.decode()}", "RUN cat /data")
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    building = knarr.start("build", "--network", "none", "-t", "built:1", str(tmp_path))
    knarr.wait_until(lambda: mark in commands())
    killed(knarr, halfway, "rmi", "-f", "base:1", "other:1")
    knarr.do("images")
    knarr.do("image", "prune", "-af")
    knarr.do("builder", "prune", "-af")
    out, error = building.communicate(timeout=60)
    assert building.returncode == 0, out + error
    assert knarr("run", "--rm", "--network", "none", "built:1", "cat", "/data") == "d" * 3000
    assert knarr("system", "check") == FINE


def commands() -> bytes:
    """Return the command lines of all processes."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True)
    return found.stdout
