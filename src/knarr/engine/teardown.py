"""Taking away what the kernel has of a root beside its containers: before its directory goes.

Bridges, rules and the parents of control groups stay when the last container is removed, for the
next one. Nobody finds their root any more once its directory is deleted.
"""

from __future__ import annotations

import os

from knarr.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine


def tear_down(engine: Engine) -> None:
    """Remove bridges, rules and parents of control groups; what is in use of the latter stays.

    Raises: PermissionDenied, Failed
    """
    engine.networks.tear_down_all()
    for hierarchy in cgroup.hierarchies():
        try:
            os.rmdir(hierarchy.directory(f"/{engine.paths.realm}"))
        except OSError:  # there is none, or a container in it
            continue
