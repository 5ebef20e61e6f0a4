"""What is in a volume, for who is no container: opened, and copied whole."""

from __future__ import annotations

import os

from knarr.engine.volume.directories import DIRECTORY
from knarr.snapshot.copy import CopyOptions, copy_tree
from knarr.snapshot.overlay import copy_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine


def open_content(engine: Engine, name: str) -> int:
    """Return the open top directory of a volume or snapshot.

    Raises: NotFound
    """
    return os.open(engine.volumes.get(name).path, DIRECTORY)


def copy_whole(source_fd: int, target_fd: int, *, changing: bool = False) -> None:
    """Copy a directory with all it has to be what an empty one is; `changing`, it is in use."""
    copy_tree(source_fd, "/", target_fd, "/", CopyOptions(changing=changing))
    copy_attributes(f"/proc/self/fd/{source_fd}/.", f"/proc/self/fd/{target_fd}/.")
