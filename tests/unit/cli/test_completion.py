"""What bash offers, asked of bash itself; the other shells' scripts at least parse."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.cli import completion

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
knarr() { case "$*" in
    'ps --all '*) echo web db ;;
    'ps --format '*) echo web ;;
    images*dangling=false*) echo debian:bookworm debian:sid busybox:latest ;;
esac }
source "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2)) COMP_LINE="${*:2}"
COMP_LINE=${COMP_LINE// : /:} COMP_LINE=${COMP_LINE// = /=} COMP_POINT=${#COMP_LINE}
_knarr
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "knarr.bash"
    path.write_text(completion.script("bash"))
    return path


def offers(script: Path, *words: str) -> list[str]:
    """Return what bash offers with the cursor behind the last of `words`."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    command = ["bash", "--norc", "-c", ASK, "bash", str(script), *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    return answer.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["knarr", "im"], ["image", "images", "import"]),
        (["knarr", "container", "re"], ["remove", "rename", "restart"]),
        (["knarr", "--root", "/x", "imag"], ["image", "images"]),
        (["knarr", "rm", ""], ["web", "db"]),
        (["knarr", "container", "rm", "d"], ["db"]),
        (["knarr", "rm", "web", "d"], ["db"]),
        (["knarr", "stop", ""], ["web"]),
        (["knarr", "run", "bus"], ["busybox:latest"]),
        (["knarr", "run", "--detac"], ["--detach", "--detach-keys"]),
        (["knarr", "--ro"], ["--root"]),
        (["knarr", "completion", ""], ["bash", "fish", "zsh"]),
    ],
    ids="-".join,
)
def test_bash(script: Path, words: list[str], expected: list[str]) -> None:
    assert sorted(offers(script, *words)) == sorted(expected)


def test_bash_cuts_words_at_colons(script: Path) -> None:
    assert offers(script, "knarr", "run", "debian", ":", "b") == ["bookworm"]


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_scripts_parse(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    text = completion.script(shell)
    subprocess.run([program, "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_command_and_option_is_in(shell: str) -> None:
    text = completion.script(shell)
    for word in ("container", "unpause", "no-trunc", "publish", "entrypoint"):
        assert word in text
