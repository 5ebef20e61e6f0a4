"""knarr commit."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Create a new image from a container's changes",
    usage="[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    options=(
        Option(
            "author", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', kind="string",
            short="a",
        ),
        Option(
            "change", "Apply Dockerfile instruction to the created image", kind="list", short="c"
        ),
        Option("message", "Commit message", kind="string", short="m"),
        Option("no-pause", "Disable pausing container during commit"),
        Option("pause", "Pause container during commit", short="p", default=True, shown="true"),
    ),
    minimum=1,
    maximum=2,
    completes="containers",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.changes import CommitOptions, commit  # noqa: PLC0415 - not for --help

    name, *references = arguments
    wanted = CommitOptions(
        reference=references[0] if references else "",
        changes=tuple(options.texts("change")),
        author=options.text("author"),
        comment=options.text("message"),
        pause=options.flag("pause") and not options.flag("no-pause"),
    )
    context.print(str(commit(context.engine.containers.get(name), wanted)))
    return 0
