"""When a container is healthy: Docker's rules of streaks and start periods; what a probe asks."""

from __future__ import annotations

import pytest

from knarr.supervise.health.monitor import Verdict
from knarr.supervise.health.probes import KEPT, Output, Target, is_good
from knarr.supervise.messages import Health


def verdict(**fields: float) -> Verdict:
    return Verdict(Health(("CMD", "true"), retries=2, **fields))  # type: ignore[arg-type]


def test_one_success_is_health() -> None:
    one = verdict()
    assert one.status == "starting"
    assert one.judge(0, age=1)
    assert one.status == "healthy"
    assert not one.judge(0, age=2)


def test_failures_in_a_row_count() -> None:
    one = verdict()
    assert not one.judge(1, age=1)
    one.judge(0, age=2)
    assert not one.judge(1, age=3)
    assert (one.status, one.streak) == ("healthy", 1)
    assert one.judge(-1, age=4)
    assert (one.status, one.streak) == ("unhealthy", 2)
    assert one.judge(0, age=5)
    assert (one.status, one.streak) == ("healthy", 0)


def test_failures_of_a_container_that_starts_do_not_count() -> None:
    one = verdict(start_period=10)
    for age in range(10):
        assert not one.judge(1, age=age)
    assert (one.status, one.streak) == ("starting", 0)
    one.judge(1, age=10)
    assert one.streak == 1


def test_the_start_period_is_over_with_the_first_success() -> None:
    one = verdict(start_period=10)
    one.judge(0, age=1)
    one.judge(1, age=2)
    assert one.judge(1, age=3)
    assert one.status == "unhealthy"


def test_the_pause_is_short_while_it_starts() -> None:
    one = verdict(start_period=10, start_interval=1, interval=30)
    assert one.pause(age=5) == 1
    assert one.pause(age=10) == 30
    one.judge(0, age=5)
    assert one.pause(age=6) == 30


def test_without_a_start_period_the_start_interval_is_not_used() -> None:
    assert verdict(start_interval=1, interval=30).pause(age=0) == 30


def test_output_is_cut() -> None:
    output = Output()
    output.write(1, b"a" * (KEPT - 1))
    assert output.text == "a" * (KEPT - 1)
    output.write(2, b"bc")
    assert output.text == "a" * (KEPT - 1) + "b..."


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("HTTP/1.1 200 OK", True),
        ("HTTP/1.0 301 Moved Permanently", True),
        ("HTTP/1.1 399", True),
        ("HTTP/1.1 400 Bad Request", False),
        ("HTTP/1.1 199 Odd", False),
        ("SSH-2.0-OpenSSH 200", False),
        ("HTTP/1.1", False),
        ("", False),
    ],
)
def test_good_answers(line: str, good: bool) -> None:
    assert is_good(line) == good


@pytest.mark.parametrize(
    ("test", "addresses", "port", "place"),
    [
        (("TCP", "80"), ("127.0.0.1", "::1"), 80, "localhost:80"),
        (("TCP", "10.0.0.1:81"), ("10.0.0.1",), 81, "10.0.0.1:81"),
        (("HTTP", "http://:8080/a/b?c"), ("127.0.0.1", "::1"), 8080, "localhost:8080/a/b?c"),
        (("HTTP", "http://[::1]:8080/"), ("::1",), 8080, "[::1]:8080/"),
    ],
)
def test_targets(test: tuple[str, ...], addresses: tuple[str, ...], port: int, place: str) -> None:
    target = Target(test)
    assert (target.addresses, target.port, target.place) == (addresses, port, place)
