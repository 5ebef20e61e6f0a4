"""Where build caches are: what `--cache-from` and `--cache-to` name.

registry   a reference under which a registry has the cache as an artifact
local      a directory with an OCI layout, the cache under a tag
inline     in the config of the image that is built: its own layers, and no others
"""

from __future__ import annotations

from knarr.engine.image.forms import Form
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference

REGISTRY, LOCAL, INLINE = "registry", "local", "inline"
MIN, MAX = "min", "max"


class CachePlace(Value):
    """A cache: in a registry, or in a directory under `tag`, or with `digest`."""

    kind: str
    reference: Reference | None = None
    directory: str = ""
    tag: str = "latest"
    digest: Digest | None = None

    def __str__(self) -> str:
        """Return the place as messages name it."""
        return self.directory or str(self.reference)


class CacheTarget(Value):
    """A place that a cache is given to: MIN has the layers of the image, MAX all that were made.

    With `mounts` the caches of `RUN --mount=type=cache` go there too. A failure fails the build
    unless `ignore_error`. `docker` has Docker's media types in place of OCI's.
    """

    place: CachePlace
    mode: str = MIN
    form: Form = Form()
    docker: bool = False
    mounts: bool = False
    ignore_error: bool = False
