"""Builds of the classic kind, with today's Dockerfiles; and the build cache."""

from __future__ import annotations

from functools import partial

from knarr.api.answers import Empty, Json, JsonLines
from knarr.api.parse.builds import BUILDKIT, parse_build
from knarr.api.parse.credentials import parse_auths
from knarr.api.render.builds import Classic
from knarr.engine.build.apart import Apart
from knarr.errors import InvalidArgument, KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.engine.builds import BuildOptions
    from knarr.registry.handed import Handed

_PIECE = 64 << 10


def build(call: Call) -> Answer:
    options = parse_build(call, call.engine.images)
    if call.text("version") == BUILDKIT:
        from knarr.api.buildkit import classic  # noqa: PLC0415 - loads gRPC, for who builds so

        return JsonLines(partial(classic.build, call, options), prompt=True)
    return JsonLines(partial(_build, call, options, parse_auths(call.headers)))


def _build(call: Call, options: BuildOptions, handed: Handed, out: Outlet) -> None:
    """Build in a process of its own, which ends with the client's interest."""
    display = Classic(out.send, quiet=call.flag("q"))
    paths = call.engine.paths
    with Apart(paths, options, handed=handed, name=call.text("buildid")) as build:
        if options.context == "-":
            while (data := call.body.read(_PIECE)) and build.feed(data):
                pass
        try:
            for event in build.events():
                if event is None:
                    out.idle()
                else:
                    display(event)
        except KnarrError as error:
            raise display.fail(error) from error
        display.conclude(build.result)


def cancel(call: Call) -> Answer:
    from knarr.engine.build.apart import cancel  # noqa: PLC0415 - hardly ever

    if not call.text("id"):
        message = "build ID not provided"
        raise InvalidArgument(message)
    cancel(call.engine.paths, call.text("id"))
    return Empty()


def prune(call: Call) -> Answer:
    """Forget what the cache holds, but for as much as is to be kept."""
    from knarr.engine.build.pruning import allowance, prune  # noqa: PLC0415 - loads much

    keep = allowance(
        call.engine,
        most=call.number("max-used-space") or 0,
        reserved=max(call.number(name) or 0 for name in ("keep-storage", "reserved-space")),
        free=call.number("min-free-space") or 0,
    )
    keys, freed = prune(call.engine, call.filters(), every=call.flag("all"), keep=keep)
    found = [key.removeprefix("sha256:") for key in keys]
    return Json({"CachesDeleted": found or None, "SpaceReclaimed": freed})
