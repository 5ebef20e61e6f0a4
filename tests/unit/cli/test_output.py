from __future__ import annotations

import io

import pytest

from knarr.cli.command import Context
from knarr.cli.output import Listing, align, show
from knarr.errors import SyntaxFault

LISTING = Listing(
    headers={"ID": "CONTAINER ID", "Image": "IMAGE", "Names": "NAMES", "Size": "SIZE"},
    table=("ID", "Image", "Names"),
)


def unwanted() -> str:
    raise AssertionError


ROWS = [
    {"ID": "abc", "Image": "busybox", "Names": "web", "Size": unwanted},
    {"ID": "def", "Image": "debian:bookworm", "Names": "", "Size": unwanted},
]


def shown(form: str, rows: list[dict[str, object]] | None = None) -> str:
    out = io.StringIO()
    show(Context(stdout=out), LISTING, rows or ROWS, form)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("form", ["", "table"])
def test_the_table(form: str) -> None:
    assert shown(form) == (
        "CONTAINER ID   IMAGE             NAMES\n"
        "abc            busybox           web\n"
        "def            debian:bookworm   \n"
    )


def test_columns_are_at_least_ten_wide_and_three_apart() -> None:
    assert align([["A", "B", "C"], ["1234567", "12345678", "3"]]) == [
        "A         B          C",
        "1234567   12345678   3",
    ]
    assert align([["ONLY"], ["x"]]) == ["ONLY", "x"]


def test_a_template() -> None:
    assert shown("{{.ID}}: {{.Names}}") == "abc: web\ndef: \n"


def test_a_template_in_a_table_gets_the_headers_of_its_columns() -> None:
    assert shown(r"table {{.Names}}\t{{json .Image}}") == (
        'NAMES     IMAGE\nweb       "busybox"\n          "debian:bookworm"\n'
    )


def test_json_has_every_field_and_asks_for_the_dear_ones() -> None:
    rows: list[dict[str, object]] = [{"ID": "é", "Size": lambda: "1kB", "Label": lambda _: "x"}]
    for form in ("json", "{{json .}}"):
        assert shown(form, rows) == '{"ID":"é","Size":"1kB"}\n'


def test_labels_are_asked_for_by_name() -> None:
    rows: list[dict[str, object]] = [{"Label": lambda name: {"v": "2"}.get(name, "")}]
    assert shown('{{.Label "v"}}', rows) == "2\n"


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(SyntaxFault, match='no entry for key "Nmaes"'):
        shown("{{.Nmaes}}")


def test_an_empty_list_is_a_line_of_headers() -> None:
    out = io.StringIO()
    show(Context(stdout=out), LISTING, [], "")
    assert out.getvalue() == "CONTAINER ID   IMAGE     NAMES\n"
