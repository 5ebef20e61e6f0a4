"""Dockerfiles, images to build on and repositories made to do harm to who builds with them."""

from __future__ import annotations

import base64
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.sources import git_server, serve_repository, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr
    from support.sources import Repository, Web

pytestmark = pytest.mark.root

TOKEN = "hunter2"
SHOWN = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host with a file, which has to be as it was afterwards."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_text("of the host")
    yield directory
    assert os.listdir(directory) == ["secret"]
    assert (directory / "secret").read_text() == "of the host"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with git_server(tmp_path / "git") as served:
        yield served


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as served:
        yield served


@pytest.fixture
def elsewhere() -> Iterator[Web]:
    with web_server() as served:
        yield served


def build(
    knarr: Knarr, tmp_path: Path, dockerfile: str, *words: str
) -> subprocess.CompletedProcess[str]:
    directory = tmp_path / "context"
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    (directory / "page").write_text("of the context")
    return knarr.do("build", "-t", "made", *words, str(directory))


@pytest.mark.parametrize(
    "use",
    [
        "RUN --mount=type=bind,from=evil,source=/all{outside}/secret,target=/m cat /m",
        "RUN --mount=type=bind,from=evil,source=/up/secret,target=/m cat /m",
        "RUN --mount=type=bind,from=evil,source=/file,target=/m cat /m",
        "RUN --mount=type=cache,from=evil,source=/dir,target=/m cat /m/secret",
        "RUN --mount=type=bind,source=../outside/secret,target=/m cat /m",
        "RUN --mount=type=bind,source=link/secret,target=/m cat /m",
        "COPY --from=evil /all{outside}/secret /m",
        "COPY --from=evil /up/secret /m",
        "COPY --from=evil /file /m",
        "COPY --from=evil /dir/ /m/",
        "COPY link/secret /m",
        "COPY ../outside/secret /m",
        "ADD link/secret /m",
    ],
)
def test_what_is_read_is_inside(knarr: Knarr, tmp_path: Path, outside: Path, use: str) -> None:
    """Links in stages and contexts that lead to the host's files lead to nothing."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "link").symlink_to(outside)
    up = "../" * 20 + str(outside).lstrip("/")
    evil = f"RUN ln -s / /all; ln -s {up} /up; ln -s {outside}/secret /file; ln -s {outside} /dir"
    text = f"FROM busybox AS evil\n{evil}\nFROM busybox\n{use.format(outside=outside)}\n"
    done = build(knarr, tmp_path, text, "--progress", "plain")
    assert done.returncode == 1
    assert "not found" in done.stderr
    assert "of the host" not in done.stderr


def test_what_is_written_is_inside(knarr: Knarr, tmp_path: Path, outside: Path) -> None:
    text = f"""FROM busybox
        RUN ln -s {outside} /dir; ln -s {outside}/new /file; ln -s {"../" * 20}{outside} /up
        COPY page /file
        COPY page /dir/
        COPY page /up/other
        ADD page /dir/third
        COPY <<END /dir/heredoc\nx\nEND
        WORKDIR /dir/work
        RUN --mount=type=cache,id=../../../../{outside}/cache,target=/dir/cache : > /dir/cache/x
        RUN --mount=type=tmpfs,target=/dir/memory : > /dir/memory/x
        RUN --mount=type=secret,id=s,target=/dir/s grep hunter2 /dir/s
    """
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    done = build(knarr, tmp_path, text, "--secret", f"id=s,src={secret}")
    assert done.returncode == 0, done.stderr
    listed = knarr("run", "--rm", "made", "ls", f"{outside}").split()
    assert {"new", "page", "other", "third", "heredoc", "work"} <= set(listed)


@pytest.mark.parametrize("target", ["/proc/sys/kernel/core_pattern", "/link/self/x", "/../proc"])
def test_no_mount_of_a_step_covers_proc(
    knarr: Knarr, tmp_path: Path, outside: Path, target: str
) -> None:
    text = f"""FROM busybox
        RUN ln -s /proc /link
        RUN --mount=type=bind,source=page,target={target} true
    """
    done = build(knarr, tmp_path, text)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def give(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "token").write_text(TOKEN)
    return "--secret", f"id=GIT_AUTH_TOKEN,src={tmp_path}/token"


def test_tokens_are_not_shown_to_hosts_of_submodules(
    knarr: Knarr, tmp_path: Path, repository: Repository, web: Web, elsewhere: Web
) -> None:
    """Who can commit to a repository names its submodules, and does not have the token."""
    commit = repository.commit({"Dockerfile": "FROM busybox\n"})
    module = f'[submodule "sub"]\npath = sub\nurl = {elsewhere.url}/sub.git\n'
    words = ["update-index", "--add", "--cacheinfo", f"160000,{commit},sub"]
    subprocess.run(["git", *words], cwd=repository.work, check=True)
    (repository.work / "sub").mkdir()
    repository.commit({".gitmodules": module})
    serve_repository(web, repository, "/main.git")
    knarr.do("build", *give(tmp_path), f"{web.url}/main.git")
    assert f"basic {SHOWN}" in {shown for _, _, shown in web.asked}
    assert elsewhere.asked
    assert {shown for _, _, shown in elsewhere.asked} == {""}


def test_tokens_are_not_shown_where_a_repository_leads_on(
    knarr: Knarr, tmp_path: Path, repository: Repository, web: Web, elsewhere: Web
) -> None:
    repository.commit({"Dockerfile": "FROM busybox\n"})
    serve_repository(elsewhere, repository, "/main.git")
    asked = "/main.git/info/refs?service=git-upload-pack"
    web.redirects[asked] = f"{elsewhere.url}{asked}"
    done = knarr.do("build", *give(tmp_path), f"{web.url}/main.git")
    assert done.returncode == 1
    assert "credentials do not go" in done.stderr
    assert elsewhere.asked == []
    done = knarr.do("build", f"{web.url}/main.git")  # without any there is nothing to hide
    assert done.returncode == 0, done.stderr
