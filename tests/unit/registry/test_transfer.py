from __future__ import annotations

import pytest

from knarr.errors import Corrupt, Unavailable
from knarr.registry.breaks import bare, host_of
from knarr.registry.listing import next_link
from knarr.registry.transfer import Patience, Retries, join, origin, seconds_of
from knarr.registry.wire import canonical


def test_pauses_double_up_to_a_limit() -> None:
    assert list(Patience(attempts=6, first=1, longest=5).pauses()) == [1, 2, 4, 5, 5]


def test_patience_ends() -> None:
    waited: list[float] = []
    retries = Retries(Patience(attempts=3, first=1), waited.append)
    error = Unavailable("gone", hint="so?")
    retries.wait(error)
    retries.wait(error, asked=9)
    with pytest.raises(Unavailable, match="gone"):
        retries.wait(error)
    assert 0.5 <= waited[0] <= 1
    assert waited[1] == 9
    retries.progress()
    retries.wait(error)
    with pytest.raises(Unavailable):
        retries.wait(error, asked=10_000)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0), ("120", 120), (" 7 ", 7), ("soon", 0), ("-5", 0), ("9" * 400, 999_999_999),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90), ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
        ("Thu, 99 Xyz 1970", 0),
    ],
)  # fmt: skip
def test_retry_after(text: str, seconds: float) -> None:
    assert seconds_of(text, now=10.0) == seconds


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://x.test/a", "https://x.test:443/b?c", True),
        ("https://X.test/a", "https://x.test/b", True),
        ("http://x.test", "http://x.test:80/", True),
        ("https://x.test/", "http://x.test/", False),
        ("https://x.test/", "https://x.test:444/", False),
        ("https://x.test/", "https://x.test@y.test/", False),
        ("https://x.test/", "https://x.test.y.test/", False),
        ("https://[::1]/", "https://[::1]:443/", True),
        ("https://[::1]:5000/", "https://[::1]/", False),
        ("https://x.test?@y.test/", "https://x.test/", True),
    ],
)
def test_whether_two_addresses_are_one_host(one: str, other: str, *, same: bool) -> None:
    assert (origin(one) == origin(other)) == same


def test_where_a_location_leads() -> None:
    assert join("https://x.test/v2/a?b", "c?d") == "https://x.test/v2/c?d"
    assert join("https://x.test/v2/a", "//y.test/c") == "https://y.test/c"
    with pytest.raises(Corrupt):
        join("https://x.test/", "http://[::1")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://one.test\\@other.test/", "one.test"),
        ("http://one.test#@other.test/", "one.test"),
        ("http://one.test?@other.test/", "one.test"),
        ("http://other.test@one.test/", "one.test"),
        ("HTTPS://One.Test:443/x", "one.test"),
        ("http://one.test:8080", "one.test:8080"),
        ("http://[::1]:5000/x", "[::1]:5000"),
    ],
)
def test_one_reading_of_an_address(url: str, host: str) -> None:
    assert host_of(canonical(url)) == host
    assert canonical(canonical(url)) == canonical(url)


@pytest.mark.parametrize("url", ["", "x.test/a", "ftp://x.test/", "http://", "http://x:99999999/"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Corrupt):
        canonical(url)


def test_what_may_be_shown_of_an_address() -> None:
    assert bare("https://u:p@x.test:1/a/b?sig=c#d") == "https://x.test:1/a/b"
    assert bare("https://x.test?sig=c") == "https://x.test"


@pytest.mark.parametrize(
    ("lines", "target"),
    [
        ([], ""),
        (['</v2/_catalog?n=1&last=a>; rel="next"'], "/v2/_catalog?n=1&last=a"),
        (["</a>; rel=next"], "/a"),
        (['</a>; rel="prev", </b>; title="x"; rel="next"'], "/b"),
        (['</a>; rel="prev"', '</b>; rel="last next"'], "/b"),
        (["</a>"], ""),
        (["nonsense"], ""),
    ],
)
def test_the_next_page(lines: list[str], target: str) -> None:
    assert next_link(lines) == target
