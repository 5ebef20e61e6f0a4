"""From the result of a build to an image: config, history, record.

Times are the only thing in an image that its ingredients do not say: they are the epoch of the last
stage (see `knarr.build.times`). The store's record says when the image came about here, which is
what lists show. If the clock is wanted, a line of the history has the time at which its layer came
about, which the cache remembers; a line without a layer that of the line before it.

Docker: SOURCE_DATE_EPOCH says all times
"""

from __future__ import annotations

import time

from knarr.build.cacheconfig import INLINE
from knarr.build.stage import COMMENT
from knarr.errors import Failed
from knarr.oci.config import History, encode_config
from knarr.oci.descriptor import OCI_MANIFEST
from knarr.oci.document import FrozenDict
from knarr.store.images import ImageRecords, ImageRow
from knarr.store.layers import LayerRecords
from knarr.util.times import render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.build.graph import Stack
    from knarr.build.lower import Lowered
    from knarr.build.worker import Cached
    from knarr.engine.engine import Engine
    from knarr.oci.config import ImageConfig
    from knarr.oci.digest import Digest


def store_image(
    engine: Engine,
    lowered: Lowered,
    stack: Stack,
    results: Mapping[str, Cached],
    inline: str = "",
) -> Digest:
    """Make the image of a finished build and return its ID; nothing names it yet.

    `inline` is what it says of the cache that it was built with.
    """
    layers = [LayerRecords(engine.database).get(chain) for chain in stack]
    made = sum(not line.empty_layer for line in lowered.inherited)
    made += sum(1 for line in lowered.history if line.vertex)
    if made != len(layers):
        message = f"the history tells of {made} layers, the result has {len(layers)}"
        raise Failed(message)
    created_ns, history = _history(lowered, results)
    config = encode_config(
        platform=lowered.platform,
        created=render_rfc3339(created_ns),
        author=lowered.author,
        config=_printable(lowered.config),
        diff_ids=[layer.diff_id for layer in layers],
        history=[*lowered.inherited, *history],
        extra=FrozenDict({INLINE: inline} if inline else {}),
    )
    size = sum(layer.size for layer in layers)
    return _record(engine, config, stack, size)


def _record(engine: Engine, config: ImageConfig, stack: Stack, size: int) -> Digest:
    records = ImageRecords(engine.database)
    found = records.find(config.digest)
    if found is not None and engine.blobs.has(config.digest):
        return config.digest
    engine.blobs.put(config.raw)
    engine.layers.sync()
    labels = FrozenDict(config.config.labels)
    now_ns = time.time_ns()
    row = ImageRow(
        config.digest,
        None,
        OCI_MANIFEST,
        now_ns,
        now_ns,
        size,
        config.platform,
        labels=labels,
    )
    records.add(row, stack, (config.digest,))
    return config.digest


def _history(lowered: Lowered, results: Mapping[str, Cached]) -> tuple[int, list[History]]:
    """Return when the image was made, and the lines of its history that the build adds."""
    if lowered.epoch is not None:
        epoch_ns = lowered.epoch * 1_000_000_000
        return epoch_ns, [_line(line.created_by, epoch_ns, line.vertex) for line in lowered.history]
    times = [results[line.vertex].created_ns for line in lowered.history if line.vertex]
    now_ns = times[0] if times else time.time_ns()
    lines = []
    for line in lowered.history:
        now_ns = results[line.vertex].created_ns if line.vertex else now_ns
        lines.append(_line(line.created_by, now_ns, line.vertex))
    return now_ns, lines


def _line(created_by: str, created_ns: int, vertex: str) -> History:
    return History(
        created=render_rfc3339(created_ns),
        created_by=_text(created_by),
        comment=COMMENT,
        empty_layer=not vertex,
    )


def _printable(config: Any) -> Any:
    """Return a config without bytes that are not UTF-8, which JSON cannot hold."""
    if isinstance(config, str):
        return _text(config)
    if isinstance(config, tuple):
        return tuple(_printable(each) for each in config)
    if isinstance(config, FrozenDict):
        return FrozenDict({_text(key): _printable(value) for key, value in config.items()})
    if hasattr(config, "_fields"):
        fields = {name: _printable(getattr(config, name)) for name in type(config)._fields}
        return type(config)(**fields)
    return config


def _text(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
