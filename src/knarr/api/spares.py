"""A supervisor that was started before anybody needs it: a start does not wait for an interpreter.

There is one at most, from the first creation of a container on. It knows nothing until it gets its
order, and ends with the connection to it, so that it outlives the server in no case.
"""

from __future__ import annotations

import threading
from _socket import MSG_DONTWAIT, MSG_PEEK

from knarr.errors import KnarrError
from knarr.supervise import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.control import Starting


class Spare:
    """The supervisor that waits for work, if there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Starting | None = None

    def prepare(self) -> None:
        """See to it that there is one. That there cannot be is for those to say who need it."""
        with self._lock:
            if self._waiting is None:
                try:
                    self._waiting = control.spawn()
                except (OSError, KnarrError):
                    return

    def take(self) -> Starting | None:
        """Return it, unless somebody killed it."""
        with self._lock:
            found, self._waiting = self._waiting, None
        if found is not None and not _lives(found):
            found.abort()
            return None
        return found


def _lives(starting: Starting) -> bool:
    try:
        return starting.client().connection.recv(1, MSG_PEEK | MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
