"""What has to be on the disk before a container starts: directories for overlays, owners.

What a container changes in an overlay (`-v /src:/src:O`, an image mounted `rw`) is kept beside its
own files and forgotten at its next start, unless the user names the directories for it.

Podman: the modes O and U of -v
"""

from __future__ import annotations

import os
import stat

from knarr.engine.options.idmaps import translate
from knarr.engine.volume.content import open_content
from knarr.errors import InvalidArgument
from knarr.linux.tree import Walk, remove_path
from knarr.oci.digest import Digest, digest_of
from knarr.snapshot.overlay import copy_attributes
from knarr.store.containers import ContainerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.container.users import Identity
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest, Options
    from knarr.engine.paths import Paths

OVERLAYS = "overlays"
# What the host lives on, and what holds the directories of others: no container's to be given.
_KEPT = frozenset((
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt",
    "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib",
    "/var/log", "/var/run", "/var/tmp",
))  # fmt: skip


def overlay_dirs(paths: Paths, container_id: str, request: MountRequest) -> tuple[str, str]:
    """Return the upper and the work directory of an overlay."""
    if request.upper_dir:
        return request.upper_dir, request.work_dir
    name = digest_of(request.target.encode()).hex[:16]
    directory = f"{paths.container(container_id)}/{OVERLAYS}/{name}"
    return f"{directory}/upper", f"{directory}/work"


def find_images(engine: Engine, options: Options) -> Options:
    """Return the options with the layers of the images that are to be mounted.

    Part of the transaction that records the container, as is `keep_images`.

    Raises: NotFound
    """
    return options.replace(mounts=tuple(_found(engine, mount) for mount in options.mounts))


def _found(engine: Engine, mount: MountRequest) -> MountRequest:
    if mount.kind != "image" or mount.chain:
        return mount
    stack = engine.images.stack(engine.images.get(mount.source).id)
    return mount.replace(chain=str(stack[-1]) if stack else "")


def keep_images(engine: Engine, container_id: str, options: Options) -> None:
    """Record that these layers are not to be removed while the container exists."""
    chains = [mount.chain for mount in options.mounts if mount.chain]
    ContainerRecords(engine.database).keep_layers(container_id, chains)


def prepare(engine: Engine, container_id: str, options: Options, identity: Identity) -> None:
    """Make the directories of overlays anew, and give sources to the user of the container.

    Raises: InvalidArgument
    """
    for request in options.mounts:
        if request.overlay or (request.kind == "image" and not request.readonly):
            _make_dirs(engine, container_id, request)
        elif request.chown:
            _give(engine, options, request, identity)


def _make_dirs(engine: Engine, container_id: str, request: MountRequest) -> None:
    dirs = overlay_dirs(engine.paths, container_id, request)
    if request.upper_dir:
        for path in dirs:
            if not os.path.isdir(path):
                message = f"no such directory: {path}"
                raise InvalidArgument(message, hint="upperdir= and workdir= have to be there.")
        return
    for path in dirs:
        if os.path.isdir(path):
            remove_path(path)
        os.makedirs(path, 0o755)
    copy_attributes(_top(engine, request), dirs[0])


def _top(engine: Engine, request: MountRequest) -> str:
    """Return the directory whose owner and mode the overlay's own shows."""
    if request.kind == "image":
        return engine.layers.lowers((Digest(request.chain),) if request.chain else ())[0]
    return engine.volumes.path(request.source) if request.kind == "volume" else request.source


def _give(engine: Engine, options: Options, request: MountRequest, identity: Identity) -> None:
    """Make everything in a source the container's user's: on the disk, where volumes map owners."""
    owner = (identity.uid, identity.gid)
    if request.kind == "volume":
        source_fd = open_content(engine, request.source)
    else:
        if os.path.realpath(request.source) in _KEPT:
            message = f"cannot change the owners in {request.source}: the host lives on it"
            raise InvalidArgument(message)
        spaces = options.namespaces
        owner = (translate(owner[0], spaces.uid_map), translate(owner[1], spaces.gid_map))
        source_fd = os.open(request.source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchown(source_fd, *owner)
        if stat.S_ISDIR(os.fstat(source_fd).st_mode):
            for _, directory_fd, name, status in Walk(source_fd):
                if (status.st_uid, status.st_gid) != owner:
                    os.chown(name, *owner, dir_fd=directory_fd, follow_symlinks=False)
    finally:
        os.close(source_fd)
