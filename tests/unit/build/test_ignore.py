from __future__ import annotations

import pytest

from knarr.build.globs import compile_glob, first_glob
from knarr.build.ignore import Matcher, read_patterns
from knarr.errors import InvalidArgument


def walked(matcher: Matcher, path: str) -> bool:
    """Ask as a walk does: parents first."""
    parts = path.split("/")
    fits: tuple[bool, ...] = ()
    excluded = False
    for count in range(len(parts)):
        excluded, fits = matcher.walk("/".join(parts[: count + 1]), fits)
    return excluded


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        (["*.log"], "a.log", True),
        (["*.log"], "dir/a.log", False),
        (["**/*.log"], "a.log", True),
        (["**/*.log"], "x/y/a.log", True),
        (["node_modules"], "node_modules/x/y.js", True),
        (["build/"], "build/x", True),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs", "!docs/README.md"], "docs/other.md", True),
        (["!docs/README.md", "docs"], "docs/README.md", True),
        (["**", "!src/**"], "src/a/b", False),
        (["**", "!src/**"], "other", True),
        (["a/**"], "a", False),
        (["a/**"], "a/b/c", True),
        (["**file"], "myfile", True),
        (["[a-c]?"], "bz", True),
        (["[^a-c]?"], "bz", False),
        (["a\\*"], "a*", True),
        (["a\\*"], "ab", False),
        (["a**/*.txt"], "a/x/y.txt", True),
        (["./x/../y"], "y", True),
    ],
)
def test_both_ways_of_asking_agree(patterns: list[str], path: str, *, excluded: bool) -> None:
    matcher = Matcher(patterns)
    assert matcher.excludes(path) is excluded
    assert walked(matcher, path) is excluded


@pytest.mark.parametrize("pattern", ["!", "[", "[a", "a\\", "[z-a]", "[]a]"])
def test_patterns_that_make_no_sense(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        Matcher([pattern])


def test_file_is_read_with_its_comments_and_marks() -> None:
    data = b"\xef\xbb\xbf#c\n  # no comment\n/abs/x/\n\n! /back \r\nplain/./y\n"
    assert read_patterns(data) == ["# no comment", "abs/x", "!back", "plain/y"]


def test_globs_stop_at_slashes_and_know_where_they_begin() -> None:
    assert compile_glob("a*").fullmatch("abc")
    assert not compile_glob("a*").fullmatch("a/b")
    assert compile_glob("[z-a]").fullmatch("b") is None
    assert first_glob("dir/a\\*b/x*") == 10
    assert first_glob("plain") == -1
