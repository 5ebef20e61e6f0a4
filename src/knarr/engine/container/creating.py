"""Creating a container: a directory with its lock, its record, its file system.

The record comes before the file system: from then on the name is taken, and the layers cannot go.
Who finds the record meanwhile and wants to change the container's state waits for its lock. A
journal entry covers all of it; recovery removes a container whose making was cut short, record and
all: nobody had been told its ID.
"""

from __future__ import annotations

import os
import time

from knarr.engine.container.locks import ContainerLock
from knarr.engine.container.names import generate_name
from knarr.engine.container.specify import INIT
from knarr.engine.noting import note
from knarr.engine.options.checks import check_options
from knarr.engine.options.encoding import encode
from knarr.engine.options.merge import merged
from knarr.engine.options.security import capabilities
from knarr.engine.options.values import Resources
from knarr.errors import Conflict, InvalidArgument, NotFound
from knarr.store.containers import ContainerRecords, ContainerRow
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest, Options
    from knarr.oci.config import RunConfig
    from knarr.oci.digest import Digest
    from knarr.store.images import ImageRow

CREATING = "create"
NAME_ATTEMPTS = 100

# What every container has something mounted on, or expects to find: a directory, an empty file, or
# a link. Docker: initlayer of moby
POINTS = (
    ("dev", "/"), ("proc", "/"), ("sys", "/"), ("etc/hosts", ""), ("etc/hostname", ""),
    ("etc/resolv.conf", ""), ("etc/mtab", "/proc/mounts"), (".dockerenv", ""),
)  # fmt: skip


def new_id() -> str:
    """Return an ID that nobody has."""
    return os.urandom(32).hex()


def create(
    engine: Engine, options: Options, *, name: str = "", container_id: str = ""
) -> tuple[ContainerRow, Options, list[str]]:
    """Create a container: return its record, its options merged with the image's, and warnings.

    Raises: InvalidArgument, NotFound, Conflict
    """
    check_options(options, processors=os.cpu_count() or 1)
    name = name.removeprefix("/")
    if name:
        from knarr.engine.options.names import check_name  # noqa: PLC0415 - names of our own fit

        check_name(name)
    image = None if options.rootfs else engine.images.get(options.image)
    if image is not None and options.platform:
        image = _for_platform(engine, image, options)
    if options.namespaces.user.startswith("keep-id"):
        from knarr.engine.container.neighbours import keep_users  # noqa: PLC0415 - for few

        options = keep_users(options)
    if options.secrets:
        from knarr.engine.supplies.secrets import check  # noqa: PLC0415 - for few containers

        check(engine, options)
    if any(place.links for place in options.networking.joins):
        from knarr.engine.supplies import links  # noqa: PLC0415 - for few containers

        links.check(engine, options)
    if options.volumes_from:
        from knarr.engine.supplies.inherited import inherit  # noqa: PLC0415 - for few containers

        options = inherit(engine, options)
    options = _settled(merged(options, _config(engine, image, options)))
    capabilities(options.security)
    options, warnings = _fitted(engine, options)
    image_id = image.id if image else None
    row = ContainerRow(container_id or new_id(), name, image_id, None, time.time_ns(), "")
    with engine.journal.begin(CREATING, row.id), ContainerLock(engine.paths, row.id, make=True):
        try:
            row, options, stack = _record(engine, row, options)
            _prepare(engine, row, options, stack)
        except BaseException:
            forget(engine, row.id)
            raise
    note(engine.paths, row, "create")
    return row, options, warnings


def _fitted(engine: Engine, options: Options) -> tuple[Options, list[str]]:
    """Return the options as this host and its containers allow them, and what is to be said of it.

    Raises: InvalidArgument, NotFound, Unsupported
    """
    warnings: list[str] = []
    if options.runtime:
        from knarr.engine.runtimes import find_runtime  # noqa: PLC0415 - for few

        find_runtime(options.runtime)
    if options.resources != Resources():
        from knarr.engine.resources import support  # noqa: PLC0415 - for few containers

        support.require_nodes(options)
        options, warnings = support.without_unsupported(options, support.find_support())
    if options.security.writable_cgroups:
        from knarr.engine.resources.support import require_writable  # noqa: PLC0415 - for few

        require_writable(options)
    if options.storage_opt:
        from knarr.engine.space.quotas import container_size  # noqa: PLC0415 - for few

        container_size(options.storage_opt, engine.paths.containers_dir)
    if options.joins:
        from knarr.engine.container import neighbours  # noqa: PLC0415 - for few containers

        options = neighbours.settle(engine, options)
    return options, warnings


def _config(engine: Engine, image: ImageRow | None, options: Options) -> RunConfig:
    """Return what the image says of its containers; a directory of the host says nothing."""
    if image is None:
        from knarr.oci.config import RunConfig  # noqa: PLC0415 - for few containers

        if not os.path.isdir(options.rootfs):
            message = f"no such directory: {options.rootfs}"
            raise NotFound(message, hint="With --rootfs the first argument is a directory.")
        return RunConfig()
    try:
        return engine.images.config(image.id).config
    except NotFound as error:
        raise _gone(options) from error


