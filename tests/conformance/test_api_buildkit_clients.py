"""Docker's own clients of BuildKit against the API: the old command line, and buildx.

The docker command line before version 23 speaks to BuildKit itself; Debian's is one. buildx is
taken if it is installed as a plugin.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.actionscache import ActionsCache
from support.engine import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.serving import Served

    Build = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.root
DOCKERFILE = """FROM busybox
ARG WHO
COPY . /src
RUN --mount=type=secret,id=word wc -c </run/secrets/word; echo hello $WHO; ls /src
"""

BAKE_FILE = """
variable "TAG" { default = "latest" }
function "tag" {
  params = [name]
  result = ["${name}:${TAG}"]
}
group "default" { targets = ["app"] }
target "base" { args = { WHO = "nobody" } }
target "app" {
  inherits = ["base"]
  name = "app-${item}"
  matrix = { item = ["one", "two"] }
  tags = tag("app-${item}")
  args = { WHO = "${upper(item)} ahoy" }
}
"""


def _old() -> list[str]:
    """Return the command of an old docker command line, nothing if there is none."""
    for path in ("/usr/bin/docker", shutil.which("docker") or ""):
        if os.access(path, os.X_OK):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            if int(said.stdout.split()[2].partition(".")[0]) < 23:
                return [path, "build"]
    return []


def _new() -> list[str]:
    """Return the command of buildx, nothing if it is not a plugin here."""
    if not shutil.which("docker"):
        return []
    words = ["docker", "buildx", "version"]
    done = subprocess.run(words, capture_output=True, check=False)
    return ["docker", "buildx", "build"] if done.returncode == 0 else []


@pytest.fixture(params=["old", "buildx"])
def build(request: pytest.FixtureRequest, served: Served) -> Build:
    """Return a build command; words follow."""
    command = _old() if request.param == "old" else _new()
    if not command:
        pytest.skip(f"no docker command line with BuildKit is installed: {request.param}")
    more = {"DOCKER_BUILDKIT": "1", "DOCKER_HOST": f"unix://{served.path}"}

    def run(*words: str, stdin: str | Path = os.devnull) -> subprocess.CompletedProcess[str]:
        with open(stdin, "rb") as file:
            return subprocess.run(
                [*command, "--progress=plain", *words], stdin=file, capture_output=True, text=True,
                check=False, timeout=TIMEOUT, env=os.environ | more,
            )  # fmt: skip

    return run


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a directory to build from."""
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "file").write_text("x")
    (directory / "left-out").write_text("x")
    (directory / ".dockerignore").write_text("left-*\n")
    (tmp_path / "word").write_text("secret")
    return directory


def test_a_build_with_a_secret_and_an_argument(
    build: Build, context: Path, tmp_path: Path, served: Served
) -> None:
    words = ("--secret", f"id=word,src={tmp_path}/word", "--build-arg", "WHO=me", "-t", "one")
    done = build(*words, str(context))
    assert done.returncode == 0, done.stderr
    said = [line.split(" ", 2)[-1] for line in done.stderr.splitlines()]
    assert said.count("6") == 1
    assert "hello me" in said
    assert "left-out" not in said
    assert served.get("/images/one/json")["RepoTags"] == ["one:latest"]
    again = build(*words, str(context))
    assert again.stderr.count("CACHED") == 3, again.stderr


