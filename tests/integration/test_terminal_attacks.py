"""What images, containers and registries name, shown to a person: letters, and never commands.

A terminal obeys what it is shown. Text that others chose must not retitle it, hide a line of a list
or type an answer, whichever command shows it. What goes into files and pipes stays as it is.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.oci.config import RunConfig
from knarr.oci.document import FrozenDict
from support.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

# Colour, title, up and erase; a second row for a table; a command of the second set; a reset.
EVIL = "evil\033[31m\033]0;mine\a\033[1A\033[2K\rforged\nrow\u009b31m\033c\u202eend"
LETTERS = r"evil\x1b[31m\x1b]0;mine\a\x1b[1A\x1b[2K\rforged"


def shown(knarr: Knarr, *words: str, status: int = 0) -> str:
    """Return what a terminal gets from a command."""
    terminal = Terminal(knarr, *words)
    seen = b""
    try:
        while data := os.read(terminal.master, 4096):
            seen += data
    except OSError:  # it has ended
        pass
    assert terminal.status() == status, seen
    return seen.decode().replace("\r\n", "\n")


def harmless(text: str) -> bool:
    return all(letter.isprintable() or letter in "\n\t" for letter in text)


@pytest.mark.parametrize(
    "words",
    [
        ("ps", "-a", "--no-trunc"),
        ("ps", "-a", "--format", "{{.Labels}}"),
        ("ps", "-a", "--format", "table {{.Names}}\t{{.Labels}}"),
        ("history", "--no-trunc", "evil"),
        ("inspect", "--format", "{{.Config.Labels}}", "mean"),
        ("inspect", "mean"),
        ("events", "--since", "1m", "--until", "0s"),
    ],
)
def test_lists_on_a_terminal(knarr: Knarr, words: tuple[str, ...]) -> None:
    knarr.add_image("evil", config=RunConfig(labels=FrozenDict({"of": EVIL}), cmd=("sh",)))
    knarr("create", "--name", "mean", "--label", f"of={EVIL}", "evil", EVIL)
    seen = shown(knarr, *words)
    assert harmless(seen), seen


def test_names_of_files_on_a_terminal(knarr: Knarr) -> None:
    knarr("run", "--name", "mean", "busybox", "touch", f"/tmp/{EVIL}")
    lines = shown(knarr, "diff", "mean").splitlines()
    assert len(lines) == 2
    assert f"A /tmp/{LETTERS}" in lines[1]
    assert f"A /tmp/{EVIL}\n" in knarr.do("diff", "mean").stdout


def test_processes_of_a_container(knarr: Knarr) -> None:
    knarr("run", "-d", "--name", "mean", "busybox", "sh", "-c", "sleep 60; :", EVIL)
    knarr("exec", "-d", "mean", "sh", "-c", "sleep 61; :", EVIL)
    seen = shown(knarr, "top", "mean")
    assert harmless(seen), seen
    assert len(seen.splitlines()) == len(knarr("top", "mean", "-o", "pid").splitlines())


def test_a_row_of_a_table_is_one_line(knarr: Knarr) -> None:
    knarr("create", "--name", "mean", "--label", f"of={EVIL}", "busybox")
    assert len(knarr("ps", "-a", "--format", "table {{.Names}}\t{{.Labels}}").splitlines()) == 2
    assert EVIL in knarr("ps", "-a", "--format", "{{.Labels}}")  # for programs, as it is


@pytest.mark.parametrize(
    "words",
    [("run", "busybox", EVIL), ("pull", EVIL), ("inspect", EVIL), ("run", "-w", "x" + EVIL, "a")],
)
def test_errors_quote_without_harm(knarr: Knarr, words: tuple[str, ...]) -> None:
    done = knarr.do(*words)
    assert done.returncode
    assert harmless(done.stderr), done.stderr


def test_output_of_a_build(knarr: Knarr, tmp_path: Path) -> None:
    """It may have colours, and nothing else."""
    script = (
        r'printf "a\033[31mred\033[0m\033]0;t\007b\033[2J\033Pq\033\134\033c\033(0\033#8\302\233"'
    )
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nRUN : \033c; {script}; echo; exit 1\n")
    done = knarr.do("build", "--progress", "plain", str(tmp_path))
    assert done.returncode == 1
    left = done.stderr.replace("\033[31m", "").replace("\033[0m", "")
    assert harmless(left), left
    assert "a\033[31mred\033[0mb\n" in done.stderr


def test_output_of_a_build_without_a_line_end(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nRUN head -c 200m /dev/zero | tr '\\0' x\nRUN true\n"
    )
    limit = 'ulimit -v 1000000; exec "$@"'
    command = knarr.command("build", "--progress", "plain", str(tmp_path))
    done = subprocess.run(["sh", "-c", limit, "sh", *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_no_text_ends_no_command(knarr: Knarr) -> None:
    """In a locale of UTF-8, which Python is strict about."""
    knarr("create", "--label", "of=a\udcffb", "busybox")
    command = knarr.command("ps", "-a", "--format", "{{.Labels}}")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"of=a\xffb\n"
