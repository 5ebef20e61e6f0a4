"""The client and a registry that does not behave: cuts, limits, lies."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest

from knarr.errors import Corrupt, Failed, NotFound, PermissionDenied, Unavailable
from knarr.oci.descriptor import OCI_MANIFEST
from knarr.oci.digest import digest_of
from knarr.registry.hosts import Hosts, Place, Rule
from support.mischief import (
    cut_after,
    endless,
    hang_up,
    hang_up_unread,
    redirect,
    refuse,
    say,
    slow,
)
from support.talking import Talk, download, layer, noise, opener
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.registry.client import Repository
    from support.testregistry import Handler

DATA = noise(400_000)


@pytest.fixture
def registry() -> Iterator[TestRegistry]:
    with TestRegistry() as lent:
        lent.add_blob("a/b", DATA)
        lent.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
        yield lent


# what passes


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_refusal_is_waited_out(registry: TestRegistry, status: int) -> None:
    talk = Talk()
    registry.on("GET", "/manifests/", refuse(status), times=2)
    assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"
    first, second = talk.pauses
    assert 0.25 <= first <= 0.5 <= second <= 1.0


def test_retry_after_is_obeyed(registry: TestRegistry) -> None:
    talk = Talk()
    registry.on("GET", "/manifests/", refuse(429, Retry_After="7"))
    then = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    registry.on("GET", "/manifests/", refuse(503, Retry_After=then))
    assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"
    assert talk.pauses[0] == 7
    assert 28 <= talk.pauses[1] <= 30


def test_a_limit_for_hours_is_an_error_at_once(registry: TestRegistry) -> None:
    talk = Talk()
    words = "You have reached your pull rate limit"
    registry.on("GET", "/", refuse(429, "TOOMANYREQUESTS", words, Retry_After="3600"), times=9)
    with pytest.raises(Unavailable, match="toomanyrequests: You have reached your pull") as caught:
        talk(f"{registry.host}/a/b").manifest("v1")
    assert "logging in may help" in caught.value.hint
    assert talk.pauses == []


def test_a_cut_manifest_is_asked_for_again(registry: TestRegistry) -> None:
    talk = Talk()
    registry.on("GET", "/manifests/", cut_after(1), times=2)
    assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"
    assert len(talk.pauses) == 2


def test_errors_are_of_the_classes_that_callers_know(registry: TestRegistry) -> None:
    for act in (hang_up, refuse(503), cut_after(1)):
        registry.on("GET", "/manifests/", act, times=2)
        with pytest.raises(Unavailable) as caught:
            Talk(attempts=2)(f"{registry.host}/a/b").manifest("v1")
        assert type(caught.value) is Unavailable


def test_it_gives_up_at_last(registry: TestRegistry) -> None:
    talk = Talk(attempts=4)
    registry.on("GET", "/manifests/", refuse(503), times=99)
    with pytest.raises(Unavailable, match="service unavailable"):
        talk(f"{registry.host}/a/b").manifest("v1")
    assert len(talk.pauses) == 3
    assert len(registry.seen("GET", "/manifests/")) == 4


def test_what_is_refused_for_good_is_not_asked_again(registry: TestRegistry) -> None:
    talk = Talk()
    registry.on("GET", "/manifests/", refuse(418))
    with pytest.raises(Failed, match="unexpected status 418"):
        talk(f"{registry.host}/a/b").manifest("v1")
    assert talk.pauses == []


def test_nobody_listens() -> None:
    with TestRegistry() as registry:
        host = registry.host
    talk = Talk()
    with pytest.raises(Unavailable, match=rf"^{host}: connection refused$"):
        talk(f"{host}/a/b").manifest("v1")
    assert talk.pauses == []  # a wrong name or port is no matter of patience


def test_somebody_who_went_away_may_come_back() -> None:
    talk = Talk(attempts=4)
    with TestRegistry() as registry:
        registry.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
        repository = talk(f"{registry.host}/a/b")
        repository.manifest("v1")
    talk.wire.close()
    with pytest.raises(Unavailable, match="connection refused"):
        repository.manifest("v1")
    assert len(talk.pauses) == 3


def test_no_answer_in_time(registry: TestRegistry) -> None:
    talk = Talk(attempts=2, read_timeout=0.2)
    registry.on("GET", "/manifests/", slow(0.6))
    assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"
    registry.on("GET", "/manifests/", slow(0.6), times=2)
    with pytest.raises(Unavailable, match="no answer in time"):
        talk(f"{registry.host}/a/b").manifest("v1")


# blobs


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_goes_on_where_it_stopped(registry: TestRegistry, *, ranges: bool) -> None:
    registry.ranges = ranges
    talk = Talk()
    registry.on("GET", "/blobs/", cut_after(100_001))
    registry.on("GET", "/blobs/", hang_up)
    registry.on("GET", "/blobs/", cut_after(150_000))
    registry.on("GET", "/blobs/", refuse(503))
    assert download(talk(f"{registry.host}/a/b"), layer(DATA)) == DATA
    asked = [s.headers.get("Range") for s in registry.seen("GET", "/blobs/")]
    assert asked[:3] == [None, "bytes=100001-", "bytes=100001-"]
    assert len(asked) == 5
    assert len(talk.pauses) >= 3


def test_progress_renews_patience(registry: TestRegistry) -> None:
    """Ten cuts are more than the attempts there are, but something came each time."""
    registry.on("GET", "/blobs/", cut_after(30_000), times=10)
    talk = Talk(attempts=3)
    assert download(talk(f"{registry.host}/a/b"), layer(DATA)) == DATA
    assert len(talk.pauses) == 10


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_bytes_are_right(registry: TestRegistry, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        act = chance.choice(
            [
                hang_up,
                refuse(chance.choice((429, 500, 502, 503)), Retry_After=chance.choice(("", "3"))),
                cut_after(chance.randrange(60_000)),
                cut_after(chance.randrange(60_000)),
                say(DATA[: chance.randrange(60_000)], Content_Length="", Connection="close"),
                redirect("{path}"),
            ]
        )
        registry.on("GET", "/blobs/", act)
    registry.ranges = chance.random() < 0.7
    repository = Talk(attempts=40)(f"{registry.host}/a/b")
    repository.manifest("v1")
    assert download(repository, layer(DATA), piece=chance.randrange(1, 50_000)) == DATA


def test_a_download_that_never_gets_further(registry: TestRegistry) -> None:
    registry.on("GET", "/blobs/", cut_after(1000))
    registry.on("GET", "/blobs/", cut_after(0), times=99)
    talk = Talk(attempts=3)
    with pytest.raises(Unavailable, match="the connection ended early"):
        download(talk(f"{registry.host}/a/b"), layer(DATA))


def test_other_bytes_under_the_digest(registry: TestRegistry) -> None:
    registry.blobs["a/b", digest_of(DATA)] = DATA[:-1] + b"\0"
    with pytest.raises(Corrupt, match="is what was promised"):
        download(Talk()(f"{registry.host}/a/b"), layer(DATA))


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, 10 * len(DATA)])
def test_another_size_is_noticed_before_anything_is_read(registry: TestRegistry, size: int) -> None:
    with pytest.raises(Corrupt, match=rf"has {len(DATA)} bytes at .*, not the promised {size}"):
        Talk()(f"{registry.host}/a/b").blob(layer(DATA, size=size))


def test_a_body_without_end(registry: TestRegistry) -> None:
    registry.on("GET", "/blobs/", endless())
    with pytest.raises(Corrupt, match="longer than the promised"):
        download(Talk()(f"{registry.host}/a/b"), layer(DATA), piece=100_000)


def test_a_body_without_a_length_that_is_cut(registry: TestRegistry) -> None:
    registry.on("GET", "/blobs/", say(DATA[:1000], Content_Length="", Connection="close"))
    assert download(Talk()(f"{registry.host}/a/b"), layer(DATA)) == DATA


def test_another_part_than_was_asked_for(registry: TestRegistry) -> None:
    registry.on("GET", "/blobs/", say(DATA[:-5], 206, Content_Range=f"bytes 0-399994/{len(DATA)}"))
    with pytest.raises(Corrupt, match=r"from 5 on of .*, got others"):
        Talk()(f"{registry.host}/a/b").blob(layer(DATA), 5)


# mirrors


@pytest.fixture
def mirror() -> Iterator[TestRegistry]:
    with TestRegistry() as lent:
        lent.add_blob("hub/b", DATA)
        lent.add_manifest("hub/b", "v1", b"{}", OCI_MANIFEST)
        yield lent


def mirrored(registry: TestRegistry, mirror: TestRegistry) -> Repository:
    place = Place(f"{registry.host}/a")
    rule = Rule(f"{registry.host}/a", place, (Place(f"{mirror.host}/hub"),))
    return Talk(Hosts((rule,)), attempts=2)(f"{registry.host}/a/b")


def test_a_mirror_is_enough(registry: TestRegistry, mirror: TestRegistry) -> None:
    repository = mirrored(registry, mirror)
    assert repository.manifest("v1").raw == b"{}"
    assert download(repository, layer(DATA)) == DATA
    assert registry.requests == []


def test_a_mirror_that_breaks_off_is_replaced(registry: TestRegistry, mirror: TestRegistry) -> None:
    mirror.on("GET", "/blobs/", cut_after(100_000))
    mirror.on("GET", "/blobs/", refuse(503), times=9)
    repository = mirrored(registry, mirror)
    assert download(repository, layer(DATA)) == DATA
    (rest,) = registry.seen("GET", "/blobs/")
    assert rest.headers["Range"] == "bytes=100000-"
    asked = len(mirror.requests)
    assert download(repository, layer(DATA)) == DATA
    assert len(mirror.requests) == asked


@pytest.mark.parametrize(
    "act", [refuse(404), refuse(403), refuse(500), hang_up, say(b"other"), say(bytes(5 << 20))]
)
def test_a_mirror_that_has_it_not_or_wrong(
    registry: TestRegistry, mirror: TestRegistry, act: object
) -> None:
    mirror.on("GET", "/v2/hub", act, times=99)  # type: ignore[arg-type]
    repository = mirrored(registry, mirror)
    assert repository.manifest(digest_of(b"{}")).raw == b"{}"
    assert download(repository, layer(DATA)) == DATA


def test_pushes_go_past_the_mirror(registry: TestRegistry, mirror: TestRegistry) -> None:
    repository = mirrored(registry, mirror)
    repository.upload_blob(layer(b"new"), opener(b"new"))
    repository.put_manifest("v2", b"{}", OCI_MANIFEST)
    assert ("a/b", "v2") in registry.manifests
    assert mirror.requests == []


# documents


def test_a_manifest_with_other_bytes(registry: TestRegistry) -> None:
    repository = Talk()(f"{registry.host}/a/b")
    registry.on("GET", "/manifests/", say(b"{ }"))
    with pytest.raises(
        Corrupt, match=r"^manifest sha256:\w+ is what was promised, sha256:\w+ came"
    ):
        repository.manifest(digest_of(b"{}"))
    registry.on("GET", "/manifests/", say(b"{ }", Docker_Content_Digest=str(digest_of(b"{}"))))
    with pytest.raises(Corrupt, match="is what was promised"):
        repository.manifest("v1")
    registry.on("GET", "/manifests/", say(b"{}", Docker_Content_Digest="sha256:../../etc"))
    with pytest.raises(Corrupt, match="invalid digest"):
        repository.manifest("v1")


@pytest.mark.parametrize("act", [say(bytes((4 << 20) + 1)), endless()])
def test_a_huge_manifest(registry: TestRegistry, act: object) -> None:
    registry.on("GET", "/manifests/", act)  # type: ignore[arg-type]
    with pytest.raises(Corrupt, match="more than 4194304 bytes"):
        Talk()(f"{registry.host}/a/b").manifest("v1")


def test_headers_without_end(registry: TestRegistry) -> None:
    registry.on(
        "GET", "/manifests/", say(b"{}", 200, **{f"X{n}": "y" for n in range(200)}), times=9
    )
    with pytest.raises(Unavailable):
        Talk(attempts=2)(f"{registry.host}/a/b").manifest("v1")
    registry.on("GET", "/manifests/", say(b"{}", X="y" * 100_000), times=9)
    with pytest.raises(Unavailable):
        Talk(attempts=2)(f"{registry.host}/a/b").manifest("v1")


def test_words_of_a_registry_are_one_harmless_line(registry: TestRegistry) -> None:
    words = "\x1b]0;title\x07\x1b[31mgone\r\n\u202esdrow" + "x" * 5000
    registry.on("GET", "/manifests/", refuse(404, "MANIFEST_UNKNOWN", words))
    with pytest.raises(NotFound) as caught:
        Talk()(f"{registry.host}/a/b").manifest("v1")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    registry.on("GET", "/manifests/", say(json.dumps({"errors": 7}).encode(), 500), times=9)
    with pytest.raises(Unavailable, match="internal server error"):
        Talk(attempts=2)(f"{registry.host}/a/b").manifest("v1")


# redirects


def test_blobs_from_another_host(registry: TestRegistry) -> None:
    with TestRegistry() as storage:
        storage.add_blob("a/b", DATA)
        registry.on("GET", "/blobs/", redirect(storage.url + "{path}?X-Signature=s3cr3t"), times=9)
        storage.on("GET", "/blobs/", cut_after(1000))
        assert download(Talk()(f"{registry.host}/a/b"), layer(DATA)) == DATA
        # After the cut the registry is asked anew: what it sends to may be valid for minutes only.
        assert len(registry.seen("GET", "/blobs/")) == 2
        assert storage.seen("GET", "/blobs/")[1].headers["Range"] == "bytes=1000-"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect(registry: TestRegistry, status: int) -> None:
    registry.on("GET", "/manifests/v0", redirect("v1", status))
    assert Talk()(f"{registry.host}/a/b").manifest("v0").raw == b"{}"


def test_redirects_in_a_circle(registry: TestRegistry) -> None:
    registry.on("GET", "/manifests/", redirect("v1"), times=99)
    with pytest.raises(Corrupt, match="more than 10 redirects"):
        Talk()(f"{registry.host}/a/b").manifest("v1")
    assert len(registry.seen("GET", "/manifests/")) == 11


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x.test/y", "http://[::1"])
def test_redirects_to_what_is_not_http(registry: TestRegistry, url: str) -> None:
    registry.on("GET", "/manifests/", redirect(url))
    with pytest.raises(Corrupt):
        Talk()(f"{registry.host}/a/b").manifest("v1")


def test_nothing_of_a_presigned_address_is_shown(registry: TestRegistry) -> None:
    with TestRegistry() as storage:
        registry.on("GET", "/blobs/", redirect(storage.url + "{path}?X-Signature=s3cr3t"), times=9)
        storage.on("GET", "/blobs/", refuse(403), times=9)
        with pytest.raises((PermissionDenied, Failed, Exception)) as caught:
            download(Talk()(f"{registry.host}/a/b"), layer(DATA))
        assert "s3cr3t" not in repr(caught.value) + str(caught.value.__cause__)
    with pytest.raises(Unavailable) as failed:  # and now nobody listens there
        download(Talk(attempts=2)(f"{registry.host}/a/b"), layer(DATA))
    assert "s3cr3t" not in repr(failed.value) + repr(failed.value.__cause__)


# uploads


def test_a_cut_upload_is_gone_on_with(registry: TestRegistry) -> None:
    told = list[int]()
    registry.blobs.clear()
    registry.on("PUT", "/uploads/", hang_up_unread)
    repository = Talk()(f"{registry.host}/a/b")
    repository.upload_blob(layer(DATA), opener(DATA), told.append)
    assert registry.blobs["a/b", digest_of(DATA)] == DATA
    assert told[-1] == len(DATA)


def test_what_arrived_is_not_sent_again(registry: TestRegistry) -> None:
    registry.blobs.clear()

    def keep_half(handler: object) -> bool:
        """Take half of what comes, as a registry does that is cut from us."""
        upload = handler.path.partition("?")[0].rpartition("/")[2]  # type: ignore[attr-defined]
        registry.uploads[upload] += handler.rfile.read(150_000)  # type: ignore[attr-defined]
        return hang_up(handler)  # type: ignore[arg-type]

    keep_half.unread = True  # type: ignore[attr-defined]
    registry.on("PUT", "/uploads/", keep_half)
    Talk()(f"{registry.host}/a/b").upload_blob(layer(DATA), opener(DATA))
    assert registry.blobs["a/b", digest_of(DATA)] == DATA
    (rest,) = registry.seen("PATCH", "/uploads/")
    assert rest.headers["Content-Range"] == f"150000-{len(DATA) - 1}"
    assert rest.body == DATA[150_000:]


def test_a_forgotten_upload_is_begun_anew(registry: TestRegistry) -> None:
    registry.blobs.clear()

    def forget(handler: object) -> bool:
        registry.uploads.clear()
        return hang_up(handler)  # type: ignore[arg-type]

    registry.on("PUT", "/uploads/", forget)
    Talk()(f"{registry.host}/a/b").upload_blob(layer(DATA), opener(DATA))
    assert registry.blobs["a/b", digest_of(DATA)] == DATA
    assert len(registry.seen("POST", "/uploads/")) == 2


def test_a_registry_that_forgets_for_ever(
    registry: TestRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces arrive each time, but never all of them."""
    monkeypatch.setattr("knarr.registry.upload.PIECE", 100_000)
    registry.on("PUT", "/uploads/", hang_up)

    def forget(handler: Handler) -> bool:
        if handler.headers["content-range"].startswith("0-"):
            return False
        registry.uploads.clear()
        return hang_up(handler)

    registry.on("PATCH", "/uploads/", forget, times=1000)
    with pytest.raises(Unavailable, match="closed without an answer"):
        Talk(attempts=3)(f"{registry.host}/a/b").upload_blob(layer(DATA), opener(DATA))
    assert len(registry.seen("PATCH", "/uploads/")) < 10


