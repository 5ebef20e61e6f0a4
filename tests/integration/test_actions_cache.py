"""Build caches in a cache service like GitHub's: both versions, and what may go wrong with it."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from support.actionscache import GITHUB_TOKEN, READ, REPOSITORY, WRITE, ActionsCache
from support.certificates import Authority
from support.mischief import cut_after, hang_up, refuse
from support.workshop import STAGES, two_stages, with_another

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.actionscache import Handler
    from support.engine import Knarr
    from support.workshop import Built, Workshop

    Job = Callable[..., str]

pytestmark = pytest.mark.root

STEPS = ["COPY source /source", "RUN tr a-z A-Z < /source > /made"]
MAIN, FEATURE = "refs/heads/main", "refs/heads/feature"
BLOBS = "buildkit-blob-1-"


@pytest.fixture
def cache() -> Iterator[ActionsCache]:
    with ActionsCache() as cache:
        yield cache


@pytest.fixture
def job(cache: ActionsCache, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a function that makes the test a job with a service of one version."""

    def be(version: int, *scopes: tuple[str, int]) -> str:
        for name in ("ACTIONS_CACHE_URL", "ACTIONS_RESULTS_URL", "ACTIONS_CACHE_SERVICE_V2"):
            monkeypatch.delenv(name, raising=False)
        token = cache.token(*(scopes or ((MAIN, READ | WRITE),)))
        for name, value in cache.environment(token, version).items():
            monkeypatch.setenv(name, value)
        return token

    return be


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    return two_stages(knarr, tmp_path / "context")


@pytest.fixture
def elsewhere(second: Knarr, shop: Workshop) -> Workshop:
    return with_another(second, shop)


def steps_done(built: Built) -> list[str]:
    return [name for name in built.done if name.startswith(("COPY", "RUN"))]


def good(_: Handler) -> bool:
    """Answer as is right."""
    return False


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("version", [1, 2])
def test_another_machine_builds_from_what_a_job_has_kept(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job, version: int, mode: str
) -> None:
    job(version)
    shop.build("", "--cache-to", f"type=gha,mode={mode}")
    assert len(cache.keys(BLOBS)) == {"min": 3, "max": 5}[mode]
    assert len(cache.keys("index-buildkit-1-")) == 1
    built = elsewhere.build("", "--cache-from", "type=gha")
    assert steps_done(built) == []
    assert "RUN cat /made > /copy" in built.cached
    assert elsewhere.image_id() == shop.image_id()
    assert elsewhere.read("cat /copy") == "SOME WORDS"
    # The token is for the service alone, not for where it has its bytes.
    assert not any(
        "Authorization" in one.headers for one in cache.requests if "/storage/" in one.path
    )
    used = "/_apis/" if version == 1 else "/twirp/"
    assert {one.path[: len(used)] for one in cache.requests} <= {used, "/storage/"[: len(used)]}


def test_the_service_may_speak_tls(shop: Workshop, elsewhere: Workshop, tmp_path: Path) -> None:
    with ActionsCache(authority=Authority(tmp_path / "authority")) as cache:
        where = f"type=gha,url_v2={cache.url},token={cache.token((MAIN, READ | WRITE))}"
        shop.build("", "--cache-to", where)
        assert cache.url.startswith("https://")
        assert steps_done(elsewhere.build("", "--cache-from", where)) == []


def test_a_document_says_what_its_blobs_are_as_buildkits_does(
    shop: Workshop, cache: ActionsCache, job: Job
) -> None:
    job(2)
    shop.build("", "--cache-to", "type=gha")
    shop.write("source", "other words")
    shop.build("", "--cache-to", "type=gha")
    first, second = cache.keys("index-")
    assert (first[-2:], second[-2:]) == ("#1", "#2")
    told = json.loads(cache.data("index-")[-1])
    assert {f"{BLOBS}{layer['blob']}" for layer in told["layers"]} <= set(cache.keys(BLOBS))
    for layer in told["layers"]:
        assert layer["annotations"]["mediaType"].endswith("tar+gzip")
        assert layer["annotations"]["diffID"].startswith("sha256:")
        assert layer["annotations"]["size"] > 0
    assert all("layers" in record for record in told["records"])


def test_scopes_are_caches_of_their_own(shop: Workshop, elsewhere: Workshop, job: Job) -> None:
    job(2)
    shop.build("", "--cache-to", "type=gha,scope=one")
    other = elsewhere.build("", "--cache-from", "type=gha,scope=two")
    assert "inferred 0 results" in other.output
    assert "ERROR" not in other.output, "an empty cache is none that fails"
    assert steps_done(other)[:2] == STEPS
    elsewhere.knarr("builder", "prune", "-af")
    again = elsewhere.build(
        "", "--cache-from", "type=gha,scope=two", "--cache-from", "type=gha,scope=one"
    )
    assert "RUN cat /made > /copy" in again.cached


