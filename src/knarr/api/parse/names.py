"""Names of images and platforms as they come in queries."""

from __future__ import annotations

from knarr.api.parse.reading import reading
from knarr.oci.descriptor import Platform, decode_platform, parse_platform
from knarr.oci.document import load
from knarr.oci.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.call import Call

SEVERAL_PLATFORMS = (1, 52)


def join_tag(repository: str, tag: str) -> str:
    """Return the name that a repository and a tag make; without a repository, no name."""
    return f"{repository}:{tag}" if repository and tag else repository


def parse_source(name: str, tag: str) -> Reference:
    """Return what is to be pulled; `tag` takes the place of the name's own, and may be a digest.

    Docker: `pull -a` sends a name with a colon at its end

    Raises: InvalidArgument
    """
    reference = parse_reference(name.removesuffix(":"))
    if not tag:
        return reference
    return parse_reference(f"{reference.name}{'@' if ':' in tag else ':'}{tag}")


def parse_platforms(call: Call, name: str = "platform") -> list[Platform]:
    """Return the platforms in the query, each as a JSON object or as `os/architecture/variant`.

    Raises: InvalidArgument
    """
    return [_platform(text) for text in call.texts(name) if text]


def _platform(text: str) -> Platform:
    if not text.startswith("{"):
        return parse_platform(text)
    with reading():
        return decode_platform(load(text.encode(), "platform"))
