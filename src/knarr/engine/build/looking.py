"""What reads a Dockerfile without building it: of images it needs their configs alone.

A config that the store does not have is read from the registry, without the layers.
"""

from __future__ import annotations

from knarr.build.worker import Base
from knarr.engine.build.layouts import LAYOUT, config_in_layout
from knarr.errors import KnarrError, NotFound, Unauthorized, Unavailable
from knarr.oci.config import decode_config
from knarr.oci.reference import looks_like_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.build.ignore import Matcher
    from knarr.engine.engine import Engine
    from knarr.oci.config import ImageConfig
    from knarr.oci.descriptor import Platform
    from knarr.oci.reference import Reference


class Looker:
    """Finds images for who reads a Dockerfile; `hidden` is what the context leaves out."""

    def __init__(self, engine: Engine, hidden: Matcher | None) -> None:
        self.hidden = hidden
        self._engine = engine
        self._known: dict[tuple[str, Platform], Base] = {}

    def resolve(self, reference: str, platform: Platform) -> Base:
        """Return the image that a FROM names; its layers need not be here.

        Raises: NotFound, InvalidArgument, Unauthorized, Unavailable, Corrupt
        """
        asked = (reference, platform)
        if asked not in self._known:
            self._known[asked] = self._resolve(reference, platform)
        return self._known[asked]

    def _resolve(self, reference: str, platform: Platform) -> Base:
        if reference.startswith(LAYOUT):
            return Base(reference, config_in_layout(reference, platform), ())
        images = self._engine.images
        row = images.choose(reference, platform) or images.find(reference)
        if row is not None:
            return Base(reference, images.config(row.id), images.stack(row.id))
        failure: KnarrError = NotFound("no such image")
        if not looks_like_id(reference) and not reference.startswith("sha256:"):
            for candidate in self._engine.registries.candidates(reference):
                try:
                    config = self._distant(candidate.with_default_tag(), platform)
                except (NotFound, Unauthorized, Unavailable) as error:
                    failure = error
                else:
                    return Base(str(candidate), config, ())
        message = f"{reference}: failed to resolve source metadata: {failure}"
        hint = failure.hint or "It is not in the local store either (knarr images lists it)."
        raise type(failure)(message, hint=hint)

    def _distant(self, reference: Reference, platform: Platform) -> ImageConfig:
        from knarr.engine.image.places.place import read_document, read_manifest  # noqa: PLC0415
        from knarr.engine.image.places.registry import RegistrySource  # noqa: PLC0415

        source = RegistrySource(self._engine.registries.connect(reference))
        descriptor = source.resolve(str(reference.digest or reference.tag))
        manifest = read_manifest(source, descriptor, platform)
        return decode_config(read_document(source, manifest.config))
