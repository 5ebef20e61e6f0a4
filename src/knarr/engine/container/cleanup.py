"""What is left to do when a container's process has ended: network, and removal with `--rm`.

Done by whoever is attached as owner, or by a process of its own that the supervisor starts:

    python -c "…; from knarr.engine.container.cleanup import main; main([root, run, id])"

Either may do it, both may, and neither may have: then it is recovery's business. Whoever holds the
container's lock is about to start or to remove it, and does the same first: then nothing is done.
"""

from __future__ import annotations

import os
import sys
import time

from knarr.engine.container.locks import ContainerLock
from knarr.engine.container.tasks import read_state
from knarr.errors import NotFound, Unavailable
from knarr.util.trace import trace

PAUSE = 0.002  # seconds between two looks at a lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine


def clean_up(
    engine: Engine, container_id: str, *, auto_remove: bool, patience: float = 0.0
) -> bool:
    """Take down what only a running container needs; return whether it is removed.

    Whoever changes the container just now is waited for so many seconds: who started a program that
    ended at once may not be done with the start.
    """
    from knarr.engine.container import removing  # noqa: PLC0415 - loads more than it takes to find nothing

    deadline = time.monotonic() + patience
    while True:
        try:
            with ContainerLock(engine.paths, container_id, wait=False):
                if read_state(engine.paths, container_id).active:
                    return False
                trace("cleanup:begun")
                if auto_remove:
                    removing.take_away_at_its_end(engine, container_id)
                else:
                    removing.release(engine, container_id)
            return auto_remove
        except NotFound:  # the directory went aside, by somebody who may have been killed since
            removing.finish(engine, container_id)
            return True
        except Unavailable:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE)


def main(arguments: list[str]) -> None:
    """Clean up after one container, in a process of the supervisor's."""
    from knarr.engine.engine import Engine  # noqa: PLC0415 - this is another process
    from knarr.engine.options.encoding import decode  # noqa: PLC0415
    from knarr.store.containers import ContainerRecords  # noqa: PLC0415

    root, run, container_id = arguments
    engine = Engine(root, run, recover=False)
    row = ContainerRecords(engine.database).find(container_id)
    # Without a record somebody was killed while removing it: that is to be finished.
    auto_remove = row is None or decode(row.options).auto_remove
    clean_up(engine, container_id, auto_remove=auto_remove)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
