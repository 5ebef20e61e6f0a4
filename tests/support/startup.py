"""Listing what a process of knarr has loaded at its end.

A child process runs the real thing and lists `sys.modules`. Times are for `benchmarks`; names are
the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# What no process on the way of `run`, `ps` and `exec` may load, with what it costs here over an
# empty interpreter, in milliseconds. The standard library loads some of these behind its back.
DEAR = {
    "argparse": 11, "ast": 6, "asyncio": 48, "concurrent": 6, "dataclasses": 13, "datetime": 2,
    "http": 31, "inspect": 11, "logging": 9, "pathlib": 6, "shutil": 8, "ssl": 9,
    "subprocess": 14, "tarfile": 15, "tempfile": 9, "threading": 2, "traceback": 7, "typing": 8,
    "urllib": 6, "uuid": 6, "zipfile": 15,
}  # fmt: skip

SOURCE = str(Path(__file__).parents[2] / "src")
PACKAGES = {"api", "build", "registry"}


def loaded(tmp_path: Path, *words: str, status: int = 0) -> set[str]:
    """Return the modules that `knarr WORDS` has loaded at its end."""
    reading, writing = os.pipe()
    program = (
        "import os, sys\n"
        f"sys.path[:0] = [{SOURCE!r}]\n"
        "from knarr.cli import main\n"
        f"status = main.run({list(words)!r})\n"
        "sys.stdout.flush()\n"
        f"os.write({writing}, ' '.join(sorted(sys.modules)).encode())\n"
        "os._exit(status)\n"
    )
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        pass_fds=[writing],
        env={**os.environ, "KNARR_ROOT": f"{tmp_path}/root", "KNARR_RUN": f"{tmp_path}/run"},
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(writing)
    with open(reading) as pipe:
        modules = set(pipe.read().split())
    assert process.returncode == status, process.stderr
    return modules


def dear(modules: set[str]) -> list[str]:
    """Return what is in `modules` and should not be."""
    return sorted({module.partition(".")[0] for module in modules} & DEAR.keys())


def rooms(modules: set[str]) -> set[str]:
    """Return the packages of knarr that `modules` are in."""
    return {name.split(".")[1] for name in modules if name.startswith("knarr.")}
