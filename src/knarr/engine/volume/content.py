"""What is in a volume, for who is no container: opened, and copied whole."""

from __future__ import annotations

import os

from knarr.engine.volume.directories import DIRECTORY
from knarr.engine.volume.driver import is_plain, open_mounted
from knarr.snapshot.copy import CopyOptions, copy_tree
from knarr.snapshot.overlay import copy_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine


def open_content(engine: Engine, name: str) -> int:
    """Return the open top directory of a volume or snapshot, mounted if it takes that.

    Raises: NotFound, Failed
    """
    volume = engine.volumes.get(name)
    if is_plain(volume.options):
        return os.open(volume.path, DIRECTORY)
    return open_mounted(volume.path, volume.options, engine.volumes.mounted(name))


def copy_whole(source_fd: int, target_fd: int, *, changing: bool = False) -> None:
    """Copy a directory with all it has to be what an empty one is; `changing`, it is in use."""
    copy_tree(source_fd, "/", target_fd, "/", CopyOptions(changing=changing))
    copy_attributes(f"/proc/self/fd/{source_fd}/.", f"/proc/self/fd/{target_fd}/.")
