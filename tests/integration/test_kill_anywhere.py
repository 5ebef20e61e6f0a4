"""SIGKILL at any moment: nothing is lost, and the next command leaves nothing lying about.

Commands are started and killed after a random time, a few hundred in all with `KNARR_KILLS`; what
they started (supervisors, steps of builds, clean-ups) is killed with them every other time. After
each, the next command has to bring everything in order, and the store has to be whole.

A failure prints the seed: `KNARR_KILL_SEED` repeats its choices, if not its timing.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.oci.digest import digest_of

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

KILLS = int(os.environ.get("KNARR_KILLS", "60"))
SEED = int(os.environ.get("KNARR_KILL_SEED", "0")) or random.randrange(1 << 30)
LONGEST = 0.25  # seconds until the kill; no command below takes longer on a quiet machine
CONTENT = bytes(range(256)) * 8192
DOCKERFILE = """FROM busybox
RUN echo one > /one; mkdir /d; ln /one /d/two
COPY data /data
RUN rm /one; echo three > /d/three
"""


def commands(knarr: Knarr, directory: Path, number: int) -> dict[str, list[str]]:
    """Return a command line for each kind of operation, with names that are new each time."""
    name = f"c{number}"
    return {
        "run": ["run", "--rm", "-v", "/volume", "busybox", "sh", "-c", "echo x > /x; sleep 0.05"],
        "run-d": ["run", "-d", "--name", name, "-p", "127.0.0.1::80", "busybox", "sleep", "0.1"],
        "build": ["build", "-q", "--no-cache", "-t", f"built:{number}", str(directory / "context")],
        "commit": ["commit", "-q", "kept", f"committed:{number}"]
        if number % 2
        else ["commit", "kept", f"committed:{number}"],
        "load": ["load", "-i", str(directory / "saved.tar")],
        "rm": ["rm", "-f", "-v", "victim"],
        "rmi": ["rmi", "-f", "loaded"],
        "start": ["start", "victim"],
        "restart": ["restart", "-t", "0", "victim"],
        "clone": ["volume", "clone", "data", f"clone{number}"],
        "snapshot": ["volume", "snapshot", "--pause", f"data@{number}"],
        "restore": ["volume", "restore", "data@first"],
        "rename": ["volume", "rename", *("data", "other")[:: 1 if number % 2 else -1]],
    }


def test_kill_anywhere(knarr: Knarr, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    _prepare(knarr, tmp_path)
    kinds = [kind for kind in commands(knarr, tmp_path, 0) if kind != "commit"] + ["commit"]
    for number in range(KILLS):
        kind = kinds[number % len(kinds)]
        words = commands(knarr, tmp_path, number)[kind]
        where = f"seed {SEED}, number {number}: {' '.join(words)}"
        _restore_victim(knarr)
        _kill_after(knarr, words, chance.random() * LONGEST, everything=chance.random() < 0.5)
        done = knarr.do("ps", "-aq")
        assert done.returncode == 0, (where, done.stderr)
        assert "Traceback" not in done.stderr, where
        _tidy(knarr)
        _check(knarr, where)
    knarr("run", "--rm", "busybox", "true")


def _prepare(knarr: Knarr, directory: Path) -> None:
    context = directory / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "data").write_bytes(os.urandom(1 << 20))
    knarr("run", "--name", "kept", "--network", "none", "busybox", "sh", "-c", "echo kept > /kept")
    knarr("volume", "create", "data")
    Path(knarr.engine.volumes.path("data"), "file").write_bytes(CONTENT)
    knarr("volume", "snapshot", "data@first")
    knarr("tag", "busybox", "loaded")
    knarr("save", "-o", str(directory / "saved.tar"), "loaded")


def _restore_victim(knarr: Knarr) -> None:
    if knarr.do("inspect", "--type", "container", "victim").returncode:
        knarr("run", "-d", "--name", "victim", "-v", "/volume", "busybox", "sleep", "1000")


def _kill_after(knarr: Knarr, words: list[str], seconds: float, *, everything: bool) -> None:
    process = subprocess.Popen(
        knarr.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.wait()
    if everything:
        for pid, words_of in knarr.processes():
            if "sleep 1000" not in words_of:  # what runs in a container is not knarr's process
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _tidy(knarr: Knarr) -> None:
    """Wait until what was going on has come to its end, with commands as a user would give them."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        rows = knarr.do("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
        names = [row.split()[0] for row in rows if row.split()[0] not in ("kept", "victim")]
        if not names:
            return
        knarr.do("rm", "-f", "-v", *names)
    pytest.fail(f"containers do not go: {names}")