def test_an_empty_blob_on_a_bad_line(registry: TestRegistry) -> None:
    registry.on("PUT", "/uploads/", hang_up)
    Talk()(f"{registry.host}/a/b").upload_blob(layer(b""), opener(b""))
    assert registry.blobs["a/b", digest_of(b"")] == b""


def test_too_large_for_one_request(registry: TestRegistry) -> None:
    registry.blobs.clear()
    registry.chunk_min = "1000"
    registry.on("PUT", "/uploads/", refuse(413))
    Talk()(f"{registry.host}/a/b").upload_blob(layer(DATA), opener(DATA))
    assert registry.blobs["a/b", digest_of(DATA)] == DATA
    assert registry.seen("PATCH", "/uploads/")


def test_a_piece_has_the_length_that_is_wanted(
    registry: TestRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.blobs.clear()
    monkeypatch.setattr("knarr.registry.upload.PIECE", 50_000)
    registry.chunk_min = "150000"
    registry.on("PUT", "/uploads/", refuse(503))
    Talk()(f"{registry.host}/a/b").upload_blob(layer(DATA), opener(DATA))
    assert [len(s.body) for s in registry.seen("PATCH", "/uploads/")] == [150_000, 150_000, 100_000]
    assert registry.blobs["a/b", digest_of(DATA)] == DATA


def test_the_registry_got_other_bytes(registry: TestRegistry) -> None:
    with pytest.raises(Corrupt, match="got other bytes than those of"):
        Talk()(f"{registry.host}/a/b").upload_blob(layer(DATA), opener(DATA[:-1] + b"\0"))


def test_a_manifest_kept_as_another(registry: TestRegistry) -> None:
    other = str(digest_of(b"other"))
    registry.on("PUT", "/manifests/", say(b"", 201, Docker_Content_Digest=other))
    with pytest.raises(Corrupt, match="keeps the manifest as"):
        Talk()(f"{registry.host}/a/b").put_manifest("v1", b"{}", OCI_MANIFEST)
