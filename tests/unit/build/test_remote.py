"""Sources of a Dockerfile that are not in the context."""

from __future__ import annotations

import pytest

from knarr.build.remote import parse_url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/file.tar?x=/y", "file.tar"),
        ("https://example.org/a/b/", "b"),
        ("https://example.org/a%20b%2Fc", "c"),
        ("https://example.org/a%20b", "a b"),
        ("https://example.org/", "__unnamed__"),
        ("https://example.org", "__unnamed__"),
        ("https://example.org/..", "__unnamed__"),
    ],
)
def test_a_file_is_called_as_the_path_of_its_url_ends(url: str, name: str) -> None:
    assert parse_url(url).name == name
