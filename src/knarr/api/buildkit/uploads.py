"""Contexts that a client uploads: archives that it has under a URL of its own, for one build.

    docker buildx build - <context.tar          context = http://buildkit-session/<random>

Spec: BuildKit, upload.proto and package uploadprovider
"""

from __future__ import annotations

import asyncio
import os

from knarr.engine.build.context import unpack_context
from knarr.errors import NotFound
from knarr.linux import path as paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.buildkit.sessions import Session

_HOST = "buildkit-session"
_SCHEME = f"http://{_HOST}"


def is_upload(context: str) -> bool:
    """Tell whether the client has the context under a URL of its own."""
    return context.startswith(f"{_SCHEME}/")


async def receive(session: Session, url: str, path: str) -> None:
    """Get what the client has under `url` into the file `path`. Raises: GRPCError"""
    metadata = [("urlhost", _HOST), ("urlpath", url.removeprefix(_SCHEME))]
    with await asyncio.to_thread(open, path, "xb") as file:
        async with session.upload().open(metadata=metadata) as stream:
            await stream.send_request(end=True)
            async for packet in stream:
                await asyncio.to_thread(file.write, packet.data)


def unpack(path: str, directory: str, subdir: str) -> str:
    """Unpack a context into a new directory; return where it is, which is `subdir` of that.

    Raises: InvalidArgument, Corrupt, NotFound
    """
    with open(path, "rb") as archive:
        unpack_context(archive, directory)
    os.unlink(path)
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = paths.open_in_root(root, subdir or ".", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        message = f"the context has no directory {subdir}"
        raise NotFound(message) from error
    finally:
        os.close(root)
    try:
        return os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
