"""Options of the form `type=bind,"src=/a,b",dst=/c`: one line of CSV, as Docker reads it."""

from __future__ import annotations

from knarr.errors import InvalidArgument


def split_csv(text: str) -> list[str]:
    """Return the fields of one line of CSV, where a field in quotes may hold commas and `""`.

    Docker: encoding/csv of Go, in its words

    Raises: InvalidArgument
    """
    fields, at = [], 0
    while True:
        if text[at : at + 1] == '"':
            field, at = _quoted(text, at + 1)
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            field, start, at = text[at:end], at, end
            if '"' in field:
                column = start + field.index('"') + 1
                raise InvalidArgument(_bad_csv(column, 'bare " in non-quoted-field'))
        fields.append(field)
        if at == len(text):
            return fields
        at += 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Return the field whose opening quote is before `at`, and where it ends."""
    field = ""
    while True:
        end = text.find('"', at)
        if end < 0 or text[end + 1 : end + 2] not in ('"', ",", ""):
            column = len(text) + 1 if end < 0 else end + 1
            raise InvalidArgument(_bad_csv(column, 'extraneous or missing " in quoted-field'))
        field += text[at:end]
        at = end + 1
        if text[at : at + 1] != '"':
            return field, at
        field, at = field + '"', at + 1


def _bad_csv(column: int, what: str) -> str:
    return f"parse error on line 1, column {column}: {what}"
