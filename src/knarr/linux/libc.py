"""How every system call of this package is made: typed bindings that raise OSError.

A binding is made once, at module level, with the C types of its arguments:

    _umount2 = function("umount2", c_char_p, c_int)

and raises the OSError of its errno with a note of the call. What errno means to a user is said on
the floors above.

The types are those of `ctypes`, but made here, from the part of it that is written in C: to load
the rest takes 2 ms, a tenth of what a container takes, and none of it is used. Modules that few
containers need may use `ctypes` itself; both kinds of types do not mix in one call.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from ctypes import (
        Array,
        Structure,
        addressof,
        byref,
        c_char,
        c_char_p,
        c_int,
        c_long,
        c_size_t,
        c_uint,
        c_uint32,
        c_uint64,
        c_ulong,
        c_ushort,
        c_void_p,
        sizeof,
    )
    from typing import Any

    _ctypes: Any
else:
    import _ctypes
    from _ctypes import Array, Structure, addressof, byref, sizeof

    def _simple(name: str, code: str) -> type:
        """Return the type for a letter of the module `struct`; z is a string, P a pointer."""
        return type(name, (_ctypes._SimpleCData,), {"_type_": code})  # noqa: SLF001 - see above

    c_char = _simple("c_char", "c")
    c_char_p = _simple("c_char_p", "z")
    c_int = _simple("c_int", "i")
    c_long = _simple("c_long", "l")
    c_size_t = c_ulong = _simple("c_ulong", "L")
    c_uint = c_uint32 = _simple("c_uint", "I")
    c_uint64 = _simple("c_uint64", "Q")
    c_ushort = _simple("c_ushort", "H")
    c_void_p = _simple("c_void_p", "P")

__all__ = [
    "Array",
    "Structure",
    "addressof",
    "byref",
    "c_char",
    "c_char_p",
    "c_int",
    "c_long",
    "c_size_t",
    "c_uint",
    "c_uint32",
    "c_uint64",
    "c_ulong",
    "c_ushort",
    "c_void_p",
    "error",
    "function",
    "function_holding_the_lock",
    "sizeof",
    "syscall",
]

_RTLD_NOW = 2
_library = _ctypes.dlopen(None, _RTLD_NOW)  # the program itself, and so its libc


class _Function(_ctypes.CFuncPtr):  # type: ignore[misc]
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = c_int


class _LockedFunction(_ctypes.CFuncPtr):  # type: ignore[misc]
    _flags_ = _Function._flags_ | _ctypes.FUNCFLAG_PYTHONAPI
    _restype_ = c_int


def function(name: str, *argtypes: Any) -> Callable[..., int]:
    """Bind the libc function `name`, which returns -1 and sets errno on failure.

    Every binding has a prototype of its own, so that two views of one variadic function, as of
    ioctl(2), never disturb each other.
    """
    bound = _Function(_ctypes.dlsym(_library, name))
    bound.argtypes = argtypes

    def call(*args: object) -> int:
        result: int = bound(*args)
        if result == -1:
            raise error(name, args)
        return result

    return call


def function_holding_the_lock(name: str, *argtypes: Any) -> Callable[..., int]:
    """Bind a libc function that returns a long and is called without giving up the interpreter."""
    bound: Any = _LockedFunction(_ctypes.dlsym(_library, name))
    bound.argtypes = argtypes
    bound.restype = c_long
    result: Callable[..., int] = bound
    return result


def syscall(number: int, name: str, *argtypes: Any) -> Callable[..., int]:
    """Bind the system call `number`, known as `name`, for which libc may have no function.

    Man: syscall(2)
    """
    bound = _Function(_ctypes.dlsym(_library, "syscall"))
    bound.argtypes = (c_long, *argtypes)
    bound.restype = c_long

    def call(*args: object) -> int:
        result: int = bound(number, *args)
        if result == -1:
            raise error(name, args)
        return result

    return call


def error(name: str, args: tuple[object, ...]) -> OSError:
    """Return the exception for the errno of the last call, with a note of that call."""
    number = _ctypes.get_errno()
    exception = OSError(number, os.strerror(number))
    exception.add_note(f"{name}{args!r}")
    return exception


def string_buffer(data: bytes) -> Array[c_char]:
    """Return memory with a copy of `data`, without a NUL behind it."""
    return (c_char * len(data)).from_buffer_copy(data)
