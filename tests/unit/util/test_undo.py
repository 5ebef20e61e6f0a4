from __future__ import annotations

import pytest

from knarr.util.undo import Undo


def fail(reason: str) -> None:
    raise OSError(reason)


def test_an_error_takes_everything_back_last_first() -> None:
    done: list[str] = []
    with pytest.raises(RuntimeError), Undo() as undo:
        undo.push("first", done.append, "first")
        undo.push("second", done.append, "second")
        raise RuntimeError
    assert done == ["second", "first"]


def test_keep_lets_it_stand() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.push("it", done.append, "it")
        undo.keep()
    assert done == []


def test_all_steps_run_and_their_failures_are_told() -> None:
    done: list[str] = []
    with pytest.raises(RuntimeError) as caught, Undo() as undo:
        undo.push("removing it", done.append, "it")
        undo.push("closing the door", fail, "stuck")
        raise RuntimeError
    assert done == ["it"]
    assert caught.value.__notes__ == ["also failed while closing the door: stuck"]


def test_failures_without_an_error_are_raised() -> None:
    with pytest.raises(ExceptionGroup) as caught, Undo() as undo:
        undo.push("closing the door", fail, "stuck")
    assert [str(error) for error in caught.value.exceptions] == ["stuck"]
