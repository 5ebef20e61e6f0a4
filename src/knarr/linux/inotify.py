"""Being told of changes in a directory instead of looking for them.

Man: inotify(7)
"""

from __future__ import annotations

import os
from ctypes import c_char_p, c_int, c_uint32

from knarr.linux import libc

# <sys/inotify.h>
IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_CLOEXEC = os.O_CLOEXEC
IN_NONBLOCK = os.O_NONBLOCK

_inotify_init1 = libc.function("inotify_init1", c_int)
_inotify_add_watch = libc.function("inotify_add_watch", c_int, c_char_p, c_uint32)


def inotify_init1(flags: int = 0) -> int:
    """Return a descriptor that is readable when something watched has changed."""
    return _inotify_init1(flags | IN_CLOEXEC)


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    """Watch the file or directory at `path`, and return the number of the watch."""
    return _inotify_add_watch(descriptor, os.fsencode(path), mask)
