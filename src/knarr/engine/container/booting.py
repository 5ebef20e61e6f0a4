"""What runs again after the machine has come up: containers by their restart policy.

| policy         | started                                                         |
|----------------|-----------------------------------------------------------------|
| always         | whatever happened before, if it ever ran                        |
| unless-stopped | unless somebody had stopped it                                  |
| on-failure     | if the machine went down under it                               |
| no             | never                                                           |

What runs already is left alone, so that this may be done more than once. Containers are started
the oldest first: one that uses the namespaces of another is younger than that.
"""

from __future__ import annotations

from knarr.engine.container.tasks import CREATED, UNKNOWN_EXIT
from knarr.errors import KnarrError, NotModified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.container.tasks import State
    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine


def boot(engine: Engine) -> Iterator[tuple[Container, KnarrError | None]]:
    """Start every container that should run, and yield it with what went wrong.

    The engine has to be one that recovers: then the ends of what ran before are recorded by now.
    """
    for container in reversed(engine.containers.all()):
        if not runs_again(container.options.restart.name, container.state):
            continue
        try:
            container.start().close()
        except NotModified:  # somebody was faster
            continue
        except KnarrError as error:
            yield container, error
        else:
            yield container, None


def runs_again(policy: str, state: State) -> bool:
    """Tell whether a container in `state` is to be started after a reboot."""
    if state.active or state.status == CREATED or not state.started_ns:
        return False
    if policy == "unless-stopped":
        return not state.manually_stopped
    if policy == "on-failure":
        return state.exit_code == UNKNOWN_EXIT and not state.manually_stopped
    return policy == "always"
