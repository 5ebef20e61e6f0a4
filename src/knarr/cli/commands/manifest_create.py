"""knarr manifest create."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

INSECURE = Option("insecure", "Allow communication with an insecure registry")
COMMAND = Command(
    short="Create a local manifest list for annotating and pushing to a registry",
    usage="MANIFEST_LIST MANIFEST [MANIFEST...]",
    options=(
        Option("amend", "Amend an existing manifest list", short="a"),
        INSECURE,
    ),
    minimum=2,
    maximum=None,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.manifestlists import ManifestLists  # noqa: PLC0415 - not for --help

    name, *manifests = arguments
    reference = ManifestLists(context.engine).create(
        name, manifests, amend=options.flag("amend"), insecure=options.flag("insecure")
    )
    context.print(f"Created manifest list {reference}")
    return 0
