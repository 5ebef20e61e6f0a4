"""What the mounts of a container are made of: directories, volumes, images, overlays on these.

Loaded for containers that mount more than files of the host as they are. See
`runtime.steps.carried` for how a file system is mounted that a mount brings with it.
"""

from __future__ import annotations

import os

from knarr.engine.container.mounts import Source
from knarr.engine.options.idmaps import owner_ranges, parse_idmap
from knarr.engine.volume.overlays import overlay_dirs
from knarr.errors import InvalidArgument
from knarr.oci.digest import Digest
from knarr.store.layers import LayerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.container.users import Identity
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest, Options
    from knarr.oci.runtime import FileSystem

# As a container's root is mounted: an upper directory stays plain.
_OVERLAY = ("redirect_dir=nofollow", "metacopy=off", "index=off")


class Sources:
    """Answers `plan_mounts` for one container."""

    __slots__ = ("_engine", "_id", "_identity", "_options")

    def __init__(
        self, engine: Engine, container_id: str, options: Options, identity: Identity | None
    ) -> None:
        """Prepare; without its `identity` a container's files are seen with the disk's owners."""
        self._engine = engine
        self._id = container_id
        self._options = options
        self._identity = identity

    def __call__(self, request: MountRequest) -> Source:
        """Return what `request` mounts.

        Raises: InvalidArgument, NotFound, Failed
        """
        if request.kind == "image":
            return self._image(request)
        if request.kind == "volume":
            mounted = self._engine.volumes.mounted(request.source)
            source = Source(mounted.path, mounted.words, mounted.file_system)
        else:
            source = Source(request.source)
        if request.overlay:
            return self._changed_apart(request, source)
        if request.kind == "bind" and request.mapped and self._identity is not None:
            return self._mapped(request, source, self._identity)
        return source

    def _image(self, request: MountRequest) -> Source:
        chain = Digest(request.chain) if request.chain else None
        layers = LayerRecords(self._engine.database).stack(chain)
        lowers = self._engine.layers.lowers(layers)
        if not request.readonly:
            return self._overlay(request, lowers)
        if len(lowers) == 1:
            return Source(lowers[0])
        return Source(request.source, (), _file_system(lowers))

    def _changed_apart(self, request: MountRequest, source: Source) -> Source:
        if source.file_system is not None or not os.path.isdir(source.path):
            message = f"cannot mount {request.source} as an overlay: it is no directory of the host"
            raise InvalidArgument(message)
        return self._overlay(request, [source.path])

    def _overlay(self, request: MountRequest, lowers: list[str]) -> Source:
        upper_dir, work_dir = overlay_dirs(self._engine.paths, self._id, request)
        system = _file_system(lowers, f"upperdir={upper_dir}", f"workdir={work_dir}")
        return Source(request.source, (), system)

    def _mapped(self, request: MountRequest, source: Source, identity: Identity) -> Source:
        """Let the container's user stand for the owner of the directory, unless others are said.

        Without a map of its own, as in the namespace of another container, that one's counts.
        """
        spaces = self._options.namespaces
        if spaces.remapped and not spaces.uid_map and not request.idmap:
            return source
        status = os.stat(source.path)
        uids, gids = parse_idmap(request.idmap, spaces.uid_map, spaces.gid_map)
        return source.replace(
            uid_map=tuple(uids or owner_ranges(status.st_uid, identity.uid, spaces.uid_map)),
            gid_map=tuple(gids or owner_ranges(status.st_gid, identity.gid, spaces.gid_map)),
        )


def _file_system(lowers: list[str], *more: str) -> FileSystem:
    words = [*(f"lowerdir+={path}" for path in lowers), *more, *_OVERLAY]
    return {"type": "overlay", "source": "overlay", "options": words}
