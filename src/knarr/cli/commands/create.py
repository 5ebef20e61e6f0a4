"""knarr create."""

from __future__ import annotations

from knarr.cli.command import Command
from knarr.cli.createflags import CREATE_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Create a new container",
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    options=CREATE_OPTIONS,
    minimum=1,
    maximum=None,
    interspersed=False,
    completes="images",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli import creating  # noqa: PLC0415 - not for --help
    from knarr.cli.command import OptionFault  # noqa: PLC0415
    from knarr.errors import InvalidArgument  # noqa: PLC0415

    try:
        asked = creating.parse_create(options, arguments, detached=False)
    except InvalidArgument as error:  # of the command line: 125, the engine's own are 1
        raise OptionFault(error.message, hint=error.hint) from None
    if options.flag("use-api-socket"):
        from knarr.engine.supplies.apisocket import supply  # noqa: PLC0415 - for few containers

        asked = supply(context.engine.paths, asked)
    creating.provide_image(context, options, asked)
    if options.flag("replace"):
        from knarr.cli.living import replace  # noqa: PLC0415 - see the module

        replace(context, options.text("name"))
    with creating.CidFile(asked.cidfile) as cidfile:
        container = creating.create(context.engine, asked, options.text("name"))
        cidfile.write(container.id)
    for words in (*container.warnings, *creating.ignored(options)):
        context.warn(f"WARNING: {words}")
    context.print(container.id)
    return 0
