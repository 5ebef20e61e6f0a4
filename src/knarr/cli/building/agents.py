"""`build --ssh`: from the command line to agents.

Docker: `default` is the agent of $SSH_AUTH_SOCK; a path is an agent's socket, or the file of a key
"""

from __future__ import annotations

import os
import stat

from knarr.engine.build.agents import Agent
from knarr.errors import InvalidArgument, NotFound

_VARIABLE = "SSH_AUTH_SOCK"


def parse_agent(text: str) -> tuple[str, Agent]:
    """Return the name of an agent, and the agent. Raises: InvalidArgument, NotFound"""
    name, equals, rest = text.partition("=")
    paths = [os.path.abspath(path) for path in rest.split(",") if path]
    if not name or (equals and not paths):
        message = f"invalid agent {text}"
        raise InvalidArgument(message, hint="It is NAME[=SOCKET] or NAME=KEY[,KEY].")
    if not paths:
        if not os.environ.get(_VARIABLE):
            message = f"invalid empty ssh agent socket: make sure {_VARIABLE} is set"
            raise InvalidArgument(message)
        paths = [os.environ[_VARIABLE]]
    sockets = [path for path in paths if _is_socket(path)]
    if sockets and len(paths) > 1:
        message = f"invalid agent {text}: only a single socket is allowed"
        raise InvalidArgument(message)
    return name, Agent(socket=sockets[0]) if sockets else Agent(keys=tuple(paths))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        message = f"failed to stat {path}: {(error.strerror or str(error)).lower()}"
        raise NotFound(message) from error
