"""What volumes and their snapshots can be called.

A snapshot is written VOLUME@NAME everywhere: no volume's name holds an `@`.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument, NotFound

DRIVER = "local"
SNAPSHOT = "@"

_FIRST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LETTERS = _FIRST_LETTERS | frozenset("_.-")


def check_name(name: str) -> None:
    """Raise unless `name` can be a volume's.

    Raises: InvalidArgument
    """
    if len(name) == 1:
        message = "volume name is too short, names should be at least two alphanumeric characters"
        raise InvalidArgument(message)
    if not _is_plain(name):
        message = (
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
        )
        hint = "If you intended to pass a host directory, use absolute path."
        raise InvalidArgument(message, hint=hint)
    if len(name) > 255:
        message = f"volume name is too long: {len(name)} characters"
        raise InvalidArgument(message)


def check_snapshot(name: str) -> None:
    """Raise unless `name` can be a snapshot's, VOLUME@NAME.

    Raises: InvalidArgument
    """
    own = name.partition(SNAPSHOT)[2]
    if not _is_plain(own):
        message = f'invalid snapshot name "{own}": only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
        raise InvalidArgument(message)
    if len(name) > 255:
        message = f"snapshot name is too long: {len(name)} characters"
        raise InvalidArgument(message)


def is_snapshot(name: str) -> bool:
    """Tell whether a name is that of a snapshot."""
    return SNAPSHOT in name


def _is_plain(name: str) -> bool:
    return bool(name) and name[0] in _FIRST_LETTERS and _LETTERS.issuperset(name)


def check_driver(name: str, driver: str) -> None:
    """Raise unless there is the driver.

    Raises: NotFound
    """
    if driver != DRIVER:
        message = (
            f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )
        raise NotFound(message, hint=f"The volume driver is {DRIVER}.")
