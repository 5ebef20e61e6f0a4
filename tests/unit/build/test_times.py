"""The epoch of a stage."""

from __future__ import annotations

import pytest

from knarr.build.times import OLDEST, Times, parse_timestamp
from knarr.errors import InvalidArgument


@pytest.mark.parametrize(
    ("times", "created", "epoch"),
    [
        (Times(), "2024-03-01T12:00:00Z", 1_709_294_400),
        (Times(), "2024-03-01T12:00:00.999Z", 1_709_294_400),
        (Times(), "", OLDEST),
        (Times(), "yesterday", OLDEST),
        (Times(), "1970-01-01T00:00:00Z", OLDEST),
        (Times(latest=1_600_000_000), "2024-03-01T12:00:00Z", 1_600_000_000),
        (Times(latest=1_800_000_000), "2024-03-01T12:00:00Z", 1_709_294_400),
        (parse_timestamp("77"), "2024-03-01T12:00:00Z", 77),
        (parse_timestamp("now"), "2024-03-01T12:00:00Z", None),
    ],
)
def test_epoch(times: Times, created: str, epoch: int | None) -> None:
    assert times.epoch_of(created) == epoch


@pytest.mark.parametrize("text", ["noon", "", "1.5", "2024-03-01"])
def test_other_timestamps_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid time"):
        parse_timestamp(text)
