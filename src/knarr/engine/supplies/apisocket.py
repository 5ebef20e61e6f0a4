"""The socket of the server of Docker's API in a container: `--use-api-socket`.

Who gets it is root on this host. The socket is mounted where Docker's is, so that a docker command
line inside finds it by itself.

Docker: credentials for registries are handed in, too; here the container brings its own
"""

from __future__ import annotations

import os
import stat

from knarr.engine.options.values import MountRequest
from knarr.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Options
    from knarr.engine.paths import Paths

SOCKET = "docker.sock"
TARGET = "/var/run/docker.sock"


def supply(paths: Paths, options: Options) -> Options:
    """Return the options with the socket among the mounts.

    Raises: NotFound (no server was started)
    """
    path = f"{paths.run}/{SOCKET}"
    try:
        there = stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        there = False
    if not there:
        message = f"there is no socket of the API: {path}"
        raise NotFound(message, hint="Start a server: knarr serve.")
    return options.replace(mounts=(*options.mounts, MountRequest("bind", TARGET, path)))
