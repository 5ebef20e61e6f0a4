"""The caches of `RUN --mount=type=cache`, taken along with a build's cache and brought back.

A cache is given as a tar of its directory, while nobody has it for himself. It is unpacked where
there is none of its name yet: what a step finds in its cache here is never replaced.
"""

from __future__ import annotations

import contextlib
import os

from knarr.engine.build.mounts import cache_dir
from knarr.engine.image.forms import Form
from knarr.engine.image.sending import Spooled
from knarr.errors import NotFound
from knarr.oci.digest import VerifyingReader
from knarr.util import compression
from knarr.util.files import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.engine.engine import Engine
    from knarr.engine.image.places.place import Source
    from knarr.oci.descriptor import Descriptor

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def packed(engine: Engine, name: str, form: Form) -> Iterator[Spooled | None]:
    """Yield the cache `name` as a blob, None if there is none."""
    from knarr.snapshot.pack import Packer  # noqa: PLC0415 - for who asks for it

    directory = cache_dir(engine.paths, name)
    if not os.path.isdir(f"{directory}/data"):
        yield None
        return
    with FileLock(f"{directory}/lock"), Spooled(engine, form) as spooled:
        root_fd = os.open(f"{directory}/data", _DIRECTORY)
        try:
            Packer(root_fd, spooled).pack()
        finally:
            os.close(root_fd)
        spooled.finish()
        yield spooled


def unpack(directory: str, blob: Descriptor, source: Source) -> bool:
    """Unpack a cache into a new directory, and return True; False if it is there no more.

    Raises: Corrupt, Unavailable
    """
    from knarr.linux.tree import remove_path  # noqa: PLC0415 - for who has imported one
    from knarr.snapshot.archive import unpack_archive_into  # noqa: PLC0415 - as above

    try:
        stream = source.open(blob)
    except NotFound:
        return False
    aside = f"{directory}.{os.getpid()}"
    os.makedirs(aside, 0o755)
    target = os.open(aside, _DIRECTORY)
    try:
        reader = VerifyingReader(stream, blob.digest, blob.size)
        unpack_archive_into(target, ".", compression.open_any(reader)[0])
        while reader.read(1 << 20):
            pass
        os.rename(aside, directory)
    except BaseException:
        remove_path(aside)
        raise
    finally:
        os.close(target)
        stream.close()
    return True
