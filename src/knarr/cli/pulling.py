"""Pulling for `pull`, `run`, `create` and `build`: policies, and what is shown meanwhile.

bookworm: Pulling from library/debian
3aab638df1a9: Pull complete
Digest: sha256:…
Status: Downloaded newer image for debian:bookworm
"""

from __future__ import annotations

from knarr.errors import InvalidArgument, KnarrError, NotFound, Unauthorized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from knarr.cli.command import Context
    from knarr.engine.image.pulling import Pulled
    from knarr.engine.images import Images
    from knarr.oci.descriptor import Platform
    from knarr.oci.reference import Reference
    from knarr.store.images import ImageRow

ALWAYS, MISSING, NEVER = ("always", "missing", "never")


def check_policy(policy: str) -> None:
    """See to it that `policy` is one, or empty.

    Raises: InvalidArgument
    """
    if policy not in ("", ALWAYS, MISSING, NEVER):
        message = f"invalid pull option: '{policy}': must be one of "
        raise InvalidArgument(message + '"always", "missing" or "never"')


def pull_shown(
    images: Images,
    reference: Reference,
    stream: TextIO,
    *,
    platform: Platform | None = None,
    every: bool = False,
    quiet: bool = False,
) -> Pulled:
    """Pull an image, with `every` for all platforms, and write to `stream` how that goes.

    Raises: NotFound, Unauthorized, Unavailable, PermissionDenied, Unsupported, Corrupt
    """
    from knarr.ui.transfers import choose  # noqa: PLC0415 - only for who pulls

    reference = reference.with_default_tag()
    wanted = reference.digest or reference.tag
    if not quiet:
        stream.write(f"{wanted}: Pulling from {reference.repository}\n")
        stream.flush()
    display = choose(stream, quiet=quiet)
    try:
        pulled = images.pull(reference, platform=platform, every=every, report=display)
    finally:
        display.close()
    if not quiet:
        what = "Downloaded newer image for" if pulled.newer else "Image is up to date for"
        stream.write(f"Digest: {pulled.digest}\nStatus: {what} {reference.familiar()}\n")
        stream.flush()
    return pulled


def pull_first(
    context: Context, text: str, *, platform: Platform | None = None, quiet: bool = False
) -> Pulled:
    """Pull what the name `text` means: the first of its meanings that there is.

    Raises: InvalidArgument, NotFound, Unauthorized, Unavailable, …
    """
    images, stream = context.engine.images, context.stderr
    candidates = context.engine.registries.candidates(text)
    for number, reference in enumerate(candidates, 1):
        try:
            return pull_shown(images, reference, stream, platform=platform, quiet=quiet)
        except (NotFound, Unauthorized):
            if number == len(candidates):
                raise
    message = f"{text!r} names no image"
    raise InvalidArgument(message)


def ensure(
    context: Context, text: str, policy: str, *, platform: str = "", quiet: bool = False
) -> None:
    """See to it that the image `text` is here, as `policy` says.

    Docker: "Unable to find image 'debian:latest' locally"

    Raises: InvalidArgument, NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
    """
    images = context.engine.images
    wanted = None
    if platform:
        from knarr.oci.descriptor import parse_platform  # noqa: PLC0415 - for few containers

        wanted = parse_platform(platform)
    if policy != ALWAYS:
        row = images.choose(text, wanted)
        if row is not None or policy == NEVER:
            if row is not None and wanted is None:
                _warn_of_platform(context, row)
            return
    from knarr.oci.reference import looks_like_id, parse_reference  # noqa: PLC0415 - as above

    if looks_like_id(text) or text.startswith("sha256:"):
        return  # an ID cannot be pulled: the caller says that it is not here
    shown = parse_reference(text).with_default_tag().familiar()
    if policy != ALWAYS:
        context.warn(f"Unable to find image '{shown}' locally")
    try:
        pulled = pull_first(context, text, platform=wanted, quiet=quiet)
    except KnarrError as error:
        if not error.hint and isinstance(error, NotFound | Unauthorized):
            error.hint = "knarr images lists what is here; load and import take archives."
        raise
    if wanted is None:
        _warn_of_platform(context, images.records.get(pulled.id))


def _warn_of_platform(context: Context, row: ImageRow) -> None:
    """Say that an image is not for this machine, unless it is."""
    from knarr.oci.descriptor import host_platform  # noqa: PLC0415 - as above

    host = host_platform()
    found = row.platform
    if (found.os, found.architecture) == (host.os, host.architecture) or not found.architecture:
        return
    context.warn(
        f"WARNING: The requested image's platform ({found}) does not match the detected host "
        f"platform ({host}) and no specific platform was requested\n"
        f"(--platform {host} asks for one that does; to run this one, register an interpreter "
        f"for {found.architecture}: apt install qemu-user-static binfmt-support)"
    )
