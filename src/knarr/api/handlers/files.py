"""Files of containers, as archives: export, and the three ways of `cp`."""

from __future__ import annotations

import base64

from knarr.api.answers import TAR, Empty, Stream
from knarr.api.handlers.containers import find
from knarr.engine.changes import export as write_files
from knarr.errors import InvalidArgument
from knarr.util import jsontext
from knarr.util.compression import open_any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer, Headers
    from knarr.api.call import Call
    from knarr.engine.containers import Container


def export(call: Call) -> Answer:
    container = find(call)
    return Stream(lambda outlet: write_files(container, outlet), "application/octet-stream")


def stat(call: Call) -> Answer:
    return Empty(200, _stat_header(find(call), _path(call)))


def get(call: Call) -> Answer:
    container, path = find(call), _path(call)
    header = _stat_header(container, path)
    return Stream(lambda outlet: container.archive_get(path, outlet), TAR, headers=header)


def put(call: Call) -> Answer:
    """Unpack an archive, compressed or not. Docker: `copyUIDGID` makes it the container's user's"""
    container, path = find(call), _path(call)
    user = container.options.user if call.flag("copyUIDGID") else ""
    archive = open_any(call.body)[0]
    container.archive_put(path, archive, chown=user, merging=call.flag("noOverwriteDirNonDir"))
    return Empty(200)


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        message = "missing parameter in call: path"
        raise InvalidArgument(message)
    return path


def _stat_header(container: Container, path: str) -> Headers:
    document = jsontext.dumps(container.archive_stat(path).document()).encode()
    return (("X-Docker-Container-Path-Stat", base64.b64encode(document).decode("ascii")),)
