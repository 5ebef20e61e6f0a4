"""Making one layer of all layers of an image: `image squash`.

The file system that a container would see is copied into a tree of its own; what lower layers have
and higher ones hide is left behind. The image is given the times of the first one: squashed again,
it is the same again.
"""

from __future__ import annotations

import os
import time

from knarr.engine.image.places.storetarget import image_row
from knarr.engine.images import parse_tag
from knarr.errors import InvalidArgument
from knarr.oci.config import History, encode_config
from knarr.store.journal import EVERYTHING
from knarr.store.layers import LayerRow
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.oci.config import ImageConfig
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.snapshot.snapshotter import Applied


def squash(engine: Engine, text: str, *, tag: str = "") -> Digest:
    """Make an image of one layer of the image `text`, named `tag` if given; return its ID.

    Raises: InvalidArgument, NotFound, Corrupt
    """
    reference = parse_tag(tag) if tag else None
    with engine.journal.begin("squash", text, needs=(EVERYTHING,)):
        image_id = engine.images.get(text).id
        stack = engine.images.stack(image_id)
        if not stack:
            message = f"image {text} has no layers"
            raise InvalidArgument(message)
        layer = _flatten(engine, stack)
        trace("squash:adopted")
        config = _describe(engine.images.config(image_id), image_id, layer)
        _record(engine, config, layer, reference)
    if reference is not None:
        engine.images.note("tag", config.digest, reference.familiar())
    return config.digest


def _flatten(engine: Engine, stack: tuple[Digest, ...]) -> Applied:
    root_fd = engine.layers.mount(stack, readonly=True)
    try:
        with engine.layers.incoming() as incoming:
            engine.layers.capture(f"/proc/self/fd/{root_fd}/.", incoming.path)
            return engine.layers.adopt(incoming.path)
    finally:
        os.close(root_fd)


def _describe(base: ImageConfig, image_id: Digest, layer: Applied) -> ImageConfig:
    """Return the config of the image; the lines of its history have no layers any more.

    Docker: what `docker build --squash` adds to the history
    """
    merged = History(created=base.created, comment=f"merge {image_id} to one layer")
    lines = [line.replace(empty_layer=True) for line in base.history]
    return encode_config(
        platform=base.platform,
        created=base.created,
        author=base.author,
        config=base.config,
        diff_ids=(layer.diff_id,),
        history=(*lines, merged),
    )


def _record(
    engine: Engine, config: ImageConfig, layer: Applied, reference: Reference | None
) -> None:
    """Record the image, its layer and its name, all or nothing."""
    engine.blobs.put(config.raw)
    engine.layers.sync()
    now_ns = time.time_ns()
    row = LayerRow(layer.chain_id, layer.diff_id, None, layer.size, layer.tar_size, now_ns)
    with engine.database.transaction():
        engine.images.layers.add(row)
        image = image_row(config, [row], now_ns)
        engine.images.records.add(image, (layer.chain_id,), (config.digest,))
        if reference:
            engine.images.tags.set(reference, config.digest, now_ns)
        trace("squash:recorded")
    engine.images.publish()
