"""`POST /build` with `version=2`: BuildKit for docker command lines before buildx.

What is asked for is in the query, as with the classic builder; files, secrets and logins come by
the session that it names. The answer is lines of JSON, some of which hold a status of BuildKit's.

Docker: API 1.39 to 1.52, builder/builder-next
"""

from __future__ import annotations

import base64
import queue

from knarr.api.buildkit import wire
from knarr.api.buildkit.asking import Asked
from knarr.api.buildkit.exporters import Exporter
from knarr.api.buildkit.solving import Answer, Build, Request
from knarr.errors import CommandFailed, Failed, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.engine.builds import BuildOptions

SESSION = "client-session"
_SILENCE = 0.2  # seconds, after which it is looked whether the client is still there


def build(call: Call, options: BuildOptions, out: Outlet) -> None:
    """Build as `options` say; a context that is the session's is `client-session`.

    Raises: KnarrError
    """
    request = Request(call.text("session"), tuple(_exporters(call, options)))
    asked = Asked(
        options.replace(tags=(), context="" if options.context == SESSION else options.context),
        options.dockerfile or "Dockerfile",
        "context",
        "dockerfile" if options.context == SESSION else "",
        {},
    )
    work = Build(call.engine.paths, request)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def follow() -> None:
        async for status in work.story.follow():
            told.put(status)
        told.put(None)

    following = wire.begin(follow())
    building = wire.begin(work.run(asked))
    try:
        _pass_on(told, out)
        answer: Answer = building.result()
    except CommandFailed as error:  # whose status is not the client's, as it is without BuildKit
        raise Failed(error.message) from error
    finally:
        building.cancel()
        following.cancel()
    image_id = answer.exported.get("containerimage.config.digest")
    if image_id:
        out.send({"id": "moby.image.id", "aux": {"ID": image_id}})


def _pass_on(told: queue.SimpleQueue[Any], out: Outlet) -> None:
    """Let the client have every status, until there are no more. Raises: ClientGone"""
    while True:
        try:
            status = told.get(timeout=_SILENCE)
        except queue.Empty:
            out.idle()
            continue
        if status is None:
            return
        trace = base64.b64encode(status.SerializeToString()).decode()
        out.send({"id": "moby.buildkit.trace", "aux": trace})


def _exporters(call: Call, options: BuildOptions) -> list[Exporter]:
    """Return where the result goes: the store, unless the query says otherwise.

    Raises: InvalidArgument
    """
    found = call.document_in("outputs") or [{"Type": "moby"}]
    names = ",".join(options.tags)
    exporters = []
    for index, given in enumerate(found):
        if not isinstance(given, dict):
            message = "outputs is not a list of objects"
            raise InvalidArgument(message)
        kind = str(given.get("Type") or "moby")
        attributes = {str(key): str(value) for key, value in (given.get("Attrs") or {}).items()}
        if names and kind in ("moby", "image", "docker", "oci"):
            attributes["name"] = names
        exporters.append(Exporter(index, "moby" if kind == "image" else kind, attributes))
    return exporters
