"""Making one layer of several layers of an image, or of all: `image squash`.

The file system that a container would see stays the same; what the layers have and others of them
hide is left behind. The image is given the times of the first one: squashed again, it is the same
again.
"""

from __future__ import annotations

import time

from knarr.engine.image.places.storetarget import image_row
from knarr.engine.images import parse_tag
from knarr.errors import InvalidArgument, NotFound
from knarr.linux.overlay import MAX_LOWERS
from knarr.oci.config import History, encode_config
from knarr.store.journal import EVERYTHING
from knarr.store.layers import LayerRow
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.engine.engine import Engine
    from knarr.oci.config import ImageConfig
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference
    from knarr.snapshot.snapshotter import Applied, Stack

_SHORTEST = 12  # digits of a digest by which a layer is meant


def squash(
    engine: Engine, text: str, *, tag: str = "", start: str = "", new: bool = False
) -> Digest:
    """Make an image of fewer layers of the image `text`, named `tag` if given; return its ID.

    All layers become one; from `start` on, a step, a layer or an image below, if that is given;
    with `new` those above the image that this one stands on.

    Raises: InvalidArgument, NotFound, Corrupt
    """
    reference = parse_tag(tag) if tag else None
    with engine.journal.begin("squash", text, needs=(EVERYTHING,)):
        image_id = engine.images.get(text).id
        stack = engine.images.stack(image_id)
        config = engine.images.config(image_id)
        count = _kept(engine, config, stack, start=start, new=new)
        if count >= len(stack):
            message = f"image {text} has no layers" + (" above that" if count else "")
            raise InvalidArgument(message)
        layer = _merge(engine, stack, count)
        trace("squash:adopted")
        described = _describe(config, image_id, count, layer)
        _record(engine, described, stack[:count], layer, reference)
    if reference is not None:
        engine.images.note("tag", described.digest, reference.familiar())
    return described.digest


def _kept(engine: Engine, config: ImageConfig, stack: Stack, *, start: str, new: bool) -> int:
    """Return how many layers, from the bottom up, stay as they are."""
    if new:
        return _longest_below(engine, stack)
    if not start:
        return 0
    if start.isdecimal() and len(start) < _SHORTEST:
        return _before_step(config, int(start))
    digits = start.removeprefix("sha256:")
    if len(digits) >= _SHORTEST:
        for position, names in enumerate(zip(config.diff_ids, stack, strict=True)):
            if any(name.hex.startswith(digits) for name in names):
                return position
    below = engine.images.stack(engine.images.get(start).id)
    if stack[: len(below)] != below:
        message = f"the image does not stand on {start}"
        raise InvalidArgument(message, hint="Name a step of its history, or one of its layers.")
    return len(below)


def _before_step(config: ImageConfig, step: int) -> int:
    if not 1 <= step <= len(config.history):
        message = f"the image has no step {step}"
        hint = f"Its history has {len(config.history)} lines; the oldest is step 1."
        raise InvalidArgument(message, hint=hint)
    return sum(not line.empty_layer for line in config.history[: step - 1])


def _longest_below(engine: Engine, stack: Stack) -> int:
    """Return how many layers the image has of which this one is made, as far as that is here."""
    others = [engine.images.stack(row.id) for row in engine.images.records.all()]
    found = [len(other) for other in others if other != stack and other == stack[: len(other)]]
    if not any(found):
        message = "the image that this one was made from is not here"
        raise NotFound(message, hint="Name with --from what is to become one layer.")
    return max(found)


def _merge(engine: Engine, stack: Stack, count: int) -> Applied:
    """Make one layer of all but `count` layers; if they are too many to be mounted, bit by bit."""
    merged = _merge_once(engine, stack[:MAX_LOWERS], count)
    more = max(MAX_LOWERS - count - 1, 1)
    for end in range(MAX_LOWERS, len(stack), more):
        between = merged
        higher = stack[end : end + more]
        merged = _merge_once(engine, (*stack[:count], between.chain_id, *higher), count)
        if not between.kept and between.chain_id != merged.chain_id:
            engine.layers.remove(between.chain_id)
    return merged


def _merge_once(engine: Engine, stack: Stack, count: int) -> Applied:
    with engine.layers.incoming() as incoming:
        engine.layers.merge(stack, count, incoming.path)
        latest_ns = engine.layers.latest_ns(stack[count:])
        return engine.layers.adopt(incoming.path, parents=stack[:count], latest_ns=latest_ns)


def _describe(base: ImageConfig, image_id: Digest, count: int, layer: Applied) -> ImageConfig:
    """Return the config of the image; the lines of what was merged have no layers any more.

    Docker: what `docker build --squash` adds to the history
    """
    what = (
        f"merge {len(base.diff_ids) - count} layers of {image_id} to one"
        if count
        else (f"merge {image_id} to one layer")
    )
    lines, left = [], count
    for line in base.history:
        left -= not line.empty_layer
        lines.append(line if left >= 0 else line.replace(empty_layer=True))
    return encode_config(
        platform=base.platform,
        created=base.created,
        author=base.author,
        config=base.config,
        diff_ids=(*base.diff_ids[:count], layer.diff_id),
        history=(*lines, History(created=base.created, comment=what)),
    )


def _record(
    engine: Engine,
    config: ImageConfig,
    below: Sequence[Digest],
    layer: Applied,
    reference: Reference | None,
) -> None:
    """Record the image, its layer and its name, all or nothing."""
    engine.blobs.put(config.raw)
    engine.layers.sync()
    now_ns = time.time_ns()
    layers = [engine.images.layers.get(chain_id) for chain_id in below]
    parent = below[-1] if below else None
    row = LayerRow(layer.chain_id, layer.diff_id, parent, layer.size, layer.tar_size, now_ns)
    with engine.database.transaction():
        engine.images.layers.add(row)
        image = image_row(config, [*layers, row], now_ns)
        engine.images.records.add(image, (*below, layer.chain_id), (config.digest,))
        if reference:
            engine.images.tags.set(reference, config.digest, now_ns)
        trace("squash:recorded")
    engine.images.publish()
