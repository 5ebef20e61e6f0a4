"""Whether anything may have changed: for who shows the same list thousands of times a second.

All that changes records is written to the database's log, all that happens to a running container
to the file of events. An event may be noted a little before what it tells of is seen, and two
changes of one moment may leave the same time on a file: so a moment that has just begun cannot be
trusted yet. Words like "Up 3 seconds" make every second another moment.

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
    log = engine.database.log_status()
    try:
        events = os.stat(f"{engine.paths.root}/{eventlog.NAME}")
    except FileNotFoundError:  # nothing ever happened
        return None
    now_ns = time.time_ns()
    if log is None or now_ns - max(log.st_mtime_ns, events.st_mtime_ns) < SETTLED_NS:
        return None
    written = ((one.st_ino, one.st_size, one.st_mtime_ns) for one in (log, events))
    return now_ns // 10**9, *written
