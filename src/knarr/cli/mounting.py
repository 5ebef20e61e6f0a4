"""From the command line to what is mounted: volumes, directories of the host, secrets."""

from __future__ import annotations

from knarr.cli.command import parse_each
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Options
    from knarr.engine.options.values import MountRequest


def parse_storage(options: Options) -> dict[str, Any]:
    """Return the fields of the options that say what is mounted.

    Raises: InvalidArgument
    """
    if options.given("storage-opt"):
        _refuse_limits(options)
    found: dict[str, Any] = {
        "volumes_from": tuple(options.texts("volumes-from")),
        "volume_driver": options.text("volume-driver"),
        "mounts": _mounts(options),
        "binds": tuple(text for text in _volumes(options) if ":" in text),
    }
    if options.given("secret"):
        from knarr.engine.options.secrets import parse_secret  # noqa: PLC0415 - see the module

        found["secrets"] = tuple(parse_each(options, "secret", parse_secret))
    return found


def _mounts(options: Options) -> tuple[MountRequest, ...]:
    from knarr.engine.options.storage import (  # noqa: PLC0415 - see the module
        parse_mount,
        parse_tmpfs,
        parse_volume,
    )

    driver = options.text("volume-driver")
    volumes = [parse_volume(text) for text in _volumes(options)]
    return (
        *(one.replace(driver=driver) if one.kind == "volume" else one for one in volumes),
        *parse_each(options, "mount", parse_mount),
        *(parse_tmpfs(text) for text in options.texts("tmpfs")),
    )


def _volumes(options: Options) -> list[str]:
    """Return the texts of `-v`; what is said twice counts once, as with Docker."""
    return list(dict.fromkeys(options.texts("volume")))


def _refuse_limits(options: Options) -> None:
    """Raise for `--storage-opt`: a limit of the root's size takes a file system of another sort.

    Docker: what it says on everything but XFS with project quotas

    Raises: InvalidArgument
    """
    message = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
    for text in options.texts("storage-opt"):
        key, equals, _ = text.partition("=")
        if not equals:
            message = "invalid storage option"
        elif key.lower() != "size":
            message = f"Unknown option {key}"
    raise InvalidArgument(message)
