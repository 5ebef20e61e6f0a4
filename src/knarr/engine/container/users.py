"""Who a process in a container is: names looked up in the image's own passwd and group files.

Docker: "-u" takes a name or a number, of a user and behind a colon of a group; supplementary groups
are those that list the user, unless a group is given.
"""

from __future__ import annotations

import os
import stat

from knarr.errors import InvalidArgument
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from knarr.snapshot.lowers import Directory

MAXIMUM_ID = 0x7FFFFFFF
MAXIMUM_SIZE = 4 << 20
LONGEST_NUMBER = 18  # digits; Docker: what strconv.Atoi takes for a number


class Identity(Value):
    """A user as the kernel sees it, with the home that HOME names."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_accounts(root: Directory) -> tuple[str, str] | None:
    """Return the contents of passwd and group in a root that is looked at without a mount.

    None if a link is on the way, which leads somewhere inside the container alone.
    """
    texts = []
    etc = root.find("etc")
    if etc is not None and etc.directory is None:
        return None
    for name in ("passwd", "group"):
        found = etc.directory.find(name) if etc is not None and etc.directory else None
        if found is None:  # an image of one program has none
            texts.append("")
        elif stat.S_ISREG(found.status.st_mode):
            descriptor = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            texts.append(_read(descriptor))
        else:
            return None
    passwd, group = texts
    return passwd, group


def read_accounts(root_fd: int) -> tuple[str, str]:
    """Return the contents of passwd and group below a root; empty where an image has none."""
    from knarr.linux.path import open_in_root  # noqa: PLC0415 - loads ctypes

    texts = []
    for path in ("etc/passwd", "etc/group"):
        try:
            place_fd = open_in_root(root_fd, path)
        except OSError:  # an image of one program has none
            texts.append("")
            continue
        try:
            texts.append(_read_plain(place_fd))
        finally:
            os.close(place_fd)
    passwd, group = texts
    return passwd, group


def _read_plain(place_fd: int) -> str:
    """Return the content of a plain file that was found, but is not open yet; else nothing.

    A pipe might never answer, and opening a device node does something to the host.
    """
    if not stat.S_ISREG(os.fstat(place_fd).st_mode):
        return ""
    return _read(os.open(f"/proc/self/fd/{place_fd}", os.O_RDONLY | os.O_CLOEXEC))


def _read(descriptor: int) -> str:
    with open(descriptor, "rb", buffering=0) as file:
        return file.read(MAXIMUM_SIZE).decode("utf-8", "surrogateescape")


def identify(user: str, group_add: Iterable[str], *, passwd: str, group: str) -> Identity:
    """Return who `user` ("name:group" or numbers, empty for root) is by the two files' contents.

    Raises: InvalidArgument
    """
    name, _, group_name = user.partition(":")
    uid, gid, home, matched = _find_user(name or "0", passwd)
    groups = []
    if group_name:
        gid = _find_group(group_name, group)
    elif matched:
        groups = [_in_range(number) for _, number, names in _groups(group) if matched in names]
    extra = [_find_group(text, group) for text in group_add]
    return Identity(uid, gid, tuple(dict.fromkeys((gid, *groups, *extra))), home)


def _find_user(name: str, passwd: str) -> tuple[int, int, str, str]:
    """Return user ID, primary group, home and name of the first line for `name`."""
    number = _number(name)
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) < 6 or line.startswith("#"):
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and (fields[0] == name or uid == number):
            return _in_range(uid), _in_range(gid), fields[5] or "/", fields[0]
    if number is None:
        message = f"unable to find user {name}: no matching entries in passwd file"
        raise InvalidArgument(message)
    return _in_range(number), 0, "/", ""


def _find_group(name: str, group: str) -> int:
    number = _number(name)
    for entry_name, gid, _ in _groups(group):
        if entry_name == name or gid == number:
            return _in_range(gid)
    if number is None:
        message = f"unable to find group {name}: no matching entries in group file"
        raise InvalidArgument(message)
    return _in_range(number)


def _groups(group: str) -> Iterator[tuple[str, int, list[str]]]:
    for line in group.splitlines():
        fields = line.split(":")
        gid = _number(fields[2]) if len(fields) >= 4 else None
        if gid is not None and not line.startswith("#"):
            yield fields[0], gid, fields[3].split(",")


def _number(text: str) -> int | None:
    """Return a decimal number, also one that no ID can be, such as a negative one."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > LONGEST_NUMBER:
        return None
    return int(text)


def _in_range(number: int) -> int:
    if not 0 <= number <= MAXIMUM_ID:
        message = f"uids and gids must be in range 0-{MAXIMUM_ID}"
        raise InvalidArgument(message)
    return number
