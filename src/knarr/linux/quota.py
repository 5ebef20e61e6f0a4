"""Quotas of projects: how much room the files of some directories may take together.

A project is a number that files carry; with PROJINHERIT on a directory, what is made in it belongs
to its project. XFS, mounted with `prjquota`, counts and limits what a project takes; so do others,
which let those pass who have CAP_SYS_RESOURCE.

Man: quotactl_fd(2), ioctl_xfs_fssetxattr(2), xfs_quota(8)
"""

from __future__ import annotations

import errno
import fcntl
import struct

from knarr.linux import libc
from knarr.linux.libc import c_char, c_int, c_uint, c_void_p

# <linux/fs.h>
FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_FSSETXATTR = 0x401C5820
FS_XFLAG_PROJINHERIT = 0x200
_FSXATTR = struct.Struct("=IIIII8x")  # flags, extent size, extents, project, size of copies

# <linux/quota.h>, <linux/dqblk_xfs.h>
PRJQUOTA = 2
Q_XGETQUOTA = 0x5803
Q_XSETQLIM = 0x5804
Q_XGETQSTAT = 0x5805
FS_QUOTA_PDQ_ENFD = 1 << 5
FS_DQUOT_VERSION = 1
FS_PROJ_QUOTA = 2
FS_DQ_BSOFT, FS_DQ_BHARD = 1 << 2, 1 << 3
_BLOCK = 512
# version, flags, fields, ID, limits of blocks (hard, soft) and inodes, blocks and inodes taken
_DISK_QUOTA = struct.Struct("=bbHIQQQQQQ56x")
_STATE_SIZE = 128

_quotactl_fd = libc.syscall(443, "quotactl_fd", c_int, c_uint, c_int, c_void_p)


def set_project(descriptor: int, project: int) -> None:
    """Let an open directory, and what is made in it from now on, belong to a project."""
    buffer = bytearray(_FSXATTR.size)
    fcntl.ioctl(descriptor, FS_IOC_FSGETXATTR, buffer)
    flags, extent, extents, _, copies = _FSXATTR.unpack(buffer)
    _FSXATTR.pack_into(buffer, 0, flags | FS_XFLAG_PROJINHERIT, extent, extents, project, copies)
    fcntl.ioctl(descriptor, FS_IOC_FSSETXATTR, buffer)


def project_of(descriptor: int) -> int:
    """Return the project of an open directory; 0 if it has none, or cannot have."""
    buffer = bytearray(_FSXATTR.size)
    try:
        fcntl.ioctl(descriptor, FS_IOC_FSGETXATTR, buffer)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        return 0
    return int(_FSXATTR.unpack(buffer)[3])


def enforced(descriptor: int) -> bool:
    """Tell whether limits of projects are enforced where an open file is."""
    buffer = (c_char * _STATE_SIZE)()
    buffer[0] = bytes((FS_DQUOT_VERSION,))
    try:
        _quotactl_fd(descriptor, _command(Q_XGETQSTAT), 0, buffer)
    except OSError:  # of many sorts: no quotas, another file system, an older kernel
        return False
    return bool(struct.unpack_from("=H", buffer, 2)[0] & FS_QUOTA_PDQ_ENFD)


def set_limit(descriptor: int, project: int, size: int) -> None:
    """Limit what a project may take where an open file is to `size` bytes; 0 is no limit."""
    blocks = -(-size // _BLOCK)
    fields = FS_DQ_BSOFT | FS_DQ_BHARD
    packed = _DISK_QUOTA.pack(
        FS_DQUOT_VERSION, FS_PROJ_QUOTA, fields, project, blocks, blocks, 0, 0, 0, 0
    )
    buffer = (c_char * len(packed)).from_buffer_copy(packed)
    _quotactl_fd(descriptor, _command(Q_XSETQLIM), project, buffer)


def limit_and_use(descriptor: int, project: int) -> tuple[int, int]:
    """Return the limit of a project in bytes, and what it takes; zeros if it is not known."""
    buffer = (c_char * _DISK_QUOTA.size)()
    try:
        _quotactl_fd(descriptor, _command(Q_XGETQUOTA), project, buffer)
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    fields = _DISK_QUOTA.unpack(buffer)
    return fields[4] * _BLOCK, fields[8] * _BLOCK


def _command(operation: int) -> int:
    return operation << 8 | PRJQUOTA
