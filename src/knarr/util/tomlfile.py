"""Files of settings that people write, in TOML."""

from __future__ import annotations

from knarr.errors import Failed, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_SIZE = 1 << 20


def load(path: str, *, purpose: str) -> dict[str, Any] | None:
    """Return what the file at `path` says, None without one; costs one system call then.

    `purpose` says in a sentence what is read from it, for whoever does not know the file.

    Raises: InvalidArgument (too large, not TOML), Failed (not readable)
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise Failed(message) from None
    if len(raw) > MAX_SIZE:
        message = f"{path} has more than {MAX_SIZE} bytes"
        raise InvalidArgument(message)
    import tomllib  # noqa: PLC0415 - 8 ms, where there is such a file

    try:
        return tomllib.loads(raw.decode())
    except ValueError as error:
        message = f"{path}: {error}"
        raise InvalidArgument(message, hint=purpose) from None
