"""knarr cp."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.copying.copy import CopyOptions

COMMAND = Command(
    short="Copy files/folders between a container and the local filesystem",
    usage="[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tknarr cp [OPTIONS] SRC_PATH|- "
    "CONTAINER:DEST_PATH",
    options=(
        Option("archive", "Archive mode (copy all uid/gid information)", short="a"),
        Option(
            "chown", "Make what is copied into a container a user's (and group's) of its own",
            kind="string", metavar="user[:group]",
        ),
        Option("follow-link", "Always follow symbol link in SRC_PATH", short="L"),
        Option(
            "quiet", "Suppress progress output during copy. Progress output is automatically "
            "suppressed if no terminal is attached", short="q",
        ),
    ),
    minimum=2,
    maximum=2,
    long="Use '-' as the source to read a tar archive from stdin\n"
    "and extract it to a directory destination in a container.\n"
    "Use '-' as the destination to stream a tar archive of a\n"
    "container source to stdout. SRC_PATH in a container may be\n"
    "a pattern such as '/var/log/*.log'.",
    completes="containers",
)  # fmt: skip

_STREAM = "-"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.copying import copy, places  # noqa: PLC0415 - not for --help

    if not arguments[0] or not arguments[1]:
        message = "source can not be empty" if not arguments[0] else "destination can not be empty"
        raise InvalidArgument(message)
    source_container, source = places.split_argument(arguments[0])
    target_container, target = places.split_argument(arguments[1])
    wanted = copy.CopyOptions(
        archive=options.flag("archive"),
        follow=options.flag("follow-link"),
        chown=options.text("chown"),
    )
    if source_container and target_container:
        message = "copying between containers is not supported"
        hint = "Through a pipe it is: knarr cp ONE:PATH - | knarr cp - TWO:DIRECTORY"
        raise InvalidArgument(message, hint=hint)
    if source_container:
        if wanted.chown:
            message = "--chown is for what is copied into a container"
            raise InvalidArgument(message)
        return _out(context, options, source_container, (source, target), wanted)
    if target_container:
        return _in(context, options, target_container, (source, target), wanted)
    message = "must specify at least one container source"
    raise InvalidArgument(message, hint="A container's path is written CONTAINER:PATH.")


def _out(
    context: Context, options: Options, name: str, way: tuple[str, str], wanted: CopyOptions
) -> int:
    from knarr.cli.streams import Output  # noqa: PLC0415 - as above
    from knarr.engine.copying import copy  # noqa: PLC0415

    container = context.engine.containers.get(name)
    source, target = way
    if target == _STREAM:
        with Output(context, "") as output:
            copy.get_archive(container, source, output, follow=wanted.follow)
        return 0
    _report(context, options, copy.copy_out(container, source, target, wanted), target)
    return 0


def _in(
    context: Context, options: Options, name: str, way: tuple[str, str], wanted: CopyOptions
) -> int:
    from knarr.engine.copying import copy  # noqa: PLC0415 - as above

    container = context.engine.containers.get(name)
    source, target = way
    if source == _STREAM:
        from knarr.cli.streams import open_input  # noqa: PLC0415 - for this way alone
        from knarr.util.compression import open_any  # noqa: PLC0415

        with open_input(_STREAM) as stream:
            copy.put_archive(container, open_any(stream)[0], target, chown=wanted.chown)
        return 0
    size = copy.copy_in(container, source, target, wanted)
    _report(context, options, size, f"{name}:{target}")
    return 0


def _report(context: Context, options: Options, size: int, target: str) -> None:
    """Say what was copied, as Docker: on standard error, and unasked to a person alone."""
    quiet = options.flag("quiet") if options.given("quiet") else not context.interactive
    if not quiet:
        from knarr.util.text import human_size  # noqa: PLC0415 - for people alone

        context.warn(f"Successfully copied {human_size(size, precision=3)} to {target}")
