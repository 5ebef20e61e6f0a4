"""How every system call of this package is made: typed bindings that raise OSError.

A binding is made once, at module level, with the C types of its arguments:

    _umount2 = function("umount2", c_char_p, c_int)

and raises the OSError of its errno with a note of the call. What errno means to a user is said on
the floors above.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)


def function(name: str, *argtypes: Any) -> Callable[..., int]:
    """Bind the libc function `name`, which returns -1 and sets errno on failure.

    Every binding has a prototype of its own (`CDLL.__getitem__` does not cache), so that two views
    of one variadic function, as of ioctl(2), never disturb each other.
    """
    bound = _libc[name]
    bound.argtypes = argtypes

    def call(*args: object) -> int:
        result: int = bound(*args)
        if result == -1:
            raise error(name, args)
        return result

    return call


def syscall(number: int, name: str, *argtypes: Any) -> Callable[..., int]:
    """Bind the system call `number`, known as `name`, for which libc may have no function.

    Man: syscall(2)
    """
    bound = _libc["syscall"]
    bound.argtypes = (ctypes.c_long, *argtypes)
    bound.restype = ctypes.c_long

    def call(*args: object) -> int:
        result: int = bound(number, *args)
        if result == -1:
            raise error(name, args)
        return result

    return call


def error(name: str, args: tuple[object, ...]) -> OSError:
    """Return the exception for the errno of the last call, with a note of that call."""
    number = ctypes.get_errno()
    exception = OSError(number, os.strerror(number))
    exception.add_note(f"{name}{args!r}")
    return exception
