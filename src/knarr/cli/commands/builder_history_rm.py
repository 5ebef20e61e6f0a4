"""knarr builder history rm."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Forget builds, with the logs of their failed steps",
    usage="[OPTIONS] [BUILD...]",
    options=(Option("all", "Forget all builds"),),
    minimum=0,
    maximum=None,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.command import each  # noqa: PLC0415 - not for --help
    from knarr.engine.build.history.finding import get_build, list_builds  # noqa: PLC0415
    from knarr.engine.build.history.removing import remove_runs  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    if options.flag("all") == bool(arguments):
        message = "builds have to be named, or --all given"
        raise InvalidArgument(message)
    if options.flag("all"):
        done = [each for each in list_builds(context.engine) if each.status != "running"]
        remove_runs(context.engine, [build.run.id for build in done])
        return 0

    def remove(name: str) -> None:
        remove_runs(context.engine, [get_build(context.engine, name).run.id])

    return each(context, arguments, remove)
