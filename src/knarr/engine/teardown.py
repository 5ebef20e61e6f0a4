"""Taking away what the kernel has of a root beside its containers: before its directory goes.

Bridges, rules and the parents of control groups stay when the last container is removed, for the
next one; images stay mounted. Nobody finds their root any more once its directory is deleted.
"""

from __future__ import annotations

import os

from knarr.engine.image import mounting
from knarr.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine


def tear_down(engine: Engine) -> None:
    """Remove mounts of images, bridges, rules, control groups; what is in use of the last stays.

    Raises: PermissionDenied, Failed
    """
    for shown in mounting.mounts(engine.paths):
        mounting.take_down(engine.paths, shown, force=True)
    engine.networks.tear_down_all()
    for hierarchy in cgroup.hierarchies():
        try:
            os.rmdir(hierarchy.directory(f"/{engine.paths.realm}"))
        except OSError:  # there is none, or a container in it
            continue