def _for_platform(engine: Engine, image: ImageRow, options: Options) -> ImageRow:
    """Return the image, or that of the same name, for the platform that was asked for.

    Raises: InvalidArgument, NotFound
    """
    from knarr.oci.descriptor import parse_platform  # noqa: PLC0415 - for few containers

    found = engine.images.choose(options.image, parse_platform(options.platform))
    if found is not None:
        return found
    actual = f"{image.platform.os}/{image.platform.architecture}"
    message = (
        f"image with reference {options.image} was found but does not match the specified "
        f"platform: wanted {options.platform}, actual: {actual}"
    )
    hint = f"knarr pull --platform {options.platform} {options.image} gets it."
    raise NotFound(message, hint=hint)


def _gone(options: Options) -> NotFound:
    message = f"no such image: {options.image}"
    return NotFound(message, hint="It was removed a moment ago.")


def _prepare(
    engine: Engine, row: ContainerRow, options: Options, stack: tuple[Digest, ...]
) -> None:
    """Make the file system, and fill new volumes from the image's."""
    points = (*POINTS, *([(INIT.strip("/"), "")] if options.init else ()))
    directory = engine.paths.container(row.id)
    engine.layers.prepare(directory, stack, points=points, base=options.rootfs)
    if options.storage_opt:
        from knarr.engine.space.quotas import container_size, limit  # noqa: PLC0415 - for few

        size = container_size(options.storage_opt, directory)
        limit((f"{directory}/upper", f"{directory}/work"), size)
    if options.working_dir.strip("/"):
        _check_directory(engine, row, options.working_dir, stack)
    volumes = [mount for mount in options.mounts if mount.kind == "volume"]
    if volumes:
        engine.volumes.fill(stack, volumes)
    trace("create:prepared")


def _check_directory(
    engine: Engine, row: ContainerRow, path: str, stack: tuple[Digest, ...]
) -> None:
    """Raise if the working directory cannot be one, since the image has a file there.

    A link on the way may lead anywhere, and is left to the start.

    Raises: InvalidArgument
    """
    import stat  # noqa: PLC0415 - loaded by then

    from knarr.snapshot.lowers import Directory  # noqa: PLC0415 - as above

    bundle_dir = engine.paths.container(row.id)
    place: Directory | None = Directory(
        [f"{bundle_dir}/upper", *engine.layers.view(stack, active=bundle_dir).paths]
    )
    for name in path.strip("/").split("/"):
        found = place.find(name) if place else None
        if found is None or stat.S_ISLNK(found.status.st_mode):
            return
        place = found.directory
        if place is None:
            message = f"cannot mkdir: {path} is not a directory"
            raise InvalidArgument(message)


def _settled(options: Options) -> Options:
    """Return the options with a name for every volume that has none."""
    if not any(mount.kind == "volume" and not mount.source for mount in options.mounts):
        return options
    return options.replace(mounts=tuple(_named(mount) for mount in options.mounts))


def _named(mount: MountRequest) -> MountRequest:
    if mount.kind == "volume" and not mount.source:
        return mount.replace(source=os.urandom(32).hex(), anonymous=True)
    return mount


def _record(
    engine: Engine, row: ContainerRow, options: Options
) -> tuple[ContainerRow, Options, tuple[Digest, ...]]:
    """Record the container with its volumes, under a name that is free, on the image's stack.

    The stack is read in the same transaction: an image that is gone by now would seem empty.

    Raises: Conflict, NotFound
    """
    records = ContainerRecords(engine.database)
    volumes = [mount for mount in options.mounts if mount.kind == "volume"]
    # A power cut ends a container that removes itself: its record need not survive that.
    with engine.database.transaction(durable=bool(volumes) or not options.auto_remove):
        if row.image is None:
            stack: tuple[Digest, ...] = ()
        elif engine.images.records.find(row.image) is None:
            raise _gone(options)
        else:
            stack = engine.images.stack(row.image)
        if options.namespaces.user.startswith("auto"):
            from knarr.engine.container.neighbours import claim_users  # noqa: PLC0415 - for few

            options = claim_users(engine, options)
        images = any(mount.kind == "image" for mount in options.mounts)
        if images:
            from knarr.engine.volume.overlays import find_images, keep_images  # noqa: PLC0415 - for few

            options = find_images(engine, options)
        row = row.replace(
            name=row.name or _free_name(records),
            chain=stack[-1] if stack else None,
            options=encode(options),
        )
        refuse_taken(records, row.name)
        records.add(row)
        if images:
            keep_images(engine, row.id, options)
        if volumes:
            engine.volumes.claim(row.id, volumes)
        trace("create:recorded")
    return row, options, stack


def _free_name(records: ContainerRecords) -> str:
    for attempt in range(NAME_ATTEMPTS):
        name = generate_name(attempt)
        if records.find_by_name(name) is None:
            return name
    return f"container_{os.urandom(6).hex()}"


def refuse_taken(records: ContainerRecords, name: str) -> None:
    """Raise if a container has this name.

    Raises: Conflict
    """
    other = records.find_by_name(name)
    if other is not None:
        message = (
            f'Conflict. The container name "/{name}" is already in use by container '
            f'"{other.id}". You have to remove (or rename) that container to be able to reuse '
            "that name."
        )
        raise Conflict(message)


def forget(engine: Engine, container_id: str) -> None:
    """Remove a container of which nothing but a directory, and perhaps its record, exists."""
    from knarr.engine.container.removing import remove_directory  # noqa: PLC0415 - only for what failed

    with engine.database.transaction():
        engine.volumes.release(container_id)
        ContainerRecords(engine.database).remove(container_id)
    remove_directory(engine.paths, container_id)
    engine.volumes.sweep()
