"""The tree drawn in the docstring of `knarr.errors` is the tree of its classes."""

from __future__ import annotations

import re

from knarr import errors


def test_the_tree_is_as_drawn() -> None:
    drawn = re.findall(r"^ *[*.-] (\w+)", errors.__doc__ or "", re.MULTILINE)
    classes = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.KnarrError)
    ]
    assert sorted(drawn) == sorted(classes)
    for name in classes:
        assert getattr(errors, name).__doc__


def test_nesting_is_as_drawn() -> None:
    parents: dict[int, str] = {}
    for indent, name in re.findall(r"^( *)[*.-] (\w+)", errors.__doc__ or "", re.MULTILINE):
        parents[len(indent)] = name
        if indent:
            above = parents[len(indent) - 2]
            assert getattr(errors, name).__bases__ == (getattr(errors, above),)
