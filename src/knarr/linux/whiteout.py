"""How overlayfs marks what is not there: whiteouts, and directories that hide those below.

Apart from `overlay`, which mounts, since who only looks at trees needs no system call for it.

Spec: kernel Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

XATTRS = "trusted.overlay."
OPAQUE = "trusted.overlay.opaque"
DEVICE = 0  # a character device 0:0


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether `status` is of what overlay puts where a lower file was removed."""
    return status.st_rdev == DEVICE and status.st_mode & 0o170000 == 0o020000
