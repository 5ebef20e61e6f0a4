"""The parts of what a build gives away: an image for each platform, and statements about each."""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.oci.manifest import Manifest


class Statement(Value):
    """An in-toto statement about an image: the kind of its predicate, and the whole document."""

    predicate_type: str
    raw: bytes


class Part(Value):
    """The image for one platform. `attest` makes statements once the manifest is known.

    If the times in the layers above the lowest `below` were held down to `latest`, they say so.
    """

    image_id: Digest
    platform: Platform
    attest: Callable[[Manifest], Sequence[Statement]] | None = None
    below: int = 0
    latest: int | None = None
