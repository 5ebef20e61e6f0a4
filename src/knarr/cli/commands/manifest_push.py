"""knarr manifest push."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.oci.reference import Reference

COMMAND = Command(
    short="Push a manifest list to a repository",
    usage="[OPTIONS] MANIFEST_LIST",
    options=(
        Option("insecure", "Allow push to an insecure registry"),
        Option("purge", "Remove the local manifest list after push", short="p"),
    ),
    minimum=1,
    maximum=1,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.image.manifestlists import ManifestLists  # noqa: PLC0415 - not for --help

    def told(reference: Reference) -> None:
        context.print(f"Pushed ref {reference} with digest: {reference.digest}")

    digest = ManifestLists(context.engine).push(
        arguments[0], purge=options.flag("purge"), insecure=options.flag("insecure"), told=told
    )
    context.print(str(digest))
    return 0
