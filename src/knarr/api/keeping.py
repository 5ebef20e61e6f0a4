"""Answers that are kept while nothing changes, for clients that ask for them all the time."""

from __future__ import annotations

import threading

from knarr.api.answers import Encoded
from knarr.engine.moments import moment
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.api.call import Call
    from knarr.engine.moments import Moment

MAXIMUM = 64  # answers


class Kept:
    """The last answers of one server, by what was asked for."""

    def __init__(self) -> None:
        self._answers: dict[object, tuple[Moment, Encoded]] = {}
        self._making = threading.Lock()

    def answer(self, call: Call, make: Callable[[], object]) -> Encoded:
        """Return the answer of this moment, made by `make` if it is not there."""
        key = (call.path, call.query, call.version)
        now = moment(call.engine)
        found = self._find(key, now)
        if found is not None:
            return found
        if now is None:
            return _encode(make())
        with self._making:  # of many who miss it at once, one makes it
            found = self._find(key, now)
            if found is None:
                found = _encode(make())
                if len(self._answers) >= MAXIMUM:
                    self._answers.clear()
                self._answers[key] = now, found
        return found

    def _find(self, key: object, now: Moment | None) -> Encoded | None:
        before, found = self._answers.get(key, (None, None))
        return found if now is not None and before == now else None


def _encode(document: object) -> Encoded:
    return Encoded(jsontext.dumps(document).encode("ascii") + b"\n")
