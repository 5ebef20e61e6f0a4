"""`--volumes-from`: the mounts of other containers, as they were asked for there.

Docker: registerMountPoints of moby: binds and volumes are taken over, a tmpfs is not; what the
container mounts itself goes before, and of two others the later one
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest, Options


def inherit(engine: Engine, options: Options) -> Options:
    """Return the options with the mounts of the containers that `volumes_from` names.

    Raises: NotFound, InvalidArgument
    """
    from knarr.engine.options.storage import parse_volumes_from  # noqa: PLC0415 - for few

    own = {mount.target for mount in options.mounts}
    found: dict[str, MountRequest] = {}
    for text in options.volumes_from:
        name, readonly = parse_volumes_from(text)
        for mount in engine.containers.get(name).options.mounts:
            if mount.kind in ("bind", "image", "volume") and mount.target not in own:
                found[mount.target] = mount.replace(
                    readonly=mount.readonly or readonly,
                    creates_source=True,
                    image_volume=False,
                    anonymous=False,
                    inherited=True,
                )
    return options.replace(mounts=(*options.mounts, *found.values()))
