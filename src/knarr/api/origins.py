"""Where images came from: the repositories that have them, and the builds that made them."""

from __future__ import annotations

from knarr.util.times import render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.build.history.finding import Build
    from knarr.engine.engine import Engine
    from knarr.engine.images import Image


class Origins:
    """What is remembered of all builds, to be asked for one image after another."""

    def __init__(self, engine: Engine) -> None:
        """Read the history of builds once."""
        from knarr.engine.build.history.finding import list_builds  # noqa: PLC0415 - few ask

        self._builds: dict[str, list[Build]] = {}
        for build in list_builds(engine):
            if made := build.about.get("image"):
                self._builds.setdefault(made, []).append(build)

    def of(self, image: Image) -> dict[str, Any]:
        """Return the object "Identity" of an image, empty if nothing is known.

        Docker: a repository that it was pushed to counts like one that it was pulled from
        """
        found: dict[str, Any] = {}
        if names := sorted({reference.name for reference in image.digests}):
            found["Pull"] = [{"Repository": name} for name in names]
        if builds := self._builds.get(str(image.row.id)):
            found["Build"] = [
                {"Ref": build.run.id, "CreatedAt": render_rfc3339(build.run.started_ns)}
                for build in builds
            ]
        return found