def test_a_branch_reads_what_it_came_from_and_writes_its_own(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job
) -> None:
    job(2)
    shop.build("", "--cache-to", "type=gha,mode=max")
    job(2, (FEATURE, READ | WRITE), (MAIN, READ))
    elsewhere.write("Dockerfile", STAGES + "RUN echo more > /more\n")
    built = elsewhere.build("", "--cache-from", "type=gha", "--cache-to", "type=gha")
    assert steps_done(built) == ["RUN echo more > /more"]
    assert len(cache.keys(BLOBS, scope=MAIN)) == 5
    assert len(cache.keys(BLOBS, scope=FEATURE)) == 1, "what main has is not sent again"
    assert len(cache.keys("index-", scope=FEATURE)) == 1


@pytest.mark.parametrize(("dropped", "found"), [(False, "1 2"), (True, "2")])
def test_caches_of_mounts_go_along(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job, *, dropped: bool, found: str
) -> None:
    job(2)
    step = "RUN --mount=type=cache,target=/c,id=words echo $N >> /c/f && cp /c/f /"
    shop.write("Dockerfile", f"FROM busybox\nARG N\n{step}")
    shop.build("", "--build-arg", "N=1", "--cache-to", "type=gha,mounts=all")
    if dropped:
        cache.drop(BLOBS)
    elsewhere.build("", "--build-arg", "N=2", "--cache-from", "type=gha")
    assert elsewhere.read("cat /f").split() == found.split()


@pytest.mark.parametrize("version", [1, 2])
def test_a_large_layer_goes_in_pieces(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job, version: int
) -> None:
    job(version)
    shop.write("source", b"words " * (11 << 20))
    shop.write("Dockerfile", "FROM busybox\nCOPY source /")
    form = "compression=uncompressed,force-compression=true"
    shop.build("", "--cache-to", f"type=gha,{form}")
    pieces = cache.seen("PATCH", "/caches/") if version == 1 else cache.seen("PUT", "comp=block&")
    assert sorted(len(one.body) for one in pieces)[-2:] == [32 << 20, 32 << 20]
    assert steps_done(elsewhere.build("", "--cache-from", "type=gha")) == []
    assert elsewhere.read("wc -c < /source") == str(66 << 20)


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_refused_for_now_or_cut_is_done_again(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job, version: int
) -> None:
    job(version)
    later = refuse(429, Retry_After="0")
    reserve = "/caches" if version == 1 else "CreateCacheEntry"
    cache.on("POST", reserve, later, times=2)
    cache.on("PATCH" if version == 1 else "PUT", "", hang_up)
    cache.on("POST", reserve, refuse(503))
    shop.build("", "--cache-to", "type=gha")
    find = ("GET", "/cache?") if version == 1 else ("POST", "GetCacheEntryDownloadURL")
    cache.on(*find, later)
    for act in (cut_after(100), good, cut_after(100)):  # to who asks for the document, and a layer
        cache.on("GET", "/storage/", act)
    built = elsewhere.build("", "--cache-from", "type=gha")
    assert steps_done(built) == []
    resumed = [one for one in cache.seen("GET", "/storage/") if "Range" in one.headers]
    assert [one.headers["Range"] for one in resumed] == ["bytes=100-"]
    assert elsewhere.read("cat /copy") == "SOME WORDS"


def test_a_url_that_has_ended_is_asked_for_again(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job
) -> None:
    job(2)
    shop.write("source", os.urandom(300_000))
    shop.write("Dockerfile", "FROM busybox\nCOPY source /")
    shop.build("", "--cache-to", "type=gha")

    def end(_: Handler) -> bool:
        cache.expire()
        return False

    for act in (good, cut_after(100_000), end):  # to who asks for the document, and a layer twice
        cache.on("GET", "/storage/", act)
    assert steps_done(elsewhere.build("", "--cache-from", "type=gha")) == []
    assert len(cache.seen("GET", "/storage/")) == 4
    assert elsewhere.read("wc -c < /source") == "300000"


@pytest.mark.parametrize("some", ["all", "the last"])
def test_what_the_service_has_dropped_is_done_again(
    shop: Workshop, elsewhere: Workshop, cache: ActionsCache, job: Job, some: str
) -> None:
    job(2)
    shop.build("", "--cache-to", "type=gha,mode=max")
    result = shop.layers()[-1]
    told = json.loads(cache.data("index-")[-1])
    (last,) = [one["blob"] for one in told["layers"] if one["annotations"]["diffID"] == result]
    cache.drop(BLOBS if some == "all" else f"{BLOBS}{last}")
    built = elsewhere.build("", "--cache-from", "type=gha", "--cache-to", "type=gha,mode=max")
    assert "RUN cat /made > /copy" in built.done
    assert elsewhere.read("cat /copy") == "SOME WORDS"
    assert len(cache.keys(BLOBS)) == 5, "and given to it again"


