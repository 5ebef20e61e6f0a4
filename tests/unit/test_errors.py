"""Errors as objects."""

from __future__ import annotations

import pickle

import pytest

from knarr.errors import CommandFailed, KnarrError, NotFound, SyntaxFault


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no such image: x", hint="Look again."),
        SyntaxFault("unknown instruction", source="Dockerfile", line=3, column=7),
        CommandFailed("it failed", status=126),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_processes(error: KnarrError) -> None:
    error.add_note("of a call")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