def test_the_cache_of_a_job_is_in_its_cache_service(
    request: pytest.FixtureRequest,
    build: Build,
    context: Path,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if request.node.callspec.params["build"] == "old":
        pytest.skip("the old docker command line knows no caches elsewhere")
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo one > /one\n")
    with ActionsCache() as cache:
        for version in (1, 2):
            scope = f"type=gha,scope=version{version}"
            token = cache.token(("refs/heads/main", 3))
            with monkeypatch.context() as job:
                for name, value in cache.environment(token, version).items():
                    job.setenv(name, value)
                first = build(
                    "--no-cache", "--cache-to", f"{scope},mode=max", "-t", "one", str(context)
                )
                assert first.returncode == 0, first.stderr
                served.knarr("rmi", "-f", "one")
                served.knarr("builder", "prune", "-af")
                again = build("--cache-from", scope, "-t", "one", str(context))
            assert "importing cache manifest from gha" in again.stderr, again.stderr
            assert again.stderr.count("CACHED") == 2, again.stderr
            assert token not in first.stderr + again.stderr + served.words()


def test_a_bake_file_is_built(context: Path, served: Served) -> None:
    if not _new():
        pytest.skip("buildx is not installed")
    (context / "Dockerfile").write_text("FROM busybox\nARG WHO\nRUN echo $WHO > /who\n")
    (context / "docker-bake.hcl").write_text(BAKE_FILE)
    words = ["docker", "buildx", "bake", "--progress=plain", "--set", "*.args.MORE=1"]
    environment = {"DOCKER_HOST": f"unix://{served.path}", "TAG": "v1"}
    done = subprocess.run(
        words, cwd=context, capture_output=True, text=True, check=False, timeout=TIMEOUT,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        run = ("run", "--rm", "--network", "none", f"app-{name}:v1", "cat", "/who")
        assert served.knarr(*run) == f"{name.upper()} ahoy\n"


def test_a_failure_shows_the_step(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo out; exit 9\n")
    done = build(str(context))
    assert done.returncode == 1
    assert "RUN echo out; exit 9" in done.stderr
    assert "did not complete successfully: exit code: 9" in done.stderr


def test_files_come_to_the_client(build: Build, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /deep/file\n")
    done = build("--output", f"type=local,dest={tmp_path}/out", str(context))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "deep" / "file").read_text() == "x"


def test_names_of_one_file_are_that_for_the_client(
    build: Build, context: Path, tmp_path: Path
) -> None:
    with tarfile.open(context / "two.tar", "w") as archive:
        archive.add(context / "file", "b/first")
        link = tarfile.TarInfo("a/second")
        link.type, link.linkname = tarfile.LNKTYPE, "b/first"
        archive.addfile(link)
    (context / "Dockerfile").write_text("FROM scratch\nADD two.tar /\n")
    done = build("--output", f"type=local,dest={tmp_path}/out", str(context))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a" / "second").read_text() == "x"
    assert (tmp_path / "out" / "a" / "second").samefile(tmp_path / "out" / "b" / "first")


@pytest.mark.parametrize("form", ["", "gz"])
def test_a_context_comes_as_an_archive(
    request: pytest.FixtureRequest, build: Build, context: Path, tmp_path: Path, form: str
) -> None:
    if request.node.callspec.params["build"] == "old":
        pytest.skip("the old docker command line uploads in a way of its own")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /it/\n")
    archive = tmp_path / "context.tar"
    # Without PAX headers: clients look into the first block alone.
    mode, style = f"w:{form}", tarfile.GNU_FORMAT
    with tarfile.open(archive, mode, format=style) as file:  # type: ignore[call-overload]
        for each in context.iterdir():
            file.add(each, each.name)
    done = build("--output", f"type=local,dest={tmp_path}/out", "-", stdin=archive)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "out" / "it")) == [".dockerignore", "Dockerfile", "file"]


def test_a_named_context_ignores_what_it_says(
    request: pytest.FixtureRequest, build: Build, context: Path, tmp_path: Path
) -> None:
    if request.node.callspec.params["build"] == "old":
        pytest.skip("the old docker command line knows no contexts with names")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY --from=other . /\n")
    other = tmp_path / "other"
    other.mkdir()
    for name, text in ((".dockerignore", "out\n"), ("in", "x"), ("out", "x")):
        (other / name).write_text(text)
    words = ("--build-context", f"other={other}", "--output", f"type=local,dest={tmp_path}/out")
    done = build(*words, str(context))
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "out")) == [".dockerignore", "in"]
