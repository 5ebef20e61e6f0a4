"""Other OCI runtimes that may run a container instead of our own: found by name or path.

Docker: a runtime is named in the daemon's settings; here those that everybody has are looked for
"""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument

OWN = "knarr"
KNOWN = ("crun", "runc")
PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def find_runtime(name: str) -> str:
    """Return the path of the runtime `name`, which may be a path; nothing for our own.

    Raises: InvalidArgument
    """
    if name in ("", OWN):
        return ""
    if name in KNOWN:
        path = _look_for(name)
        if path:
            return path
        message = f"unknown or invalid runtime name: {name}"
        raise InvalidArgument(message, hint=f"{name} is not installed.")
    if not name.startswith("/"):
        message = f"unknown or invalid runtime name: {name}"
        raise InvalidArgument(message, hint=f"It is {OWN}, {', '.join(KNOWN)}, or a path.")
    if not os.access(name, os.X_OK) or os.path.isdir(name):
        message = f"unknown or invalid runtime name: {name}"
        raise InvalidArgument(message, hint="There is no such program.")
    return name


def find_all() -> dict[str, str]:
    """Return the runtimes that are here by name, each with its path; our own has none."""
    found = {OWN: ""}
    for name in KNOWN:
        path = _look_for(name)
        if path:
            found[name] = path
    return found


def _look_for(name: str) -> str:
    for directory in (*os.environ.get("PATH", "").split(os.pathsep), *PLACES):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return ""
