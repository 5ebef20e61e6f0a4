"""The fast codec agrees with the standard one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.util import jsontext

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_agrees_with_json(value: object) -> None:
    text = jsontext.dumps(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert jsontext.loads(text) == jsontext.loads(f" \n{text}\t".encode()) == value


@given(VALUES, st.sampled_from([" ", "\t", "    "]))
def test_lays_out_like_json(value: object, indent: str) -> None:
    assert jsontext.pretty(value, indent) == json.dumps(value, indent=indent, ensure_ascii=False)
    assert jsontext.dumps(value, ascii_only=False) == json.dumps(
        value, separators=(",", ":"), ensure_ascii=False
    )


@pytest.mark.parametrize("text", ["", " ", "{", "[1,", '{"a":1} x', "nul", '"\x01"', "[1 2]"])
def test_raises_what_json_raises(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as theirs:
        json.loads(text)
    with pytest.raises(json.JSONDecodeError) as ours:
        jsontext.loads(text)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "[" * 2000 + "]" * 2000])
def test_what_is_nested_without_end_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        jsontext.loads(text)


def test_refuses_what_has_no_form() -> None:
    with pytest.raises(TypeError, match="object"):
        jsontext.dumps({"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        jsontext.dumps(float("nan"))


def test_loads_no_regular_expressions() -> None:
    code = (
        "import sys; from knarr.util import jsontext as j; j.loads(j.dumps([1]));"
        " print('re' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"
