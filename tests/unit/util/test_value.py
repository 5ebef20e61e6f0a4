from __future__ import annotations

import copy
import pickle

import pytest

from knarr.util.value import Value


class Point(Value):
    x: int
    y: int = 0


class Named(Point):
    name: str = ""

    def validate(self) -> None:
        if self.x < 0:
            message = "x is negative"
            raise ValueError(message)


def test_fields_come_from_arguments_names_and_defaults() -> None:
    assert (Point(1).x, Point(1).y) == (1, 0)
    assert Point(1, y=2) == Point(x=1, y=2)
    assert Named(1, 2, "a").name == "a"


def test_a_value_never_changes() -> None:
    with pytest.raises(AttributeError, match=r"use replace\(x=…\)"):
        Point(1).x = 2  # type: ignore[misc]
    assert Point(1).replace(x=2) == Point(2)


@pytest.mark.parametrize(
    ("args", "given", "reason"),
    [
        ((), {}, "x is missing"),
        ((1, 2, 3), {}, "takes 2 values, 3 given"),
        ((1,), {"x": 1}, "x given twice"),
        ((1,), {"z": 1}, "no field z"),
    ],
)
def test_wrong_calls_are_refused(args: tuple[int], given: dict[str, int], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Point(*args, **given)


def test_validate_sees_every_construction() -> None:
    with pytest.raises(ValueError, match="negative"):
        Named(1).replace(x=-1)


def test_equality_is_by_class_and_fields() -> None:
    assert Point(1) != Named(1)
    assert hash(Point(1)) == hash(Point(1))
    assert repr(Point(1)) == "Point(x=1, y=0)"


def test_values_copy_and_pickle() -> None:
    point = Point(1, 2)
    assert copy.deepcopy(point) == point
    assert pickle.loads(pickle.dumps(point)) == point
    assert not hasattr(point, "__dict__")
