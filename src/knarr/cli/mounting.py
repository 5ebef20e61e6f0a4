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
    found: dict[str, Any] = {
        "volumes_from": tuple(options.texts("volumes-from")),
        "volume_driver": options.text("volume-driver"),
        "mounts": _mounts(options),
        "binds": tuple(text for text in _volumes(options) if ":" in text),
    }
    if options.given("storage-opt"):
        found["storage_opt"] = _storage_options(options)
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


def _storage_options(options: Options) -> dict[str, str]:
    """Return what `--storage-opt` says; what it means is for the engine to say.

    Raises: InvalidArgument
    """
    pairs = [text.partition("=") for text in options.texts("storage-opt")]
    if not all(equals for _, equals, _ in pairs):
        message = "invalid storage option"
        raise InvalidArgument(message)
    return {key: value for key, _, value in pairs}
