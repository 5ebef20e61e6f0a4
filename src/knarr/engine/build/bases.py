"""The images that a build stands on: from the store, or pulled when they are not there.

Docker: `--pull` asks the registry each time
"""

from __future__ import annotations

import time

from knarr.build.events import Finished, Started
from knarr.engine.build.layouts import LAYOUT, take_from_layout
from knarr.errors import (
    InvalidArgument,
    KnarrError,
    NotFound,
    PermissionDenied,
    Unauthorized,
    Unavailable,
)
from knarr.oci.reference import looks_like_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.build.events import Event
    from knarr.engine.engine import Engine
    from knarr.oci.descriptor import Platform
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow


class Bases:
    """The bases of one build. What was asked for once is not asked for again."""

    def __init__(
        self, engine: Engine, *, pull: bool = False, report: Callable[[Event], object] | None = None
    ) -> None:
        self._engine = engine
        self._pull = pull
        self._report = report
        self._pulled: set[tuple[str, Platform]] = set()
        self._taken: dict[tuple[str, Platform], Digest] = {}

    def get(self, reference: str, platform: Platform) -> ImageRow:
        """Return the image `reference` for `platform`, or as the store has it.

        Raises: InvalidArgument, NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
        """
        row = self._get(reference, platform)
        self._engine.images.records.touch(row.id, time.time_ns())
        return row

    def _get(self, reference: str, platform: Platform) -> ImageRow:
        if reference.startswith(LAYOUT):
            return self._from_layout(reference, platform)
        try:
            here = self._engine.images.find(reference)
            row = self._engine.images.choose(reference, platform)
        except InvalidArgument as error:
            message = f"failed to parse stage name {reference!r}: {error}"
            raise InvalidArgument(message, hint=error.hint) from None
        is_id = looks_like_id(reference) or reference.startswith("sha256:")
        done = (reference, platform) in self._pulled
        if here is not None and (is_id or done or (row is not None and not self._pull)):
            return row or here
        if here is not None and row is None and not self._engine.images.image(here).digests:
            return here  # made here for another platform: no registry has it
        if is_id:
            message = f"{reference}: failed to resolve source metadata: no such image"
            raise NotFound(message, hint="knarr images lists what is in the local store.")
        self._pulled.add((reference, platform))
        return self._fetch(reference, platform)

    def _from_layout(self, reference: str, platform: Platform) -> ImageRow:
        asked = (reference, platform)
        if asked not in self._taken:
            self._taken[asked] = take_from_layout(self._engine, *asked)
        return self._engine.images.records.get(self._taken[asked])

    def _fetch(self, reference: str, platform: Platform) -> ImageRow:
        images, registries = self._engine.images, self._engine.registries
        name = f"[internal] pull {reference}"
        failure: KnarrError = NotFound("no registry is known")
        self._tell(Started(name, name))
        try:
            for candidate in registries.candidates(reference):
                try:
                    pulled = images.pull(candidate, platform=platform)
                except (NotFound, PermissionDenied, Unauthorized, Unavailable) as error:
                    failure = error
                else:
                    self._tell(Finished(name))
                    return images.records.get(pulled.id)
            message = f"{reference}: failed to resolve source metadata: {failure}"
            hint = "It is not in the local store either (knarr images lists it)."
            raise type(failure)(message, hint=failure.hint or hint)
        except KnarrError as error:
            self._tell(Finished(name, error=error.message))
            raise

    def _tell(self, event: Event) -> None:
        if self._report is not None:
            self._report(event)