def test_a_repository_lists_what_it_has_in_one_go(
    shop: Workshop, cache: ActionsCache, job: Job
) -> None:
    job(2)
    words = f"type=gha,mode=max,repository={REPOSITORY},ghtoken={GITHUB_TOKEN}"
    shop.build("", "--cache-to", words)
    cache.requests.clear()
    shop.build("", "--cache-to", words)
    assert len(cache.seen("GET", f"/repos/{REPOSITORY}/actions/caches")) == 1
    assert not [one for one in cache.seen("POST", "GetCache") if BLOBS.encode() in one.body]
    assert len(cache.seen("POST", "CreateCacheEntry")) == 1, "of the document"


def test_who_has_no_service_is_told_what_is_missing(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACTIONS_RUNTIME_TOKEN", "ACTIONS_CACHE_URL", "ACTIONS_RESULTS_URL"):
        monkeypatch.delenv(name, raising=False)
    for option in ("--cache-to", "--cache-from"):
        said = shop.knarr.fails("build", option, "type=gha", str(shop.directory))
        assert "ACTIONS_RUNTIME_TOKEN" in said
        assert "ACTIONS_RESULTS_URL" in said
        assert "not to run steps" in said


def test_a_job_that_may_only_read_fails_unless_it_may(
    shop: Workshop, cache: ActionsCache, job: Job
) -> None:
    job(2, (MAIN, READ))
    failed = shop.try_build("--cache-to", "type=gha")
    assert failed.status == 1
    assert "may only read" in failed.output
    assert "fork" in failed.output
    went_on = shop.build("", "--cache-to", "type=gha,ignore-error=true")
    assert "ERROR" in went_on.output
    assert cache.keys() == []


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refusal_that_lasts_is_an_error_that_ends_no_import(
    shop: Workshop, cache: ActionsCache, job: Job, status: int
) -> None:
    job(2)
    cache.on("POST", "/twirp/", refuse(status, Retry_After="0"), times=100)
    failed = shop.try_build("--cache-to", "type=gha,timeout=1s")
    assert failed.status == 1
    assert "exporting cache to gha:buildkit" in failed.output
    assert ("good while the job runs" if status != 429 else "ignore-error=true") in failed.output
    built = shop.build("", "--cache-from", "type=gha,timeout=1s")
    assert "ERROR" in built.output


def test_a_job_that_is_over_is_told_so(
    shop: Workshop, cache: ActionsCache, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(2)
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", cache.token((MAIN, 3), life=-30))
    failed = shop.try_build("--cache-to", "type=gha")
    assert "was good until" in failed.output
    assert cache.requests == []


def test_tokens_are_kept_nowhere(
    shop: Workshop, cache: ActionsCache, job: Job, tmp_path: Path
) -> None:
    tokens = [job(2), GITHUB_TOKEN]
    given = f"repository={REPOSITORY},ghtoken={GITHUB_TOKEN}"
    where = f"type=gha,{given},token={tokens[0]}"
    step = "RUN --mount=type=cache,target=/c env > /c/env; env > /env"
    shop.write("Dockerfile", f"{STAGES}{step}\n")
    words = ("--provenance=mode=max", "--explain", "--metadata-file", f"{tmp_path}/metadata")
    built = shop.build(
        "", *words, "--cache-from", where, "--cache-to", f"{where},mode=max,mounts=all"
    )
    said = [built.output, built.stdout]
    cache.on("POST", "/twirp/", refuse(403), times=100)
    said.append(shop.try_build("--no-cache", "--cache-from", where, "--cache-to", where).output)
    said.append(shop.try_build("--cache-to", f"{where},mode=most").output)
    said.append(shop.try_build("--cache-to", f"{where},no=thing").output)
    told = (("logs",), ("history", "inspect"), ("history", "ls"), ("du", "--verbose"))
    said += [shop.knarr("builder", *words) for words in told]
    said.append(shop.knarr("history", "--no-trunc", "made"))
    kept = [
        path for path in (tmp_path / "root").rglob("*") if path.is_file() and not path.is_symlink()
    ]
    held = [path.read_bytes() for path in (*kept, tmp_path / "metadata")]
    held += [text.encode() for text in said] + cache.data("")
    held += [gzip.decompress(data) for data in held if data.startswith(b"\x1f\x8b")]
    assert len(held) > 20
    for token in tokens:
        assert not [data for data in held if token.encode() in data]
