"""knarr secret ls."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.secrets import Secret

COMMAND = Command(
    short="List secrets",
    options=(
        Option("filter", 'Provide filter values (e.g. "name=db")', kind="filter", short="f"),
        FORMAT,
        Option("quiet", "Only display secret IDs", short="q"),
    ),
)
HEADERS = {
    "ID": "ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "CreatedAt": "CREATED",
    "UpdatedAt": "UPDATED",
}
TABLE = tuple(HEADERS)
FILTERS = ("id", "name")


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - see the module
    from knarr.engine.filters import parse_filters  # noqa: PLC0415
    from knarr.engine.secrets import Secrets  # noqa: PLC0415

    wanted = parse_filters(options.texts("filter"), FILTERS)
    found = [
        secret
        for secret in Secrets(context.engine).list()
        if any(text in secret.name for text in wanted.get("name", [""]))
        and any(secret.id.startswith(text) for text in wanted.get("id", [""]))
    ]
    form = options.text("format")
    if options.flag("quiet") and form in ("", "table"):
        for secret in found:
            context.print(secret.id)
        return 0
    show(context, Listing(HEADERS, TABLE), [_row(secret) for secret in found], form)
    return 0


def _row(secret: Secret) -> Row:
    return {
        "ID": secret.id,
        "Name": secret.name,
        "Driver": "file",
        "CreatedAt": _ago(secret.created_ns),
        "UpdatedAt": _ago(secret.updated_ns),
    }


def _ago(moment_ns: int) -> str:
    import time  # noqa: PLC0415 - see the module

    from knarr.util.text import human_duration  # noqa: PLC0415

    return f"{human_duration((time.time_ns() - moment_ns) / 10**9)} ago"
