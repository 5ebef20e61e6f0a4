"""The table of restart policies and the back-off."""

from __future__ import annotations

import pytest

from knarr.supervise.messages import RestartPolicy
from knarr.supervise.restarts import Restarts

RULES = [
    # policy, exit code, wanted, again
    ("no", 0, False, False),
    ("no", 1, False, False),
    ("on-failure", 0, False, False),
    ("on-failure", 1, False, True),
    ("on-failure", 1, True, False),
    ("unless-stopped", 0, False, True),
    ("unless-stopped", 1, False, True),
    ("unless-stopped", 0, True, False),
    ("always", 0, False, True),
    ("always", 1, False, True),
    ("always", 137, True, False),
]


@pytest.mark.parametrize(("name", "code", "wanted", "again"), RULES)
def test_rules(name: str, code: int, wanted: bool, again: bool) -> None:
    restarts = Restarts(RestartPolicy(name))
    assert (restarts.decide(code, ran=0.1, wanted=wanted) is not None) == again
    assert restarts.count == again


def test_the_delay_doubles_up_to_a_minute() -> None:
    restarts = Restarts(RestartPolicy("always"))
    delays = [restarts.decide(1, ran=0.1, wanted=False) for _ in range(12)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]


def test_a_long_run_resets_the_delay_but_not_the_count() -> None:
    restarts = Restarts(RestartPolicy("on-failure", maximum_retries=3))
    assert restarts.decide(1, ran=0.1, wanted=False) == 0.1
    assert restarts.decide(1, ran=0.1, wanted=False) == 0.2
    assert restarts.decide(1, ran=10.0, wanted=False) == 0.1
    assert restarts.decide(1, ran=10.0, wanted=False) is None


def test_retries_are_counted_over_supervisors() -> None:
    restarts = Restarts(RestartPolicy("on-failure", maximum_retries=3), count=2)
    assert restarts.decide(1, ran=0.1, wanted=False) is not None
    assert restarts.decide(1, ran=0.1, wanted=False) is None


def test_delays_can_be_tuned() -> None:
    policy = RestartPolicy("always", minimum_delay=1.0, maximum_delay=3.0, reset_after=5.0)
    restarts = Restarts(policy)
    assert [restarts.decide(1, ran=1, wanted=False) for _ in range(3)] == [1.0, 2.0, 3.0]
    assert restarts.decide(1, ran=5, wanted=False) == 1.0
