"""What a container has changed: listed (`diff`), made an image (`commit`); its files (`export`).

The changes are in the container's upper directory. `commit` copies it, and while it reads, the
container's processes are frozen unless they should not be: then every file is as it was at one
moment. The copy becomes a layer as a step of a build does. Volumes and other mounts are no part of
any of it.

A process that is killed while it holds a container frozen leaves a journal entry; recovery thaws
the container.

Docker: "docker commit" keeps the container's options as the image's config, with `--change` on top
"""

from __future__ import annotations

import os
import time

from knarr.engine.freezing import Frozen, thaw
from knarr.engine.image.places.storetarget import image_row
from knarr.engine.images import parse_tag
from knarr.engine.noting import note
from knarr.errors import Conflict, InvalidArgument
from knarr.oci.config import History, RunConfig, encode_config
from knarr.oci.document import EMPTY, FrozenDict
from knarr.store.journal import EVERYTHING
from knarr.store.layers import LayerRecords, LayerRow
from knarr.util.times import render_rfc3339
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Options
    from knarr.oci.config import ImageConfig
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.snapshot.snapshotter import Applied, Change
    from knarr.store.journal import Entry
    from knarr.util.tarwriter import Sink

COMMIT = "commit"


class CommitOptions(Value):
    """What the image is to be like: its name, instructions to carry out, author, comment.

    What `config` says goes before what the container says.
    """

    reference: str = ""
    changes: tuple[str, ...] = ()
    author: str = ""
    comment: str = ""
    pause: bool = True
    config: RunConfig | None = None


def changes(container: Container) -> Iterator[Change]:
    """Yield what a container has changed in the files of its image.

    Docker: "docker diff"
    """
    engine = container.engine
    return engine.layers.changes(engine.paths.container(container.id), _stack(container))


def export(container: Container, out: Sink) -> None:
    """Write the container's files, as an archive, as they are while that goes on.

    Docker: "docker export" leaves out what is mounted
    """
    from knarr.snapshot.pack import Packer  # noqa: PLC0415 - not for who commits

    engine = container.engine
    directory = engine.paths.container(container.id)
    root_fd = engine.layers.mount(_stack(container), active=directory, readonly=True)
    try:
        Packer(root_fd, out).pack()
    finally:
        os.close(root_fd)
    note(engine.paths, container.row, "export")


def commit(container: Container, options: CommitOptions) -> Digest:
    """Make an image of the container's changes, and return its ID.

    Raises: InvalidArgument, SyntaxFault, NotFound, Conflict
    """
    engine, row = container.engine, container.row
    if container.options.rootfs:
        message = (
            f"container {container.name} has no image: it stands on {container.options.rootfs}"
        )
        raise InvalidArgument(message, hint="knarr export and knarr import make an image of it.")
    reference = parse_tag(options.reference) if options.reference else None
    base = _base(container)
    config = run_config(container.options)
    if options.config is not None:
        config = merged(options.config, config)
    if options.changes:
        from knarr.build.changes import change_config  # noqa: PLC0415 - only for who gives any

        config = change_config(config, options.changes, platform=base.platform)
    with engine.journal.begin(COMMIT, row.id, needs=(EVERYTHING,)) as operation:
        stack = _stack(container)
        with engine.layers.incoming() as incoming:
            with Frozen([container] if options.pause else [], operation.note):
                directory = engine.paths.container(row.id)
                engine.layers.capture(f"{directory}/upper", incoming.path)
                trace("commit:captured")
            layer = None
            if not _unchanged(engine, incoming.path, stack):
                layer = engine.layers.adopt(incoming.path, parents=stack)
        trace("commit:adopted")
        made = _describe(container, base, config, layer, options)
        image_id = _record(container, made, layer, reference)
    about = {"comment": options.comment, "imageID": str(image_id)}
    if reference is not None:
        engine.images.note("tag", image_id, reference.familiar())
        about["imageRef"] = reference.familiar()
    note(engine.paths, row, "commit", **about)
    return image_id


def _stack(container: Container) -> tuple[Digest, ...]:
    return LayerRecords(container.engine.database).stack(container.row.chain)


def _base(container: Container) -> ImageConfig:
    """Return the config of the image that the container was made of.

    Raises: Conflict, NotFound
    """
    if container.row.image is None:
        message = f"container {container.name} was not made of an image"
        raise Conflict(message)
    return container.engine.images.config(container.row.image)


