"""knarr manifest inspect."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.commands.manifest_create import INSECURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options
    from knarr.store.manifests import Member

COMMAND = Command(
    short="Display an image manifest, or manifest list",
    usage="[OPTIONS] [MANIFEST_LIST] MANIFEST",
    options=(
        INSECURE,
        Option("verbose", "Output additional info including layers and platform", short="v"),
    ),
    minimum=1,
    maximum=2,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    import json  # noqa: PLC0415 - indented, for people: the fast codec has one line only

    from knarr.engine.image.manifestlists import ManifestLists  # noqa: PLC0415 - not for --help
    from knarr.oci.manifest import Index  # noqa: PLC0415

    lists, insecure = ManifestLists(context.engine), options.flag("insecure")
    *around, name = arguments
    within = around[0] if around else ""
    shown: Any
    indent: str | int = "\t"
    if options.flag("verbose"):
        found = lists.members(name, within=within, insecure=insecure)
        shown = [_document(one) for one in found] if isinstance(found, list) else _document(found)
    else:
        manifest = lists.document(name, within=within, insecure=insecure)
        shown = json.loads(manifest.raw)
        indent = 3 if isinstance(manifest, Index) else indent
    context.print(json.dumps(shown, indent=indent, ensure_ascii=False))
    return 0


def _document(member: Member) -> dict[str, Any]:
    """Return all about a manifest, as Docker shows it."""
    import base64  # noqa: PLC0415 - for who asks for all
    import json  # noqa: PLC0415

    from knarr.engine.image.manifestlists import platform_fields  # noqa: PLC0415
    from knarr.oci.descriptor import OCI_MANIFEST  # noqa: PLC0415

    descriptor = member.descriptor
    described: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.platform is not None:
        described["platform"] = platform_fields(descriptor.platform)
    key = "OCIManifest" if descriptor.media_type == OCI_MANIFEST else "SchemaV2Manifest"
    return {
        "Ref": str(member.reference),
        "Descriptor": described,
        "Raw": base64.b64encode(member.raw).decode(),
        key: json.loads(member.raw),
    }
