"""What is said of the documents and layers of an image that a build gives away.

Docker: BuildKit's keys `compression`, `compression-level`, `force-compression`, `oci-mediatypes`
and `annotation…`
"""

from __future__ import annotations

from knarr.engine.build.words.fields import parse_compression, parse_flag
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.engine.build.export.composing import Packaging

PACKAGING = ("compression", "compression-level", "force-compression", "oci-mediatypes")


def read_packaging(fields: Mapping[str, str], *, archive: bool) -> Packaging | None:
    """Return what the documents of an image are to be like, None if nothing is said of it.

    Unless it is said, layers are compressed, but not in an `archive`: that is there for one more
    reading.

    Raises: InvalidArgument
    """
    noted = [key for key in fields if key.startswith("annotation")]
    if not noted and not any(key in fields for key in PACKAGING):
        return None
    from knarr.engine.build.export.annotations import parse_annotation  # noqa: PLC0415 - for few
    from knarr.engine.build.export.composing import Packaging  # noqa: PLC0415 - as above

    annotations = []
    for key in noted:
        annotation = parse_annotation(key, fields[key])
        if annotation is None:
            message = f"invalid annotation {key}"
            hint = "It is annotation.KEY or annotation-LEVEL[PLATFORM].KEY."
            raise InvalidArgument(message, hint=hint)
        annotations.append(annotation)
    docker = not parse_flag(fields, "oci-mediatypes", default=True)
    form = parse_compression(fields, default="uncompressed" if archive else "gzip")
    return Packaging(form, docker, tuple(annotations))
