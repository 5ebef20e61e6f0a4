"""knarr manifest rm."""

from __future__ import annotations

from knarr.cli.command import Command, each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Delete one or more manifest lists from local storage",
    usage="MANIFEST_LIST [MANIFEST_LIST...]",
    minimum=1,
    maximum=None,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.image.manifestlists import ManifestLists  # noqa: PLC0415 - not for --help

    return each(context, arguments, ManifestLists(context.engine).remove, echo=False)
