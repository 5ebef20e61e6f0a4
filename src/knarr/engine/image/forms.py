"""How layers are compressed where they are given to."""

from __future__ import annotations

from knarr.oci import descriptor as d
from knarr.util import compression
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.descriptor import Descriptor

AS_OCI = {
    d.OCI_LAYER: d.OCI_LAYER,
    d.OCI_LAYER_GZIP: d.OCI_LAYER_GZIP,
    d.OCI_LAYER_ZSTD: d.OCI_LAYER_ZSTD,
    d.DOCKER_LAYER: d.OCI_LAYER,
    d.DOCKER_LAYER_GZIP: d.OCI_LAYER_GZIP,
    d.DOCKER_LAYER_ZSTD: d.OCI_LAYER_ZSTD,
}
MEDIA_TYPES = {
    compression.NONE: d.OCI_LAYER,
    compression.GZIP: d.OCI_LAYER_GZIP,
    compression.ZSTD: d.OCI_LAYER_ZSTD,
}


class Form(Value):
    """How layers are compressed: GZIP, ZSTD or NONE of `util.compression`; `level` -1 for ours.

    With `force` those that are known in another form are given in this one, too.
    """

    kind: str = compression.GZIP
    level: int = -1
    force: bool = False

    @property
    def media_type(self) -> str:
        """The type of a layer in this form."""
        return MEDIA_TYPES[self.kind]

    def is_of(self, descriptor: Descriptor) -> bool:
        """Tell whether a layer is in this form, whoever compressed it."""
        return AS_OCI.get(descriptor.media_type) == self.media_type