def _unchanged(engine: Engine, directory: str, stack: tuple[Digest, ...]) -> bool:
    """Tell whether an upper directory holds nothing, and its root is as that of the stack."""
    if os.listdir(directory):
        return False
    own, below = os.stat(directory), os.stat(engine.layers.lowers(stack)[0])
    return (own.st_mode, own.st_uid, own.st_gid) == (below.st_mode, below.st_uid, below.st_gid)


def run_config(options: Options) -> RunConfig:
    """Return what a container runs, as an image's config says it.

    Docker: triggers (ONBUILD) and the shell of the image are not a container's options
    """
    return RunConfig(
        user=options.user,
        exposed_ports=options.exposed,
        env=tuple(entry for entry in options.env if "=" in entry),
        entrypoint=options.entrypoint,
        cmd=options.command,
        volumes=options.volumes,
        working_dir=options.working_dir,
        labels=FrozenDict(options.labels),
        stop_signal=options.stop_signal,
        stop_timeout=options.stop_timeout,
        healthcheck=options.healthcheck,
    )


def merged(given: RunConfig, own: RunConfig) -> RunConfig:
    """Return what `given` says, and for the rest of it `own`.

    Docker: ports, variables, volumes and labels are added up; a command goes with its entrypoint
    """
    named = {entry.partition("=")[0] for entry in given.env}
    fields: dict[str, Any] = {
        "exposed_ports": tuple(dict.fromkeys((*given.exposed_ports, *own.exposed_ports))),
        "volumes": tuple(dict.fromkeys((*given.volumes, *own.volumes))),
        "env": (*given.env, *(e for e in own.env if e.partition("=")[0] not in named)),
        "labels": FrozenDict({**own.labels, **given.labels}),
    }
    if given.entrypoint is None:
        fields["entrypoint"] = own.entrypoint
        fields["cmd"] = own.cmd if given.cmd is None else given.cmd
    for name in ("user", "working_dir", "stop_signal", "stop_timeout", "healthcheck"):
        fields[name] = getattr(given, name) or getattr(own, name)
    return given.replace(**fields, extra=EMPTY)


def _describe(
    container: Container,
    base: ImageConfig,
    config: RunConfig,
    layer: Applied | None,
    options: CommitOptions,
) -> ImageConfig:
    created = render_rfc3339(time.time_ns())
    line = History(
        created=created,
        created_by=" ".join(container.options.command or ()),
        author=options.author,
        comment=options.comment,
        empty_layer=layer is None,
    )
    return encode_config(
        platform=base.platform,
        created=created,
        author=options.author,
        config=config,
        diff_ids=(*base.diff_ids, layer.diff_id) if layer else base.diff_ids,
        history=(*base.history, *_untold(base), line),
    )


def _untold(base: ImageConfig) -> list[History]:
    """Return a line for each layer of which the history says nothing, so that ours fits its own."""
    told = sum(not line.empty_layer for line in base.history)
    return [History(created=base.created)] * (len(base.diff_ids) - told)


def _record(
    container: Container, config: ImageConfig, layer: Applied | None, reference: Reference | None
) -> Digest:
    """Record the image, its layer and its name, all or nothing."""
    engine = container.engine
    engine.blobs.put(config.raw)
    engine.layers.sync()
    now_ns = time.time_ns()
    records = engine.images.layers
    with engine.database.transaction():
        stack = _stack(container)
        if layer:
            parent = stack[-1] if stack else None
            records.add(
                LayerRow(layer.chain_id, layer.diff_id, parent, layer.size, layer.tar_size, now_ns)
            )
            stack += (layer.chain_id,)
        row = image_row(config, [records.get(chain) for chain in stack], now_ns)
        engine.images.records.add(row.replace(parent=container.row.image), stack, (config.digest,))
        if reference:
            engine.images.tags.set(reference, config.digest, now_ns)
        trace("commit:recorded")
    engine.images.publish()
    return config.digest


def finish(engine: Engine, entry: Entry) -> str:
    """Take back what a commit that was killed has left behind."""
    said = thaw(engine, entry.detail.split(), COMMIT)
    return said or f"took back a commit of container {entry.key[:12]}, which was interrupted"
