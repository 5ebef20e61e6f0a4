"""What builds take from elsewhere: ADD of URLs and repositories, contexts that are not here."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from support.sources import Repository, git_server, serve_repository, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr
    from support.sources import Web

pytestmark = pytest.mark.root


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as served:
        yield served


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with git_server(tmp_path / "git") as served:
        yield served


def build(
    knarr: Knarr, tmp_path: Path, dockerfile: str, *words: str
) -> subprocess.CompletedProcess[str]:
    directory = tmp_path / "context"
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    return knarr.do("build", "-t", "made", *words, str(directory))


def made(knarr: Knarr, *words: str) -> str:
    return knarr("run", "--rm", "--network", "none", "made", *words)


def archive(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def test_add_fetches_a_file_with_its_time(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    web.files["/files/page.txt"] = b"hello\n"
    url = f"{web.url}/files/page.txt"
    text = f"FROM busybox\nADD {url} /into/\nADD --chmod=644 {url} /as\n"
    assert build(knarr, tmp_path, text).returncode == 0
    said = made(knarr, "stat", "-c", "%a %Y %n", "/into/page.txt", "/as")
    assert said == "600 1640995200 /into/page.txt\n644 1640995200 /as\n"
    assert made(knarr, "cat", "/as") == "hello\n"


def test_what_did_not_change_is_not_fetched_again(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    web.files["/page"] = b"one\n"
    text = f"FROM busybox\nADD {web.url}/page /page\nRUN cat /page\n"
    assert build(knarr, tmp_path, text).returncode == 0
    web.asked.clear()
    assert build(knarr, tmp_path, text).stderr.count("CACHED") == 4
    assert [method for method, _, _ in web.asked] == ["HEAD"]
    web.files["/page"] = b"two\n"
    again = build(knarr, tmp_path, text)
    assert again.stderr.count("CACHED") == 1
    assert made(knarr, "cat", "/page") == "two\n"


def test_archives_are_unpacked_on_demand_alone(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    web.files["/a.tgz"] = archive(inside="unpacked\n")
    url = f"{web.url}/a.tgz"
    text = f"FROM busybox\nADD {url} /kept/\nADD --unpack=true {url} /out/\n"
    assert build(knarr, tmp_path, text).returncode == 0
    assert made(knarr, "cat", "/out/inside") == "unpacked\n"
    assert made(knarr, "ls", "/kept") == "a.tgz\n"


def test_a_checksum_has_to_be_right(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    web.files["/page"] = b"hello\n"
    right = hashlib.sha256(b"hello\n").hexdigest()
    line = "FROM busybox\nADD --checksum=sha256:{} {}/page /page\n"
    assert build(knarr, tmp_path, line.format(right, web.url)).returncode == 0
    assert [method for method, _, _ in web.asked] == ["GET"], "the state is known beforehand"
    web.asked.clear()
    assert build(knarr, tmp_path, line.format(right, web.url)).returncode == 0
    assert web.asked == [], "nobody has to be asked"
    wrong = build(knarr, tmp_path, line.format("0" * 64, web.url))
    assert wrong.returncode == 1
    assert f"digest mismatch sha256:{right}: sha256:{'0' * 64}" in wrong.stderr
    short = build(knarr, tmp_path, line.format("00", web.url))
    assert "invalid checksum sha256:00" in short.stderr


def test_redirects_are_followed_without_credentials(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    with web_server() as other:
        other.files["/real"] = b"here\n"
        web.redirects["/page"] = f"{other.url.replace('127.0.0.1', 'localhost')}/real"
        host = web.url.removeprefix("http://")
        (tmp_path / "token").write_text("s3cret")
        secret = f"id=HTTP_AUTH_TOKEN_{host},src={tmp_path}/token"
        text = f"FROM busybox\nADD {web.url}/page /page\n"
        assert build(knarr, tmp_path, text, "--secret", secret).returncode == 0
        assert {said for _, _, said in web.asked} == {"Bearer s3cret"}
        assert {said for _, _, said in other.asked} == {""}
        web.redirects["/loop"] = "/loop"
        looped = build(knarr, tmp_path, f"FROM busybox\nADD {web.url}/loop /x\n")
        assert "more than 10 redirects" in looped.stderr


def test_what_cannot_be_had_is_said(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    missing = build(knarr, tmp_path, f"FROM busybox\nADD {web.url}/none /x\n")
    assert missing.returncode == 1
    assert f"invalid response status 404 from {web.url}/none" in missing.stderr
    assert ">>> ADD" in missing.stderr
    web.wanted = "Bearer right"
    web.files["/page"] = b"x"
    refused = build(knarr, tmp_path, f"FROM busybox\nADD {web.url}/page /x\n")
    assert "invalid response status 401" in refused.stderr
    assert "--secret id=HTTP_AUTH_TOKEN_" in refused.stderr
    copied = build(knarr, tmp_path, f"FROM busybox\nCOPY {web.url}/page /x\n")
    assert "source can't be a URL for COPY" in copied.stderr


def test_add_of_a_repository(knarr: Knarr, tmp_path: Path, repository: Repository) -> None:
    first = repository.commit({"top": "one\n", "docs/page": "doc\n"}, tag="v1")
    repository.commit({"top": "two\n"})
    url = repository.url
    text = (
        f"FROM busybox\nADD {url} /head\nADD {url}#v1 /tag\nADD {url}#v1:docs /docs\n"
        f"ADD {url}#{first} /commit\nADD --keep-git-dir=true {url}?branch=main /kept\n"
        f"ADD {url}?tag=v1&subdir=docs /query\n"
    )
    done = build(knarr, tmp_path, text)
    assert done.returncode == 0, done.stderr
    places = ("/head/top", "/tag/top", "/docs/page", "/commit/top", "/query/page")
    assert made(knarr, "cat", *places) == "two\none\ndoc\none\ndoc\n"
    assert made(knarr, "ls", "-A", "/head") == "docs\ntop\n"
    assert ".git\n" in made(knarr, "ls", "-A", "/kept")
    assert build(knarr, tmp_path, text).stderr.count("CACHED") == 13
    repository.commit({"top": "three\n"})
    assert build(knarr, tmp_path, f"FROM busybox\nADD {url} /head\n").returncode == 0
    assert made(knarr, "cat", "/head/top") == "three\n"


def test_servers_of_plain_files_have_submodules_too(
    knarr: Knarr, tmp_path: Path, repository: Repository, web: Web
) -> None:
    """They know nothing of histories that are cut, nor of what a ref is at."""
    commit = repository.commit({"top": "one\n"})
    words = ["update-index", "--add", "--cacheinfo", f"160000,{commit},sub"]
    subprocess.run(["git", *words], cwd=repository.work, check=True)
    (repository.work / "sub").mkdir()
    module = f'[submodule "sub"]\npath = sub\nurl = {web.url}/main.git\n'
    repository.commit({"top": "two\n", ".gitmodules": module})
    serve_repository(web, repository, "/main.git")
    done = build(knarr, tmp_path, f"FROM busybox\nADD {web.url}/main.git /x\n")
    assert done.returncode == 0, done.stderr
    assert made(knarr, "cat", "/x/top", "/x/sub/top") == "two\none\n"
    url = f"{web.url}/main.git?branch=none"
    for done in (
        build(knarr, tmp_path, f"FROM busybox\nADD {url} /x\n"),
        knarr.do("build", url),
    ):
        assert "does not contain ref refs/heads/none" in done.stderr


def test_repositories_may_hash_with_sha256(knarr: Knarr, tmp_path: Path, web: Web) -> None:
    repository = Repository(tmp_path / "other", hashes="sha256")
    commit = repository.commit({"top": "one\n", "Dockerfile": "FROM busybox\nCOPY top /\n"})
    assert len(commit) == 64
    serve_repository(web, repository, "/main.git")
    url = f"{web.url}/main.git"
    assert build(knarr, tmp_path, f"FROM busybox\nADD {url} /x\n").returncode == 0
    assert made(knarr, "cat", "/x/top") == "one\n"
    done = knarr.do("build", "-t", "made", f"{url}#main")
    assert done.returncode == 0, done.stderr


def test_repositories_that_are_not_as_asked(
    knarr: Knarr, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.commit({"top": "one\n"})
    url = repository.url
    for source, words in (
        (f"{url}#nowhere", "does not contain ref nowhere"),
        (f"{url}#main:nowhere", "has no directory nowhere"),
        (f"{url}?colour=red", "unexpected query 'colour'"),
        (f"{url}?subdir=../..", "invalid subdirectory"),
        (f"--checksum={'0' * 40} {url}", "expected checksum to match"),
    ):
        done = build(knarr, tmp_path, f"FROM busybox\nADD {source} /x\n")
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    done = build(knarr, tmp_path, f"FROM busybox\nADD --checksum={commit[:12]} {url} /x\n")
    assert done.returncode == 0, done.stderr


def test_a_repository_leads_nowhere_else(
    knarr: Knarr, tmp_path: Path, repository: Repository
) -> None:
    (repository.work / "link").symlink_to("/etc")
    (repository.work / "Dockerfile").symlink_to("/etc/hostname")
    repository.commit({"top": "one\n"})
    done = build(knarr, tmp_path, f"FROM busybox\nADD {repository.url}#main:link /x\n")
    assert "has no directory link" in done.stderr
    context = knarr.do("build", "-t", "made", repository.url)
    assert "failed to read dockerfile: open Dockerfile" in context.stderr


def test_a_context_from_a_repository(knarr: Knarr, repository: Repository) -> None:
    files = {"Dockerfile": "FROM busybox\nCOPY page /page\n", "page": "top\n"}
    below = {f"sub/{name}": text.replace("top", "below") for name, text in files.items()}
    repository.commit({**files, **below, ".dockerignore": "nothing\n"})
    knarr.do("build", "-t", "made", repository.url)
    assert made(knarr, "cat", "/page") == "top\n"
    knarr.do("build", "-t", "made", f"{repository.url}#main:sub")
    assert made(knarr, "cat", "/page") == "below\n"
    again = knarr.do("build", "-t", "made", f"{repository.url}#main:sub")
    assert again.stderr.count("CACHED") == 2


def test_a_context_from_a_url(knarr: Knarr, web: Web) -> None:
    web.files["/context.tgz"] = archive(Dockerfile="FROM busybox\nCOPY page /page\n", page="in\n")
    web.files["/Other"] = b"FROM busybox\nRUN echo text >/page\n"
    assert knarr.do("build", "-t", "made", f"{web.url}/context.tgz").returncode == 0
    assert made(knarr, "cat", "/page") == "in\n"
    assert knarr.do("build", "-t", "made", f"{web.url}/Other").returncode == 0
    assert made(knarr, "cat", "/page") == "text\n"
    assert "status 404" in knarr.fails("build", f"{web.url}/none")


def test_named_contexts(knarr: Knarr, tmp_path: Path, repository: Repository) -> None:
    repository.commit({"page": "from git\n"})
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "page").write_text("from here\n")
    (tmp_path / "local" / "hidden").write_text("not to be seen\n")
    (tmp_path / "local" / ".dockerignore").write_text("hidden\n")
    knarr("tag", "busybox", "other")
    text = (
        "FROM base AS last\nCOPY --from=local page /local\nCOPY --from=repo page /repo\n"
        "COPY --from=Local / /all/\nRUN --mount=from=local,target=/m cp /m/page /mounted\n"
    )
    contexts = {
        "local": str(tmp_path / "local"),
        "repo": repository.url,
        "base": "docker-image://other",
    }
    words = [word for name, to in contexts.items() for word in ("--build-context", f"{name}={to}")]
    done = build(knarr, tmp_path, text, *words)
    assert done.returncode == 0, done.stderr
    said = made(knarr, "cat", "/local", "/repo", "/all/page", "/mounted")
    assert said == "from here\nfrom git\nfrom here\nfrom here\n"
    assert made(knarr, "ls", "-A", "/all").split() == [".dockerignore", "page"]
    assert build(knarr, tmp_path, text, *words).stderr.count("CACHED") == 8
    (tmp_path / "local" / "page").write_text("changed\n")
    assert build(knarr, tmp_path, text, *words).returncode == 0
    assert made(knarr, "cat", "/local") == "changed\n"
    stage = "FROM scratch AS local\nFROM busybox\nCOPY --from=local page /page\n"
    assert build(knarr, tmp_path, stage, *words[:2]).returncode == 0, "before the stage"
    files = build(knarr, tmp_path, "FROM local\n", *words[:2])
    assert files.returncode == 0, files.stderr
    missing = build(knarr, tmp_path, text, "--build-context", "local=/no/such")
    assert "failed to get build context local" in missing.stderr


def test_images_of_layouts_as_bases_and_to_copy_from(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("from the layout\n")
    layout = tmp_path / "layout"
    output = ("-o", f"type=oci,tar=false,dest={layout},name=some:one")
    assert build(knarr, tmp_path, "FROM busybox\nRUN echo laid > /page\n", *output).returncode == 0
    digest = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    text = "FROM base\nCOPY --from=other page /copied\n"
    for place in (f"{layout}:one", f"{layout}@{digest}", str(layout)):
        words = ("--build-context", f"base=oci-layout://{place}")
        other = ("--build-context", f"other=oci-layout://{layout}@{digest}")
        done = build(knarr, tmp_path, text, *words, *other)
        assert done.returncode == 0, done.stderr
        assert made(knarr, "cat", "/page", "/copied") == "laid\nlaid\n"
    (tmp_path / "Dockerfile").write_text(text)
    checked = knarr.do("build", "--check", *words, *other, str(tmp_path))
    assert checked.returncode == 0, checked.stderr
    gone = ("--build-context", f"base=oci-layout://{layout}:two")
    assert "nothing with the tag two" in build(knarr, tmp_path, text, *other, *gone).stderr
    foreign = ("--build-context", f"other::linux/s390x={tmp_path}")
    assert build(knarr, tmp_path, text, *words, *foreign).returncode == 1, "it is for another one"


def test_keys_of_a_repository(
    knarr: Knarr, tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1577934245 +0000")
    first = repository.commit({"page": "first\n"})
    repository.commit({"page": "second\n"})
    url = f"{repository.url}?ref=main&commit={first}&fetch-by-commit=1&mtime=commit"
    done = build(knarr, tmp_path, f"FROM busybox\nADD {url} /repo/\n")
    assert done.returncode == 0, done.stderr
    assert made(knarr, "cat", "/repo/page") == "first\n"
    assert made(knarr, "stat", "-c", "%Y", "/repo/page") == "1577934245\n"
    for query, said in (
        ("mtime=never", "invalid value"),
        (f"commit={first[:10]}&fetch-by-commit=1", "needs the whole commit"),
        (f"ref=main&commit={first}", "expected checksum to match"),
    ):
        failed = build(knarr, tmp_path, f"FROM busybox\nADD {repository.url}?{query} /repo/\n")
        assert said in failed.stderr


STAMP = 1640995200  # what the web server of the tests says of everything


def created(knarr: Knarr) -> str:
    return knarr("image", "inspect", "-f", "{{.Created}}", "made").strip()


def test_the_context_may_say_the_time(knarr: Knarr, web: Web, repository: Repository) -> None:
    text = "FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo =$SOURCE_DATE_EPOCH= > /time\n"
    words = ("build", "-t", "made", "--build-arg", "SOURCE_DATE_EPOCH=context")
    web.files = {"/context.tgz": archive(Dockerfile=text)}
    assert knarr.do(*words, f"{web.url}/context.tgz").returncode == 0
    assert created(knarr).startswith("2022-01-01T00:00:00")
    assert made(knarr, "cat", "/time") == f"={STAMP}=\n"
    repository.commit({"Dockerfile": text})
    seconds = repository.committed()
    assert knarr.do(*words, repository.url).returncode == 0
    assert made(knarr, "cat", "/time") == f"={seconds}=\n"


def test_a_directory_says_no_time(knarr: Knarr, tmp_path: Path) -> None:
    text = "FROM scratch\nCOPY Dockerfile /\n"
    for name in ("context", "own"):
        words = ("--build-arg", f"SOURCE_DATE_EPOCH={name}", "--build-context", f"own={tmp_path}")
        assert build(knarr, tmp_path, text, *words).returncode == 0
        assert created(knarr).startswith("1980-01-01T00:00:00")


def test_a_source_may_say_the_time(
    knarr: Knarr, tmp_path: Path, web: Web, repository: Repository
) -> None:
    web.files = {"/page": b"text"}
    repository.commit({"a": "b"})
    given = ("--build-context", f"other={web.url}/page")
    text = (
        "ARG SOURCE_DATE_EPOCH={}\nFROM scratch AS src\nARG REF=main\nADD {} /x\n"
        "FROM scratch\nCOPY --from=src / /\n"
    )
    page = f"{web.url}/page"
    done = build(knarr, tmp_path, text.format("Src", page), *given)
    assert done.returncode == 0, done.stderr
    assert created(knarr).startswith("2022-01-01T00:00:00")
    done = build(knarr, tmp_path, text.format("other", f"{repository.url}#$REF"), *given)
    assert done.returncode == 0, done.stderr
    assert created(knarr).startswith("2022-01-01T00:00:00")
    done = build(knarr, tmp_path, text.format("src", f"{repository.url}#$REF"))
    assert done.returncode == 0, done.stderr
    when = datetime.fromtimestamp(repository.committed(), UTC)
    assert created(knarr).startswith(f"{when:%Y-%m-%dT%H:%M:%S}")
    done = build(knarr, tmp_path, text.format("src", "Dockerfile"))
    assert "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD" in done.stderr
    done = build(knarr, tmp_path, text.format("none", page))
    assert "invalid SOURCE_DATE_EPOCH: none" in done.stderr


def test_an_archive_is_as_old_as_its_newest_file(knarr: Knarr, web: Web) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, seconds in (("Dockerfile", STAMP - 5), ("new", STAMP - 2), ("old", 7)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = 12, seconds
            tar.addfile(entry, io.BytesIO(b"FROM scratch"))
        entry = tarfile.TarInfo("directory")
        entry.type, entry.mtime = tarfile.DIRTYPE, STAMP
        tar.addfile(entry)
    web.files, web.modified = {"/context.tgz": out.getvalue()}, ""
    words = ("--build-arg", "SOURCE_DATE_EPOCH=context", f"{web.url}/context.tgz")
    done = knarr.do("build", "-t", "made", *words)
    assert done.returncode == 0, done.stderr
    assert created(knarr).startswith("2021-12-31T23:59:58")


def test_what_ssh_says_is_what_went_wrong(
    knarr: Knarr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'ssh: no route to git.example' >&2; exit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = knarr.fails("build", "-q", "git@git.example:team/app.git")
    assert said == "knarr: failed to solve: git: ssh: no route to git.example\n"


def test_words_of_the_classic_builder_change_nothing(knarr: Knarr, tmp_path: Path) -> None:
    assert (
        build(knarr, tmp_path, "FROM busybox\n", "--compress", "--rm", "--force-rm").returncode == 0
    )