def _check(knarr: Knarr, where: str) -> None:
    """Assert that only the two containers are left, and that the store is whole."""
    kept = {
        knarr.engine.containers.get(name).id for name in ("kept", "victim") if _has(knarr, name)
    }

    def strange() -> list[str]:
        knarr.do("ps", "-q")
        return [
            line
            for line in knarr.leftovers()
            if not any(one in line for one in kept) and not _of_victim(line)
        ]

    deadline = time.monotonic() + 10
    while (left := strange()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == [], (where, left)
    _check_store(knarr, where)


def _has(knarr: Knarr, name: str) -> bool:
    return not knarr.do("inspect", "--type", "container", name).returncode


def _of_victim(line: str) -> bool:
    """Tell whether a process is that of the one container that may run, or its supervisor."""
    return line.startswith("process") and ("sleep 1000" in line or "supervise/__main__" in line)


def _check_store(knarr: Knarr, where: str) -> None:
    database = knarr.engine.database
    assert database.rows("PRAGMA integrity_check") == [("ok",)], where
    assert database.rows("PRAGMA foreign_key_check") == [], where
    layers = {chain.partition(":")[2] for (chain,) in database.rows("SELECT chain FROM layers")}
    trees = set(knarr.engine.layers.list())
    assert layers == trees, (where, layers ^ trees)
    for digest in knarr.engine.blobs.list():
        with knarr.engine.blobs.open(digest) as file:
            assert digest_of(file.read()) == digest, where
    volumes = {name for (name,) in database.rows("SELECT name FROM volumes")}
    assert volumes == set(os.listdir(knarr.engine.paths.volumes_dir)), where
    named = {name for name in volumes if name.partition("@")[0] in ("data", "other")}
    assert len({name.partition("@")[0] for name in named}) in (0, 1), where
    for name in volumes:
        if name in named or name.startswith("clone"):
            assert Path(knarr.engine.volumes.path(name), "file").read_bytes() == CONTENT, where


def _race(starts: list[subprocess.Popen[bytes]]) -> list[tuple[int, str]]:
    done = []
    for process in starts:
        _, said = process.communicate(timeout=120)
        done.append((process.returncode, said.decode()))
    return done


def test_ten_runs_two_builds_and_an_rmi_at_once(knarr: Knarr, tmp_path: Path) -> None:
    _prepare(knarr, tmp_path)
    context = str(tmp_path / "context")
    starts = [knarr.start("run", "--rm", "busybox", "true") for _ in range(10)]
    starts += [knarr.start("build", "-q", "-t", f"both:{n}", context) for n in (1, 2)]
    starts.append(knarr.start("rmi", "loaded"))
    results = _race(starts)
    assert [(status, said) for status, said in results if status] == []
    built = knarr("images", "--no-trunc", "-q", "both").split()
    assert len(set(built)) == 1
    assert knarr("run", "--rm", "both:1", "cat", "/d/two", "/d/three") == "one\nthree\n"


def test_the_image_goes_while_containers_of_it_are_made(knarr: Knarr) -> None:
    knarr.add_image("brief", files={"only": "here"})
    starts = [knarr.start("run", "--rm", "--network", "none", "brief", "true") for _ in range(4)]
    starts.append(knarr.start("rmi", "-f", "brief"))
    results = _race(starts)
    # As with Docker: whoever came too late is told that there is no such image.
    for status, said in results:
        assert status in (0, 1, 125), said
        late = ("no such image", "Unable to find image", "conflict", "Conflict")
        assert status == 0 or any(words in said for words in late), said
    _check_store(knarr, "after the race")


def test_ten_containers_start_at_once(knarr: Knarr) -> None:
    names = [f"web{number}" for number in range(10)]
    starts = [
        knarr.start("run", "-d", "--name", name, "-p", "127.0.0.1::80", "busybox", "sleep", "100")
        for name in names
    ]
    assert [status for status, _ in _race(starts)] == [0] * 10
    port = '(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort'
    form = f"{{{{.NetworkSettings.IPAddress}}}} {{{{{port}}}}}"
    lines = knarr("inspect", "-f", form, *names).splitlines()
    assert len({line.split()[0] for line in lines}) == 10
    assert len({line.split()[1] for line in lines}) == 10
    removals = [knarr.start("rm", "-f", name) for name in names]
    assert [status for status, _ in _race(removals)] == [0] * 10


def test_one_name_is_given_once_however_many_ask(knarr: Knarr) -> None:
    starts = [knarr.start("create", "--name", "same", "busybox") for _ in range(6)]
    results = _race(starts)
    assert sorted(status for status, _ in results) == [0, 1, 1, 1, 1, 1]
    assert all("already in use" in said for status, said in results if status)
