"""The options of a container: what the user asked for, over what the image says.

Docker: runconfig Merge and the checks behind it, in the daemon of moby
"""

from __future__ import annotations

from os.path import normpath

from knarr.engine.options.environment import merge_env
from knarr.engine.options.values import MountRequest
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Options
    from knarr.oci.config import Healthcheck, RunConfig


def merged(options: Options, image: RunConfig) -> Options:
    """Return `options` with everything they leave open filled in from the image's config.

    Docker: a new entrypoint drops the image's command; an image's command counts only while
    neither is given.

    Raises: InvalidArgument
    """
    entrypoint, command = options.entrypoint, options.command
    if not entrypoint:
        if not command:
            command = image.cmd
        if entrypoint is None:
            entrypoint = image.entrypoint
    if entrypoint == ("",):
        entrypoint = None
    if not entrypoint and not command:
        message = "no command specified"
        hint = "The image has no command of its own: name one behind the image."
        raise InvalidArgument(message, hint=hint)
    return options.replace(
        entrypoint=entrypoint,
        command=command,
        user=options.user or image.user,
        working_dir=_directory(options.working_dir or image.working_dir),
        env=_env(options.env, (*options.host_env, *image.env)),
        host_env=(),
        labels={**image.labels, **options.labels},
        exposed=tuple(dict.fromkeys((*options.exposed, *image.exposed_ports))),
        volumes=tuple(dict.fromkeys((*options.volumes, *image.volumes))),
        mounts=_mounts(options, (*options.volumes, *image.volumes)),
        stop_signal=options.stop_signal or image.stop_signal,
        stop_timeout=image.stop_timeout if options.stop_timeout is None else options.stop_timeout,
        healthcheck=_health(options.healthcheck, image.healthcheck),
        shell=options.shell or image.shell or (),
    )


def _directory(path: str) -> str:
    """Return the working directory without `..` and the like, as Docker makes it."""
    if path.startswith("/"):
        return normpath(path)
    return path


def _env(given: tuple[str, ...], image: tuple[str, ...]) -> tuple[str, ...]:
    """Return the user's entries first, then those of the image that the user has no word on.

    Docker: what takes a variable out, a name alone, stays to be seen
    """
    named = {entry.partition("=")[0]: entry for entry in given}
    kept = [entry for entry in image if entry.partition("=")[0] not in named]
    return (*named.values(), *merge_env(kept))


def _mounts(options: Options, volumes: tuple[str, ...]) -> tuple[MountRequest, ...]:
    """Return the mounts, with a volume of its own for each path that the image declares one at.

    Raises: InvalidArgument
    """
    taken = set()
    for mount in options.mounts:
        if mount.target in taken:
            message = f"duplicate mount point: {mount.target}"
            raise InvalidArgument(message)
        taken.add(mount.target)
    # What an image declares may be spelled in many ways: none leads out of the root.
    paths = dict.fromkeys(normpath(f"/{path.lstrip('/')}") for path in volumes)
    own = [
        MountRequest("volume", path, image_volume=True)
        for path in paths
        if path != "/" and path not in taken
    ]
    return (*options.mounts, *own)


def _health(given: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    if given is None or image is None:
        return given or image
    return given.replace(
        test=image.test if given.test is None else given.test,
        interval_ns=given.interval_ns or image.interval_ns,
        timeout_ns=given.timeout_ns or image.timeout_ns,
        start_period_ns=given.start_period_ns or image.start_period_ns,
        start_interval_ns=given.start_interval_ns or image.start_interval_ns,
        retries=given.retries or image.retries,
    )
