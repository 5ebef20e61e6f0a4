"""knarr manifest annotate."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Add additional information to a local image manifest",
    usage="[OPTIONS] MANIFEST_LIST MANIFEST",
    options=(
        Option("arch", "Set architecture", kind="string"),
        Option("os", "Set operating system", kind="string"),
        Option("os-features", "Set operating system feature", kind="list", metavar="strings"),
        Option("os-version", "Set operating system version", kind="string"),
        Option("variant", "Set architecture variant", kind="string"),
    ),
    minimum=2,
    maximum=2,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.manifestlists import (  # noqa: PLC0415 - not for --help
        Changes,
        ManifestLists,
    )

    changes = Changes(
        options.text("os"),
        options.text("arch"),
        options.text("variant"),
        options.text("os-version"),
        tuple([one for text in options.texts("os-features") for one in text.split(",") if one]),
    )
    name, manifest = arguments
    ManifestLists(context.engine).annotate(name, manifest, changes)
    return 0
