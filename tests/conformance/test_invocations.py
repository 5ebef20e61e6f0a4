"""Command lines, most of them wrong, and what comes of them: statuses and words that scripts know.

`invocations.txt` has a line for each, of three columns:

    125 | run --rm -m 5m bb true | minimum memory limit allowed is 6MB
    125/127 | run --rm --device /dev/nosuch bb true | error gathering device information
    127/? | exec up nosuch | executable file not found in $PATH

The status, behind a slash Docker's if that is another one on purpose (docs/compatibility.md,
"Statuses and words"), or `?` if its versions differ; the command line; a part of what is said on
standard error, or behind `>` the whole standard output. Without words only the status counts: they
are our own. Where Docker is installed, it is asked too. `@F` is a directory of files that command
lines name.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from knarr.oci.config import RunConfig
from support.engine import lent_engine as lent_knarr
from support.engines import Docker, lent_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.root

TABLE = Path(__file__).parent / "invocations.txt"
PARTS = 4
FILES: dict[str, bytes] = {
    "env1": b'A=1\n# c\n  B= two \nC\nHOME\nD="q"\n\n E=x=y\nF=\\n\n\n',
    "env_ws": b"A B=1\n",
    "env_ws2": b" A =1\n",
    "env_tab": b"A\t=1\n",
    "env_noname": b"=x\n",
    "env_bin": b"A=\xff\n",
    "lab1": b"l1=v1\nl2\n# c\n l3 = x\n",
    "lab_noname": b"=v\n",
    "lab_ws": b"a b=c\n",
    "sec.json": b'{"defaultAction":"SCMP_ACT_ALLOW"}',
    "sec_bad.json": b"{",
    "cid_there": b"x\n",
    "plain": b"hello\n",
    "dir/f": b"",
}
# Containers that command lines name.
CONTAINERS = (
    ("run", "-d", "--name", "up", "--ipc", "shareable", "bb", "sleep", "100000"),
    ("run", "--name", "down", "bb", "true"),
    ("run", "-d", "--name", "paused", "bb", "sleep", "100000"),
    ("pause", "paused"),
    ("run", "--name", "vol1", "-v", "/vol1", "bb", "sh", "-c", "echo hi > /vol1/f"),
    ("create", "--name", "badcmd", "bb", "nosuch"),
    ("create", "--name", "exit3", "bb", "sh", "-c", "exit 3"),
)
Call = tuple[int, str, str]


class Line(NamedTuple):
    """One line of the table."""

    status: int
    dockers: str
    command: str
    words: str

    def differs(self, found: Call, *, docker: bool) -> bool:
        """Tell whether that is not what should come of it."""
        status, output, errors = found
        if docker and self.dockers:
            return self.dockers not in ("?", str(status))
        if status != self.status:
            return True
        if self.words.startswith(">"):
            return output.strip() != self.words[1:].strip().replace("\\n", "\n")
        words = self.words.replace("knarr", "docker") if docker else self.words
        return words.lower() not in errors.lower()


def lines() -> list[Line]:
    found = []
    for text in TABLE.read_text().splitlines():
        if text and not text.startswith("#"):
            status, command, words = (cell.strip() for cell in f"{text} ".split(" | "))
            ours, _, dockers = status.partition("/")
            found.append(Line(int(ours), dockers, command, words))
    return found


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("files")
    for name, content in FILES.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return str(directory)


def wrong(part: list[Line], call: Callable[..., Call], files: str, *, docker: bool) -> list[str]:
    """Return what came of those lines of which something else should have."""
    for setup in CONTAINERS:
        status, _, errors = call(*setup)
        assert status == 0, (setup, errors)
    found = []
    for row in part:
        line = row._replace(words=row.words.replace("@F", files))
        words = shlex.split(line.command.replace("@F", files))
        outcome = call(*words)
        if line.differs(outcome, docker=docker):
            found.append(f"{line.command}\n    {line}\n    {outcome}")
        if words[0] == "create" and outcome[0] == 0:
            call("rm", "-f", outcome[1].strip())
    return found


def test_the_table_is_well_formed() -> None:
    assert len(lines()) > 300
    assert len({line.command for line in lines()}) == len(lines())


@pytest.mark.parametrize("part", range(PARTS))
def test_what_comes_of_it(tmp_path: Path, files: str, part: int) -> None:
    with lent_knarr(tmp_path) as knarr:
        knarr.add_image("bb", config=RunConfig())

        def call(*words: str) -> Call:
            done = subprocess.run(
                knarr.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", check=False, timeout=60, cwd=files,
            )  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        found = wrong(lines()[part::PARTS], call, files, docker=False)
    assert not found, "\n".join(found)


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    with lent_engine(Docker, tmp_path) as engine:
        assert isinstance(engine, Docker)
        yield engine
        names = engine.must("ps", "-aq").split()
        engine.call("rm", "-f", *names)


def test_docker_does_so_too(docker: Docker, files: str) -> None:
    def call(*words: str) -> Call:
        done = docker.call(*words)
        return done.status, done.output, done.errors

    version = docker.must("version", "--format", "{{.Client.Version}}")
    if int(version.partition(".")[0]) < 28:
        pytest.skip(f"the command line of Docker is {version.strip()}; the table is of 28")
    found = wrong(lines(), call, files, docker=True)
    assert not found, "\n".join(found)
