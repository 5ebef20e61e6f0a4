"""Images shown as directories of the host: `image mount`.

The only mounts that knarr makes where others see them, since that is what was asked for: read-only,
without devices and set-user-ID, at <run>/images/<id>, which is root's alone, or where the user
says.

There is no record but the kernel's own. A mount's source in the mount table names the root and the
image, so that what is mounted is known as long as it is, whoever was killed meanwhile, and is gone
with a reboot. An image is mounted, and removed, within a transaction of the database: so one cannot
vanish under the other.

Podman: the words of "podman image mount", but for a count of mounts
"""

from __future__ import annotations

import contextlib
import errno
import os

from knarr.errors import Conflict, Corrupt, InvalidArgument, NotFound, PermissionDenied
from knarr.linux import mount as calls
from knarr.linux import mounttable
from knarr.oci.digest import Digest
from knarr.util.trace import trace
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.engine import Engine
    from knarr.engine.paths import Paths


class Shown(Value):
    """An image that is mounted, and where."""

    image: Digest
    path: str


def mount(engine: Engine, text: str, *, target: str = "") -> Shown:
    """Mount the image `text` at `target`, or at a place of its own; twice is once.

    Raises: InvalidArgument, NotFound, PermissionDenied, Corrupt, Unsupported
    """
    place = _checked(target) if target else ""
    with engine.database.transaction(durable=False):
        image_id = engine.images.get(text).id
        shown = Shown(image_id, place or _own_place(engine.paths, image_id))
        if shown in mounts(engine.paths):
            return shown
        if not place:
            os.makedirs(shown.path, 0o700, exist_ok=True)
        trace("image-mount:before-attach")
        _attach(engine, shown)
        trace("image-mount:attached")
    engine.images.note("mount", image_id)
    return shown


def _attach(engine: Engine, shown: Shown) -> None:
    source = f"{engine.paths.realm}:{shown.image}"
    with _meaning(shown):
        opened = engine.layers.show(engine.images.stack(shown.image), source=source)
        try:
            target_fd = os.open(shown.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                calls.attach(opened, target_fd)
            finally:
                os.close(target_fd)
        finally:
            os.close(opened)


def unmount(engine: Engine, text: str, *, force: bool = False) -> Digest:
    """Unmount the image `text` wherever it is; with `force` take it from who uses it.

    Raises: InvalidArgument, NotFound, Conflict, PermissionDenied
    """
    image_id = engine.images.get(text).id
    found = [shown for shown in mounts(engine.paths) if shown.image == image_id]
    if not found:
        message = f"image {text} is not mounted"
        raise NotFound(message, hint="knarr image mount lists what is.")
    for shown in found:
        take_down(engine.paths, shown, force=force)
    engine.images.note("unmount", image_id)
    return image_id


def unmount_all(engine: Engine, *, force: bool = False) -> list[Digest]:
    """Unmount every image, also what is not here any more; return which.

    Raises: Conflict, PermissionDenied
    """
    found = mounts(engine.paths)
    for shown in found:
        take_down(engine.paths, shown, force=force)
    images = list(dict.fromkeys(shown.image for shown in found))
    for image_id in images:
        engine.images.note("unmount", image_id)
    return images


def take_down(paths: Paths, shown: Shown, *, force: bool) -> None:
    """Unmount one image from one place.

    Raises: Conflict, PermissionDenied
    """
    with _meaning(shown):
        calls.umount2(shown.path, calls.UMOUNT_NOFOLLOW | (calls.MNT_DETACH if force else 0))
    if shown.path == _own_place(paths, shown.image):
        with contextlib.suppress(OSError):  # it is mounted there twice
            os.rmdir(shown.path)


def mounts(paths: Paths) -> list[Shown]:
    """Return which images of this root are mounted, and where, the last one first."""
    prefix = f"{paths.realm}:"
    found = []
    for one in reversed(mounttable.mounted()):
        if one.fstype == "overlay" and one.source.startswith(prefix):
            try:
                image_id = Digest(one.source.removeprefix(prefix))
            except Corrupt:  # somebody else's
                continue
            found.append(Shown(image_id, one.point))
    return found


def sweep(engine: Engine) -> list[str]:
    """Unmount images that were removed, and remove places of those that are not mounted.

    What a command was killed at. Returns what was done, in words.
    """
    stale = [
        shown for shown in mounts(engine.paths) if engine.images.records.find(shown.image) is None
    ]
    for shown in stale:
        take_down(engine.paths, shown, force=True)
    directory = f"{engine.paths.run}/images"
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):  # mounted
                os.rmdir(f"{directory}/{name}")
    return [f"unmounted {len(stale)} images that were removed"] if stale else []


def _own_place(paths: Paths, image_id: Digest) -> str:
    return f"{paths.run}/images/{image_id.hex}"


def _checked(target: str) -> str:
    path = os.path.realpath(target)
    if not os.path.exists(path):
        message = f"cannot mount at {target}: there is no such directory"
        raise NotFound(message)
    if not os.path.isdir(path):
        message = f"cannot mount at {target}: it is not a directory"
        raise InvalidArgument(message)
    return path


@contextlib.contextmanager
def _meaning(shown: Shown) -> Iterator[None]:
    """Say what the kernel's refusals mean."""
    try:
        yield
    except PermissionError as error:
        message = f"image {shown.image.short}: mounting is root's alone here"
        raise PermissionDenied(message) from error
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        message = f"image {shown.image.short} is in use at {shown.path}"
        hint = "End what works there, or unmount it with --force."
        raise Conflict(message, hint=hint) from error
