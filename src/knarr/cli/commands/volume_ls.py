"""knarr volume ls."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.volumes import Volume

COMMAND = Command(
    short="List volumes",
    options=(
        Option(
            "filter", 'Provide filter values (e.g. "dangling=true")', kind="filter", short="f",
            metavar="filter",
        ),
        FORMAT,
        Option("quiet", "Only display volume names", short="q"),
    ),
)  # fmt: skip
HEADERS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Label": "LABEL",
    "Links": "LINKS",
    "Size": "SIZE",
    "Availability": "AVAILABILITY",
    "Group": "GROUP",
    "Status": "STATUS",
}
# Docker: known to `system df -v` alone, and of Swarm
UNKNOWN = dict.fromkeys(("Links", "Size", "Availability", "Group", "Status"), "N/A")
TABLE = ("Driver", "Name")


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - see the module

    found = context.engine.volumes.filtered(options.texts("filter"))
    form = options.text("format")
    if options.flag("quiet") and form in ("", "table"):
        for volume in found:
            context.print(volume.name)
        return 0
    show(context, Listing(HEADERS, TABLE), [_row(volume) for volume in found], form)
    return 0


def _row(volume: Volume) -> Row:
    return {
        "Driver": "local",
        "Name": volume.name,
        "Scope": "local",
        "Mountpoint": volume.path,
        "Labels": ",".join(f"{k}={v}" for k, v in sorted(volume.labels.items())),
        "Label": lambda name: volume.labels.get(name, ""),
        **UNKNOWN,
    }
