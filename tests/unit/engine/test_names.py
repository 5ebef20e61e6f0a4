"""Names for containers that got none."""

from __future__ import annotations

from knarr.engine.container.names import ADJECTIVES, SURNAMES, generate_name
from knarr.engine.options.names import check_name


def test_names_fit_and_differ() -> None:
    names = {generate_name() for _ in range(200)}
    assert len(names) > 150
    for name in names:
        check_name(name)
        adjective, _, surname = name.partition("_")
        assert adjective in ADJECTIVES
        assert surname in SURNAMES


def test_later_attempts_have_a_digit() -> None:
    assert generate_name(1)[-1].isdigit()


def test_the_lists_are_in_order_without_doubles() -> None:
    for words in (ADJECTIVES, SURNAMES):
        assert list(words) == sorted(set(words))
