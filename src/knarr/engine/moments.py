"""Whether anything may have changed: for who shows the same list thousands of times a second.

All that changes records goes through the database, all that happens to a running container is in
the file of events. An event may be noted a little before what it tells of is seen: so a moment that
has just begun cannot be trusted yet. Words like "Up 3 seconds" make every second another moment.

What nobody notes is not seen: a container whose supervisor was killed with it.
"""

from __future__ import annotations

import os
import time

from knarr.util import eventlog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine

    Moment = tuple[object, ...]

SETTLED_NS = 100_000_000


def moment(engine: Engine) -> Moment | None:
    """Return what is equal as long as nothing changes, None if that cannot be told."""
    generation = engine.database.generation()
    try:
        events = os.stat(f"{engine.paths.root}/{eventlog.NAME}")
    except FileNotFoundError:  # nothing ever happened
        return None
    now_ns = time.time_ns()
    if not generation or abs(now_ns - events.st_mtime_ns) < SETTLED_NS:
        return None
    return now_ns // 10**9, generation, events.st_ino, events.st_size, events.st_mtime_ns
