"""Which owners on the disk are whom in a mount."""

from __future__ import annotations

import pytest

from knarr.engine.options.idmaps import LAST, owner_ranges, parse_idmap
from knarr.engine.options.values import IdRange
from knarr.errors import InvalidArgument


def lookup(ranges: list[tuple[int, int, int]], disk: int) -> int | None:
    found = [seen + disk - first for first, seen, size in ranges if first <= disk < first + size]
    assert len(found) <= 1, "two meanings"
    return found[0] if found else None


@pytest.mark.parametrize(("owner", "user"), [(1000, 0), (0, 33), (0, 0), (LAST, 0), (7, 8)])
def test_the_owner_is_the_user_and_others_are_themselves(owner: int, user: int) -> None:
    ranges = owner_ranges(owner, user, ())
    assert lookup(ranges, owner) == user
    for number in (0, 1, 5, 7, 8, 33, 999, 1000, 1001, 65534, LAST):
        if number not in (owner, user):
            assert lookup(ranges, number) == number
    if owner != user:
        assert lookup(ranges, user) is None
    assert len({seen for _, seen, _ in ranges}) == len(ranges)
    assert sum(size for _, _, size in ranges) == LAST + (1 if owner == user else 0)


def test_a_container_s_own_users_are_those_that_others_are() -> None:
    own = (IdRange(0, 300_000, 100), IdRange(100, 500_000, 50))
    ranges = owner_ranges(1000, 0, own)
    assert lookup(ranges, 1000) == 300_000
    assert lookup(ranges, 0) is None
    assert lookup(ranges, 5) == 300_005
    assert lookup(ranges, 120) == 500_020
    assert lookup(ranges, 150) is None


def test_an_owner_within_the_container_s_range_is_not_seen_twice() -> None:
    ranges = owner_ranges(10, 20, (IdRange(0, 300_000, 100),))
    assert lookup(ranges, 10) == 300_020
    assert sorted(seen for _, seen, _ in ranges) == [300_000, 300_011, 300_020, 300_021]


def test_a_mapping_in_words() -> None:
    own = (IdRange(0, 300_000, 100),)
    said = parse_idmap("uids=1000-0-1#2000-1-10;gids=@5-6-7", own, own)
    assert said == ([(1000, 0, 1), (2000, 1, 10)], [(5, 300_006, 7)])
    assert parse_idmap("", own, own) == ([], [])
    assert parse_idmap("gids=1-2-3", (), ()) == ([], [(1, 2, 3)])


@pytest.mark.parametrize(
    "text",
    ["uids", "uids=", "uids=1-2", "uids=1-2-3-4", "uids=1-2-0", "uids=-1-2-3", "x=1-2-3", ";",
     "uids=4294967295-0-1", "uids=0-4294967294-2", "uids=1-2-3;uids=4-5-6", "uids=@"],
)  # fmt: skip
def test_what_is_no_mapping(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid idmap"):
        parse_idmap(text, (), ())
