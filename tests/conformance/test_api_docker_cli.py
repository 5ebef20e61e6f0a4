"""The real docker command line works a day against knarr's API, and against dockerd beside it.

The story is in `api_story.txt`. What is different on purpose is in `DIFFERENT`, with the reason.
Where there is no dockerd, what it said on another day counts (`api_story.json`, which `--accept`
writes where there is one).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.engines import Docker, lent_engine
from support.rootfs import make_rootfs
from support.serving import lent_server

if TYPE_CHECKING:
    from support.serving import Served

pytestmark = pytest.mark.root

STORY = Path(__file__).parent / "api_story.txt"
ANSWERS = STORY.with_suffix(".json")  # of dockerd 20.10
RECORDED_WITH = "28.2"  # of the command line
DIRECTORIES: dict[str, str | bytes] = {"mnt/": "", "home/": ""}  # of the image, besides busybox's
# Command that begins like this: why it says something else here.
DIFFERENT = {
    "run --rm bb nosuch": "there is no shim and no runc whose failure would be told first",
    "run --rm bb /etc": "as before; and it says that it is a directory",
    "exec up nosuch": "127, as everywhere; Docker 20.10 says 126",
    "rm up": "the words of Docker 28",
    "run --rm --network container:nobody": "refused when it is created, not when it is started",
    "run --rm --entrypoint '[": "there is no shim and no runc whose failure would be told first",
    "run --rm --hostname 'not valid'": "no host name has blanks",
    "run --rm --dns 10.9.8.7": "the order of lines of Docker 25",
    "run --rm --cpus 1 --cpu-quota": "the options are named as they are typed",
    "run --rm --cpuset-cpus nonsense": "the reason is not told twice",
    "create --restart": "the words of Docker 28",
    "run --rm --log-opt max-size=nonsense": "refused when it is created, not when it is started",
    "run --rm --runtime nonsense": "the words of Docker 28",
    "inspect --type image": "the name is not told twice",
    "image inspect nosuch": "the name is not told twice",
    "network create --subnet nonsense": "what a parser says about it is left out",
    "inspect -f '{{with index": "an internal network has no gateway to go out by",
    "run --rm --network n1 --ip": "it says which address does not fit",
    "run --rm --pid container:nobody": "it says what the container was wanted for",
    "network disconnect -f nosuch": "it says that there is no such network",
    "exec -u nobody -w /nosuch": "127, as Docker 28 says it; and there is no shim",
    "exec -u nosuchuser": "refused when it is created, not when it is started",
    "exec -w relative": "there is no runc whose failure would be told first",
    "rename netted 'a b'": "what it was about to do is left out",
    "ps -a --filter before=nobody": "the same words as everywhere",
    "ps --filter exited=nonsense": "the filter is named, not the function that reads numbers",
    "unpause netted": "the container is named as it was asked for",
    "inspect -f '{{range .Mounts": "a label of SELinux that nobody asked for is none",
    "cp DESK/tree/a talker:/copied/sub/b/x": "it says what is no directory",
    "cp - talker": "it says where the archive ends",
    "load <": "it says where the archive ends",
    "import -": "it says where the archive ends",
    "commit -c 'RUN true'": "it says in which line",
    "save nosuch": "the tag that was looked for is named",
    "run --rm --kernel-memory": "Docker 28 asks nobody for this any more",
    "run --rm --device-read-bps /dev/nosuch": "it says what the device was wanted for",
    "run --rm --blkio-weight 5": "refused also where weights would be discarded",
    "network inspect -f '{{.EnableIPv6}}": "the gateway that was chosen is told, as Docker 28 does",
    "rmi": "every image has the digest of its manifest, which goes with the last tag",
}
# What lies on the desk, the directory `DESK` of the story.
DESK = {
    "env": "# comment\nA=of the file\nB=of the file\nHOME\n",
    "labels": "one=1\n\n# comment\ntwo\n",
    "tree/a": "first\n",
    "tree/sub/b": "second\n",
}
_NORMAL = (
    (re.compile(r"\b(sha256:)?[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:N"),
    # Docker's versions begin messages now with a capital letter, now without.
    (re.compile(r"(?<=from daemon: )\w"), lambda found: found.group().lower()),
    (re.compile(r"\b[Cc]ontainer (ID|up) is"), "container IT is"),
    # What the client logs of a copy that is refused depends on when it hears of that.
    (re.compile(r"^time=.* msg=\"Can't (add file|close tar writer).*\n", re.MULTILINE), ""),
)


class Step(NamedTuple):
    """One command of the story; `expected` is what it prints where dockerd is not asked."""

    text: str
    words: list[str]
    stdin: bytes
    kind: str
    expected: str

    @property
    def alone(self) -> bool:
        """Whether dockerd is not asked."""
        return self.kind.startswith("k")

    @property
    def fails(self) -> bool:
        """Whether a command that knarr alone is told has to fail."""
        return self.kind == "k!"


class Answer(NamedTuple):
    """What a command of the story said, without what differs each time."""

    status: int
    output: str
    errors: str


def story() -> list[Step]:
    """Return the steps of the story."""
    lines = STORY.read_text().splitlines()
    return [_step(line) for line in lines if line and not line.startswith("#")]


def _step(line: str) -> Step:
    found = re.match(r"k!? |[~%]", line)
    kind = found.group().strip() if found else ""
    text = line.removeprefix(kind).strip()
    command, _, expected = text.partition(" >") if kind.startswith("k") else (text, "", "")
    stdin = re.search(r" <([^<>]*)>$", command)
    if stdin:
        command = command[: stdin.start()]
    data = stdin.group(1).encode() if stdin else b""
    return Step(text, shlex.split(command), data, kind, expected.strip())


def furnish(desk: Path) -> Path:
    """Lay on `desk` what the story takes from there; return it."""
    for name, text in DESK.items():
        path = desk / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (desk / "tree" / "link").symlink_to("a")
    return desk


def said(desk: Path, status: int, stdout: str, stderr: str) -> Answer:
    texts = []
    for text in (stdout, stderr):
        text = text.replace(str(desk), "DESK")
        for pattern, word in _NORMAL:
            text = pattern.sub(word, text)  # a word or a function
        texts.append("\n".join(line.rstrip() for line in text.splitlines()))
    return Answer(status, texts[0], texts[1])


def tell(served: Served, desk: Path, step: Step) -> Answer:
    words = [word.replace("DESK", str(desk)) for word in step.words]
    if not step.alone and _wants_no_network(words):
        words = [words[0], "--network", "none", *words[1:]]
    done = served.docker(*words, stdin=step.stdin)
    return said(desk, done.returncode, done.stdout, done.stderr)


def ask(docker: Docker, desk: Path, step: Step) -> Answer:
    words = [word.replace("DESK", str(desk)) for word in step.words]
    if _wants_no_network(words):
        words = [words[0], "--network", "none", "--cgroup-parent", docker.parent, *words[1:]]
    done = docker.call(*words, data=step.stdin.decode())
    return said(desk, done.status, done.output, done.errors)


def _wants_no_network(words: list[str]) -> bool:
    return words[0] in ("run", "create") and "--network" not in words


def compare(step: Step, ours: Answer, theirs: Answer | None) -> str:
    """Return the reason for which the answers differ, empty if they do not."""
    if theirs is None:
        wanted = step.expected.replace("\\n", "\n")
        right = step.expected == "*" or wanted == ours.output + ours.errors
        return "" if right and (ours.status != 0) == step.fails else f"knarr {ours}"
    if step.kind == "~":
        theirs = theirs._replace(output=ours.output, errors=ours.errors)
    if step.kind == "%":
        ours, theirs = _sorted(ours), _sorted(theirs)
    if ours == theirs:
        return ""
    return f"knarr  {ours}\n  docker {theirs}"


def _sorted(answer: Answer) -> Answer:
    return answer._replace(output="\n".join(sorted(answer.output.splitlines())))


def told(directory: Path, steps: list[Step]) -> list[Answer]:
    """Tell knarr the story, and return its answers."""
    desk = furnish(directory / "desk")
    archive = directory / "image.tar"
    with tarfile.open(archive, "w") as file:
        file.add(make_rootfs(directory / "rootfs", DIRECTORIES), ".")
    with lent_server(directory) as served:
        served.docker("rmi", "busybox")
        assert served.docker("import", str(archive), "bb").returncode == 0
        return [tell(served, desk, step) for step in steps]


def asked(directory: Path, steps: list[Step]) -> list[Answer | None]:
    """Tell dockerd the story, and return its answers; none to what is for knarr alone."""
    desk = furnish(directory / "desk")
    with lent_engine(Docker, directory) as docker:
        assert isinstance(docker, Docker)
        return [None if step.alone else ask(docker, desk, step) for step in steps]


def record(steps: list[Step], answers: list[Answer | None]) -> None:
    """Write down what dockerd answered, for machines that have none."""
    pairs = zip(steps, answers, strict=True)
    lines = [json.dumps([step.text, *answer]) for step, answer in pairs if answer]
    ANSWERS.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def recorded(steps: list[Step]) -> list[Answer | None]:
    """Return what dockerd answered when it was there."""
    client = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True)
    if f" {RECORDED_WITH}." not in client.stdout:
        pytest.skip(f"dockerd is not installed, and what it says to {client.stdout} is not known")
    lines = iter(json.loads(ANSWERS.read_text()))
    answers: list[Answer | None] = []
    for step in steps:
        if step.alone:
            answers.append(None)
            continue
        text, *answer = next(lines)
        assert text == step.text, "the story is newer: --accept, where dockerd is"
        answers.append(Answer(*answer))
    return answers


def test_a_day(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not shutil.which("docker"):
        pytest.skip("the docker command line is not installed")
    steps = story()
    assert len(steps) > 500
    for name in ("knarr", "docker"):
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor() as threads:
        telling = threads.submit(told, tmp_path / "knarr", steps)
        if shutil.which("dockerd"):
            theirs = asked(tmp_path / "docker", steps)
        else:
            theirs = recorded(steps)
    if request.config.getoption("--accept"):
        record(steps, theirs)
    answers = zip(steps, telling.result(), theirs, strict=True)
    found = [(step.text, compare(step, ours, theirs)) for step, ours, theirs in answers]
    differing = [(text, why) for text, why in found if why]
    faults = [f"{text}\n  {why}" for text, why in differing if not _excuse(text)]
    assert not faults, "\n".join(faults)
    excused = {_excuse(text) for text, _ in differing}
    assert excused == set(DIFFERENT), "what is listed as different is the same"


def _excuse(text: str) -> str:
    """Return the beginning that is listed as different, empty if there is none."""
    return next((begin for begin in DIFFERENT if text.startswith(begin)), "")
