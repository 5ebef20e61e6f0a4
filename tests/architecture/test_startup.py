"""What each short-lived process loads, since what is imported is what starting costs.

A child process runs the real thing and lists `sys.modules` at its end. Times are for `benchmarks`;
here only names count, which are the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_version_loads_the_table_and_no_more(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--version")
    ours = {name for name in modules if name.startswith("knarr")}
    assert ours == {"knarr", "knarr.cli", "knarr.cli.main", "knarr.cli.table"}
    assert dear(modules) == []
    assert "json" not in modules
    assert "re" not in modules


def test_help_loads_no_command(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--help")
    assert not [name for name in modules if name.startswith("knarr.cli.commands")]
    assert rooms(modules) <= {"cli", "errors", "util"}
    assert dear(modules) == []
    assert "re" not in modules


def test_help_of_a_command_loads_that_command_alone(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "version", "--help")
    commands = {name for name in modules if name.startswith("knarr.cli.commands.")}
    assert commands == {"knarr.cli.commands.version"}
    assert dear(modules) == []


@pytest.mark.parametrize("words", [["ps"], ["images"], ["volume", "ls"]], ids=" ".join)
def test_lists_load_what_reads_the_database(tmp_path: Path, words: list[str]) -> None:
    modules = loaded(tmp_path, *words)
    assert dear(modules) == []
    assert not rooms(modules) & (PACKAGES | {"runtime", "snapshot"})
    assert "ctypes" not in modules


def test_a_supervisor_loads_what_it_needs_for_a_life(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{SOURCE!r}]\n"
        "from knarr.supervise import boot\n"
        "print(*sorted(sys.modules))\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = set(process.stdout.split())
    assert dear(modules) == []
    assert rooms(modules) <= {"errors", "linux", "runtime", "supervise", "util"}
    assert not modules & {"json", "re", "enum", "socket", "sqlite3", "collections", "functools"}
