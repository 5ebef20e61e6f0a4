"""What the mounts of a container are made of: directories, volumes with options.

Loaded for containers that mount more than directories of the host.
"""

from __future__ import annotations

from knarr.engine.container.mounts import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest


class Sources:
    """Answers `plan_mounts` for one container."""

    __slots__ = ("_directory", "_engine")

    def __init__(self, engine: Engine, container_id: str) -> None:
        """Prepare."""
        self._engine = engine
        self._directory = engine.paths.container(container_id)

    def __call__(self, request: MountRequest) -> Source:
        """Return what `request` mounts.

        Raises: NotFound, Failed
        """
        if request.kind == "volume":
            return self._volume(request)
        return Source(request.source)

    def _volume(self, request: MountRequest) -> Source:
        mounted = self._engine.volumes.mounted(request.source)
        return Source(mounted.path, mounted.words, mounted.file_system)
