"""The archive of a volume: everything in it, and first the directory itself.

That a database wants its directory to be its own, with the mode 0700, is part of the content.
"""

from __future__ import annotations

import os

from knarr.snapshot.pack import Packer, entry_of, kept_xattrs
from knarr.util import tar


class VolumePacker(Packer):
    """Writes a directory with all that is in it."""

    def pack(self) -> None:
        """Write the directory itself, everything below and the end of the archive."""
        entry = entry_of(b"./", tar.DIRECTORY, os.fstat(self.root_fd))
        entry.xattrs = kept_xattrs(self.root_fd)
        self.writer.add(entry)
        super().pack()
