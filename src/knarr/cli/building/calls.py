"""`build --call`: what a Dockerfile says of itself, as text or JSON, in buildx's words.

Docker: a check that found something is a failure, unless `ignorestatus` is given
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.util.booleans import find_boolean
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context

METHODS = ("build", "check", "outline", "targets")
_ALIASES = {"lint": "check"}


class Call(Value):
    """What `--call` asks for."""

    method: str
    json: bool = False
    status_ignored: bool = False


def parse_call(text: str) -> Call:
    """Read `METHOD[,format=json|text][,ignorestatus=BOOL]`. Raises: InvalidArgument"""
    method, as_json, ignored = "build", False, False
    for field in text.split(",") if text else ():
        key, equals, value = field.partition("=")
        if not equals and key != "ignorestatus":
            key, value = "method", key
        if key == "method":
            method = _ALIASES.get(value, value)
        elif key == "format" and value in ("json", "text"):
            as_json = value == "json"
        elif key == "ignorestatus":
            ignored = value == "" or find_boolean(value) is True
        else:
            message = f'invalid argument "{text}" for "--call" flag: invalid value {field!r}'
            raise InvalidArgument(message, hint="It takes format=json and ignorestatus=true.")
    if method not in METHODS:
        message = f'invalid argument "{text}" for "--call" flag: no such method {method!r}'
        raise InvalidArgument(message, hint=f"It is one of {', '.join(METHODS)}.")
    return Call(method, as_json, ignored)


def show_call(context: Context, call: Call, document: dict[str, Any]) -> int:
    """Print what was found and return the exit status."""
    if call.json:
        from knarr.util import jsontext  # noqa: PLC0415 - for who asks for it

        context.print(jsontext.pretty(document, "  "))
    else:
        {"check": _show_check, "outline": _show_outline, "targets": _show_targets}[call.method](
            context, document
        )
    found = call.method == "check" and bool(document["warnings"] or "buildError" in document)
    return int(found and not call.status_ignored)


def _show_check(context: Context, document: dict[str, Any]) -> None:
    from knarr.build.dockerfile.document import Source  # noqa: PLC0415 - for checks
    from knarr.build.dockerfile.excerpt import excerpt  # noqa: PLC0415
    from knarr.build.dockerfile.lines import decode  # noqa: PLC0415

    warnings, error = document["warnings"], document.get("buildError")
    if not warnings and not error:
        context.print("Check complete, no warnings found.")
        return
    about = document["sources"][0]
    from base64 import b64decode  # noqa: PLC0415 - few builds only look

    lines = tuple(decode(b64decode(about["data"])).splitlines())
    source = Source(about["fileName"], lines)

    def show(text: str, location: dict[str, Any]) -> None:
        place = location["ranges"][0]
        context.print(f"\n{text}")
        context.print(excerpt(source, place["start"]["line"], place["end"]["line"]), end="")

    if warnings:
        count = f"{len(warnings)} warnings have" if len(warnings) > 1 else "1 warning has"
        context.print(f"Check complete, {count} been found!")
    for warning in warnings:
        text = f"WARNING: {warning['ruleName']} - {warning['url']}\n{warning['detail']}"
        show(text, warning["location"])
    if error:
        show(f"ERROR: {error['message']}", error["location"])


def _show_outline(context: Context, document: dict[str, Any]) -> None:
    if "name" in document or "description" in document:
        rows = [["TARGET:", document.get("name", "(default)")]]
        if "description" in document:
            rows.append(["DESCRIPTION:", document["description"]])
        _table(context, rows)
    if "args" in document:
        fields = ("name", "value", "description")
        rows = [[each.get(field, "") for field in fields] for each in document["args"]]
        _table(context, [["BUILD ARG", "VALUE", "DESCRIPTION"], *rows])
    for key, head in (("secrets", "SECRET"), ("ssh", "SSH")):
        if key in document:
            rows = [[each["name"], "true" if "required" in each else ""] for each in document[key]]
            _table(context, [[head, "REQUIRED"], *rows])


def _table(context: Context, rows: list[list[str]]) -> None:
    """Print a table and a blank line after it."""
    for line in _aligned(rows, 2):
        context.print(line)
    context.print()


def _show_targets(context: Context, document: dict[str, Any]) -> None:
    rows = [["TARGET", "DESCRIPTION"]]
    for target in document["targets"]:
        marks = [target["name"]] if "name" in target else []
        marks += ["(default)"] if "default" in target else []
        rows.append([" ".join(marks), target.get("description", "")])
    for line in _aligned(rows, 4):
        context.print(line)


def _aligned(rows: list[list[str]], gap: int) -> list[str]:
    """Return rows as lines; each column is as wide as it needs to be, and `gap` from the next."""
    widths = [max(len(cell) for cell in column) + gap for column in zip(*rows, strict=True)]
    return [
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
