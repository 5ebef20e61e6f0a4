"""What an engine outside of a swarm, and without plugins, says when it is asked for theirs.

The operations are in the table of routes; here is what all of them come to. Docker: the words of an
engine that never joined a swarm.
"""

from __future__ import annotations

from knarr.api.answers import Json
from knarr.api.parse.networks import NO_SWARM
from knarr.errors import NotFound, Unavailable, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call


def managed(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    """Refuse what managers of a swarm do."""
    raise Unavailable(NO_SWARM)


def leave(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    message = "This node is not part of a swarm"
    raise Unavailable(message)


def join(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    """Refuse to begin or to join a swarm."""
    message = "swarm mode is not supported"
    raise Unsupported(message, hint="Services on one machine are what Compose is for.")


def plugins(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    return Json([])


def plugin(call: Call) -> Answer:
    """Say that there is no such plugin, whatever was to be done with it."""
    message = f'plugin "{call.parameters["name"]}" not found'
    raise NotFound(message)


def install(call: Call) -> Answer:  # noqa: ARG001 - handlers are alike
    message = "plugins are not supported"
    raise Unsupported(message)
