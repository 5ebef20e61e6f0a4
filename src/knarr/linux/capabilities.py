"""Capabilities: root's powers one by one, and the five sets a process has of them.

A set is an int with bit n for capability n.

Man: capabilities(7), capget(2)
Spec: runtime-spec config.md, "Linux Process", capabilities
"""

from __future__ import annotations

from knarr.linux import libc, process
from knarr.linux.libc import Structure, byref, c_int, c_uint32, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# <linux/capability.h>: capability n is the nth word.
_WORDS = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple(f"CAP_{word}" for word in _WORDS.split())
NUMBERS = {name: number for number, name in enumerate(NAMES)}

_VERSION_3 = 0x20080522
_AMBIENT_RAISE = 2
_AMBIENT_CLEAR_ALL = 4

_capget = libc.function("capget", c_void_p, c_void_p)
_capset = libc.function("capset", c_void_p, c_void_p)
_setfsuid = libc.function("setfsuid", c_uint32)
_setfsgid = libc.function("setfsgid", c_uint32)


class _Header(Structure):
    _fields_ = (("version", c_uint32), ("pid", c_int))


class _Data(Structure):
    _fields_ = (("effective", c_uint32), ("permitted", c_uint32), ("inheritable", c_uint32))


def mask(names: Iterable[str]) -> int:
    """Return the set of capabilities called `names`; KeyError for one nobody knows."""
    result = 0
    for name in names:
        result |= 1 << NUMBERS[name]
    return result


def names(capabilities: int) -> list[str]:
    """Return the names of the capabilities in a set."""
    return [name for number, name in enumerate(NAMES) if capabilities >> number & 1]


def capget() -> tuple[int, int, int]:
    """Return the effective, permitted and inheritable sets of the calling process."""
    header = _Header(_VERSION_3, 0)
    data = (_Data * 2)()
    _capget(byref(header), byref(data))
    low, high = data
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the effective, permitted and inheritable sets of the calling process."""
    header = _Header(_VERSION_3, 0)
    low = (effective & 0xFFFFFFFF, permitted & 0xFFFFFFFF, inheritable & 0xFFFFFFFF)
    high = (effective >> 32, permitted >> 32, inheritable >> 32)
    data = (_Data * 2)(_Data(*low), _Data(*high))
    _capset(byref(header), byref(data))


def last() -> int:
    """Return the number of the last capability that the kernel knows."""
    number = len(NAMES) - 1
    while number and not _known(number):
        number -= 1
    return number


def drop_bounding(keep: int) -> None:
    """Remove from the bounding set what is not in `keep`."""
    for number in range(last() + 1):
        if not keep >> number & 1:
            process.prctl(process.PR_CAPBSET_DROP, number)


def clear_ambient() -> None:
    """Empty the ambient set."""
    process.prctl(process.PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def raise_ambient(capabilities: int) -> None:
    """Add to the ambient set; each must be permitted and inheritable."""
    for number in range(len(NAMES)):
        if capabilities >> number & 1:
            process.prctl(process.PR_CAP_AMBIENT, _AMBIENT_RAISE, number)


def _known(number: int) -> bool:
    try:
        process.prctl(process.PR_CAPBSET_READ, number)
    except OSError:
        return False
    return True


class FileUser:
    """Within the context, what the calling thread makes is of user `uid` and group `gid`.

    It keeps what it may do. File systems that map users refuse new files of those they do not map.

    Man: setfsuid(2), capabilities(7) "Effect of user ID changes on capabilities"
    """

    def __init__(self, uid: int, gid: int) -> None:
        """Prepare."""
        self._wanted = (uid, gid)
        self._before = (0, 0)

    def __enter__(self) -> None:
        """Become this user, as far as files are concerned."""
        self._before = self._become(self._wanted)

    def __exit__(self, *_: object) -> None:
        """Be who one was."""
        self._become(self._before)

    @staticmethod
    def _become(ids: tuple[int, int]) -> tuple[int, int]:
        before = capget()
        uid, gid = ids
        previous = (_setfsuid(uid), _setfsgid(gid))
        capset(*before)
        return previous
