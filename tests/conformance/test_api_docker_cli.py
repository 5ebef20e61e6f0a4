"""The real docker command line works a day against knarr's API, and where dockerd is, beside it.

The story is in `api_story.txt`. What is different on purpose is in `DIFFERENT`, with the reason.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.engines import Docker, lent_engine
from support.serving import lent_server

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from support.serving import Served

pytestmark = pytest.mark.root

STORY = Path(__file__).parent / "api_story.txt"
# Command that begins like this: why it says something else here.
DIFFERENT = {
    "run --rm bb nosuch": "there is no shim and no runc whose failure would be told first",
    "run --rm bb /etc": "as before; and it says that it is a directory",
    "exec up nosuch": "127, as everywhere; Docker 20.10 says 126",
    "rm up": "the words of Docker 28",
    "run --rm --network container:nobody": "refused when it is created, not when it is started",
}
_NORMAL = (
    (re.compile(r"\b(sha256:)?[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:N"),
    # Docker's versions begin messages now with a capital letter, now without.
    (re.compile(r"(?<=from daemon: )\w"), lambda found: found.group().lower()),
    (re.compile(r"\b[Cc]ontainer (ID|up) is"), "container IT is"),
)


class Step(NamedTuple):
    """One command of the story."""

    text: str
    words: list[str]
    stdin: bytes
    kind: str
    expected: str | None


def story() -> list[Step]:
    steps = []
    for line in STORY.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        kind = line[0] if line[0] == "~" or line.startswith("k ") else ""
        text = line.removeprefix(kind).strip()
        command, _, expected = text.partition(" > ") if kind == "k" else (text, "", "")
        stdin = re.search(r" <([^<>]*)>$", command)
        if stdin:
            command = command[: stdin.start()]
        data = stdin.group(1).encode() if stdin else b""
        steps.append(Step(text, shlex.split(command), data, kind, expected or None))
    return steps


def said(status: int, stdout: str, stderr: str) -> tuple[int, str, str]:
    texts = []
    for text in (stdout, stderr):
        for pattern, word in _NORMAL:
            text = pattern.sub(word, text)  # a word or a function
        texts.append("\n".join(line.rstrip() for line in text.splitlines()))
    return status, texts[0], texts[1]


def tell(served: Served, step: Step) -> tuple[int, str, str]:
    words = step.words
    if step.kind != "k" and words[0] in ("run", "create") and "--network" not in words:
        words = [words[0], "--network", "none", *words[1:]]
    done: CompletedProcess[str] = served.docker(*words, stdin=step.stdin)
    return said(done.returncode, done.stdout, done.stderr)


def ask(docker: Docker, step: Step) -> tuple[int, str, str]:
    words = step.words
    if words[0] in ("run", "create") and "--network" not in words:
        words = [words[0], "--network", "none", "--cgroup-parent", docker.parent, *words[1:]]
    done = docker.call(*words, data=step.stdin.decode())
    return said(done.status, done.output, done.errors)


def test_a_day(tmp_path: Path) -> None:
    faults = []
    (tmp_path / "knarr").mkdir()
    (tmp_path / "d").mkdir()
    with (
        lent_engine(Docker, tmp_path / "d") as docker,
        lent_server(tmp_path / "knarr") as served,
    ):
        assert isinstance(docker, Docker)
        served.knarr.add_image("bb")
        served.docker("rmi", "busybox")
        for step in story():
            ours = tell(served, step)
            if step.kind == "k":
                if ours[0] or step.expected not in (None, "*", ours[1]):
                    faults.append(f"{step.text}\n  {ours}")
                continue
            theirs = ask(docker, step)
            if step.kind == "~":
                ours, theirs = (ours[0], "", ""), (theirs[0], "", "")
            if ours != theirs and not any(step.text.startswith(text) for text in DIFFERENT):
                faults.append(f"{step.text}\n  knarr  {ours}\n  docker {theirs}")
    assert not faults, "\n".join(faults)
