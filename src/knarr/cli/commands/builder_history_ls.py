"""knarr builder history, knarr builder history ls."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, NO_TRUNC, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.build.history.finding import Build

COMMAND = Command(
    short="List the builds that are remembered",
    options=(
        Option(
            "filter", "Provide filter values (status, name, tag, since, before)", kind="filter",
            metavar="filter",
        ),
        FORMAT,
        NO_TRUNC,
        Option("quiet", "Only show IDs", short="q"),
    ),
    completes="inspect logs ls rm",
)  # fmt: skip
LISTING = Listing(
    headers={
        "ID": "BUILD ID",
        "Name": "NAME",
        "Status": "STATUS",
        "CreatedAt": "CREATED AT",
        "Duration": "DURATION",
        "Steps": "STEPS",
        "Context": "CONTEXT",
        "Tags": "TAGS",
    },
    table=("ID", "Name", "Status", "Steps", "CreatedAt", "Duration"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - not for --help
    from knarr.engine.build.history.finding import list_builds  # noqa: PLC0415 - as above

    builds = list_builds(context.engine, options.texts("filter"))
    form = options.text("format")
    whole = options.flag("no-trunc") or form not in ("", "table")
    if options.flag("quiet"):
        for build in builds:
            context.print(build.run.id if whole else build.run.id[:12])
        return 0
    show(context, LISTING, [row(each, whole=whole) for each in builds], form)
    return 0


def row(build: Build, *, whole: bool) -> Row:
    """Return a build as lists show it."""
    import time  # noqa: PLC0415 - not for --help

    from knarr.util.text import human_duration  # noqa: PLC0415 - as above
    from knarr.util.times import render_rfc3339  # noqa: PLC0415

    run = build.run
    ago = human_duration((time.time_ns() - run.started_ns) / 1e9)
    done = [step for step in build.steps if step["state"] in ("cached", "done")]
    cached = sum(step["state"] == "cached" for step in done)
    return {
        "ID": run.id if whole else run.id[:12],
        "Name": run.name,
        "Status": build.status.capitalize(),
        "CreatedAt": render_rfc3339(run.started_ns) if whole else f"{ago} ago",
        "Duration": f"{build.seconds:.1f}s",
        "Steps": f"{len(done)}/{len(build.steps)}, {cached} cached",
        "Context": str(build.about.get("context", "")),
        "Tags": ", ".join(build.about.get("tags", ())),
    }
