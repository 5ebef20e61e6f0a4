"""Which lines an image takes in a list."""

from __future__ import annotations

import pytest

from knarr.cli.commands.images import created_since, names_of
from knarr.engine.images import Image
from knarr.oci.descriptor import host_platform
from knarr.oci.digest import digest_of
from knarr.oci.reference import parse_reference
from knarr.store.images import ImageRow

ID = digest_of(b"")
ROW = ImageRow(ID, None, "", 1, 2, 3, host_platform())
NONE = "<none>"


@pytest.mark.parametrize(
    ("references", "plain", "with_digests"),
    [
        ([], [(NONE, NONE, NONE)], [(NONE, NONE, NONE)]),
        (["a:1", "b:2"], [("a", "1", NONE), ("b", "2", NONE)], None),
        ([f"a@{ID}"], [("a", NONE, NONE)], [("a", NONE, ID)]),
        (["a:1", f"a@{ID}"], [("a", "1", NONE)], [("a", "1", ID)]),
        (
            ["a:1", f"b@{ID}"],
            [("a", "1", NONE), ("b", NONE, NONE)],
            [("a", "1", NONE), ("b", NONE, ID)],
        ),
    ],
)
def test_lines(
    references: list[str],
    plain: list[tuple[str, str, str]],
    with_digests: list[tuple[str, str, str]] | None,
) -> None:
    parsed = [parse_reference(text) for text in references]
    image = Image(
        ROW,
        tuple(r for r in parsed if r.tag),
        tuple(r for r in parsed if r.digest),
    )
    assert list(names_of(image, digests=False)) == plain
    assert list(names_of(image, digests=True)) == (with_digests or plain)
    assert image.dangling == (not any(r.tag for r in parsed))


def test_an_unknown_time_is_not_half_a_century_ago() -> None:
    assert created_since(0, 10**18) == "N/A"
    assert created_since(10**18, 10**18 + 3 * 3600 * 10**9) == "3 hours ago"
