"""The reasons on the way of a connection: what they promise of themselves, and their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knarr.engine.explaining.reach.facts import Node, Place, PublishedPort, Way
from knarr.engine.explaining.reach.reasons import ALL_REASONS, BETWEEN, ENDS, OUT, Reason, first
from knarr.engine.explaining.reach.walk import parse_target
from knarr.errors import InvalidArgument

PAGE = Path(__file__).parents[3] / "docs" / "explain.md"
ROW = re.compile(r"^\| `([\w-]+)` \| ([^|]*) \|$", re.MULTILINE)


def test_the_page_has_every_reason() -> None:
    written = ROW.findall(PAGE.read_text())
    assert written == [(reason.cause, reason.about) for reason in ALL_REASONS]


def test_every_cause_has_one_reason() -> None:
    causes = [reason.cause for reason in ALL_REASONS]
    assert len(causes) == len(set(causes))
    assert len(causes) > 30


@pytest.mark.parametrize("reason", ALL_REASONS, ids=lambda reason: reason.cause)
def test_a_reason_is_one_sentence(reason: Reason) -> None:
    assert not re.search(r"\. [A-Z]", reason.says)
    assert reason.fix == "" or reason.fix[0].isupper()


BOX = Node("box", places=(Place("one", "1"),))
WEB = Node("web", places=(Place("one", "1"),), ports=(PublishedPort(80, "tcp", "0.0.0.0", 8080),))


def cause(stage: tuple[Reason, ...], way: Way) -> str:
    found = first(stage, way)
    return found.cause if found else ""


def test_what_comes_first_on_the_way_is_said() -> None:
    gone = BOX.replace(running=False, status="exited")
    assert cause(ENDS, Way(gone, WEB.replace(running=False))) == "not-running"
    assert cause(ENDS, Way(BOX, WEB)) == ""


def test_the_host_s_port_is_told_from_the_container_s() -> None:
    way = Way(BOX, WEB.replace(listening=(("0.0.0.0", 80),)), port=8080, shared=WEB.places[0])
    assert cause(BETWEEN, way) == "host-port-inside"
    assert cause(BETWEEN, way.replace(b=WEB)) == "nothing-listens"


def test_a_name_that_may_not_be_asked_for_is_no_unknown_name() -> None:
    way = Way(BOX.replace(egress=()), host="example.org", port=80, fits=False, named="unknown")
    assert cause(OUT, way) == "egress"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("web", ("web", 0)),
        ("web:80", ("web", 80)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("[::1]", ("::1", 0)),
    ],
)
def test_targets(text: str, target: tuple[str, int]) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", [":80", "web:x", "web:0", "web:70000"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid target"):
        parse_target(text)
