"""Images as archives, and as made of a container: get, load, commit."""

from __future__ import annotations

from functools import partial

from knarr.api import faults
from knarr.api.answers import TAR, Json, JsonLines, Stream
from knarr.api.parse.names import SEVERAL_PLATFORMS, join_tag, parse_platforms
from knarr.api.parse.reading import reading
from knarr.api.render import images as render
from knarr.api.render.transfers import Layers
from knarr.errors import InvalidArgument, KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call
    from knarr.api.outlet import Outlet
    from knarr.oci.descriptor import Platform


def get(call: Call) -> Answer:
    """Give one image as an archive."""
    return _archive(call, [call.parameters["name"]])


def get_several(call: Call) -> Answer:
    """Give several images in one archive."""
    return _archive(call, [name for text in call.texts("names") for name in text.split(",")])


def _archive(call: Call, names: list[str]) -> Answer:
    """Give images. Docker: for several platforms, since 1.52, under an index of these alone."""
    platform, several = _platforms(call)
    form = "oci-archive" if several else "docker-archive"

    def write(out: Outlet) -> None:
        images = call.engine.images
        images.save(names, out, form=form, platform=platform, platforms=several)

    return Stream(write, TAR)


def _platforms(call: Call) -> tuple[Platform | None, list[Platform]]:
    """Return the platform that is asked for, or the several."""
    platforms = list(dict.fromkeys(parse_platforms(call)))
    if len(platforms) < 2:
        return (platforms[0] if platforms else None), []
    if call.version < SEVERAL_PLATFORMS:
        message = (
            "multiple platform parameters are not supported in this API version; "
            "use API version 1.52 or later"
        )
        raise InvalidArgument(message)
    return None, platforms


def load(call: Call) -> Answer:
    """Take in an archive."""
    return JsonLines(partial(_load, call, *_platforms(call), quiet=call.flag("quiet")))


def _load(
    call: Call, platform: Platform | None, several: list[Platform], out: Outlet, *, quiet: bool
) -> None:
    """Take in an archive. Docker: an error is a line of the answer, whose status is 200 already"""
    report = None if quiet else Layers(out.send)
    try:
        arrivals = call.engine.images.load(
            call.body, platform=platform, platforms=several, report=report
        )
    except KnarrError as error:
        out.send(faults.line(error))
        return
    for document in render.loaded(arrivals):
        out.send(document)


def commit(call: Call) -> Answer:
    from knarr.engine.changes import CommitOptions, commit  # noqa: PLC0415 - loads much
    from knarr.oci.config import decode_run_config  # noqa: PLC0415 - as above
    from knarr.oci.document import Fields  # noqa: PLC0415 - as above

    document = call.json()
    with reading():
        config = decode_run_config(Fields(document, "config")) if document else None
    changes = [line for text in call.texts("changes") for line in text.splitlines()]
    wanted = CommitOptions(
        reference=join_tag(call.text("repo"), call.text("tag")),
        changes=tuple(line for line in changes if line.strip()),
        author=call.text("author"),
        comment=call.text("comment"),
        pause=call.flag("pause", default=True),
        config=config,
    )
    container = call.engine.containers.get(call.text("container"))
    return Json({"Id": str(commit(container, wanted))}, 201)
