"""knarr volume snapshots."""

from __future__ import annotations

import time

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.volumes import Volume

COMMAND = Command(
    short="List the snapshots of volumes",
    usage="[OPTIONS] [VOLUME...]",
    options=(FORMAT, Option("quiet", "Only display names", short="q")),
    maximum=None,
    completes="volumes",
)
HEADERS = {
    "Volume": "VOLUME NAME",
    "Name": "SNAPSHOT",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Label": "LABEL",
    "Size": "SIZE",
}
TABLE = ("Volume", "Name", "CreatedSince", "Size")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.output import show  # noqa: PLC0415 - see the module

    volumes = context.engine.volumes
    for name in arguments:
        volumes.get(name)
    found = [one for name in arguments or [""] for one in volumes.snapshots(name)]
    form = options.text("format")
    if options.flag("quiet") and form in ("", "table"):
        for one in found:
            context.print(one.name)
        return 0
    show(context, Listing(HEADERS, TABLE), [_row(context, one) for one in found], form)
    return 0


def _row(context: Context, snapshot: Volume) -> Row:
    from knarr.cli.commands.images import created_at, created_since  # noqa: PLC0415 - as above
    from knarr.util.text import human_size  # noqa: PLC0415

    volumes = context.engine.volumes
    return {
        "Volume": snapshot.name.partition("@")[0],
        "Name": snapshot.name,
        "CreatedAt": created_at(snapshot.created_ns),
        "CreatedSince": created_since(snapshot.created_ns, time.time_ns()),
        "Mountpoint": snapshot.path,
        "Labels": ",".join(f"{k}={v}" for k, v in sorted(snapshot.labels.items())),
        "Label": lambda name: snapshot.labels.get(name, ""),
        "Size": lambda: human_size(volumes.size_of(snapshot)),
    }
