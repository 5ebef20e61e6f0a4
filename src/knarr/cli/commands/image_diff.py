"""knarr image diff."""

from __future__ import annotations

import os

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.image.comparing import Difference

COMMAND = Command(
    short="Show in which files an image differs from another",
    usage="[OPTIONS] IMAGE IMAGE",
    options=(
        Option(
            "format",
            "Format output: 'json' for one object a line",
            kind="string",
            completes="json",
        ),
    ),
    minimum=2,
    maximum=2,
    long=(
        "Show in which files the second image differs from the first: what was added (A), "
        "changed (C) and deleted (D), each with its sizes. Contents, types, modes, owners, link "
        "targets and file capabilities count; times do not."
    ),
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.comparing import compare  # noqa: PLC0415 - not for --help
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    form = options.text("format")
    if form not in ("", "json"):
        message = f"invalid format {form!r}"
        raise InvalidArgument(message, hint="It is json, or left out.")
    render = _object if form else _line
    for difference in compare(context.engine, *arguments):
        # Names are whatever bytes the image has, and are shown as such.
        context.write(os.fsencode(f"{render(difference)}\n"))
    return 0


def _line(difference: Difference) -> str:
    from knarr.util.text import human_size  # noqa: PLC0415 - not for --help

    sizes = {
        "A": human_size(difference.new_size),
        "D": human_size(difference.old_size),
        "C": f"{human_size(difference.old_size)} → {human_size(difference.new_size)}",
    }
    if difference.kind == "C" and difference.old_size == difference.new_size:
        sizes["C"] = sizes["A"]
    return f"{difference.kind} {sizes[difference.kind]:>10} {difference.path}"


def _object(difference: Difference) -> str:
    from knarr.util import jsontext  # noqa: PLC0415 - not for --help

    return jsontext.dumps(
        {
            "Kind": difference.kind,
            "Path": os.fsencode(difference.path).decode("utf-8", "replace"),
            "OldSize": difference.old_size,
            "NewSize": difference.new_size,
        }
    )
