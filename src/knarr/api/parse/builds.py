"""The query of `POST /build`: what is asked of a build.

The context is the body, or what is at `remote`, but nothing of the server's own files. What the
classic builder was told about how to go about its work (`rm`, `forcerm`) is no business of ours.

Docker: daemon/server/router/build, for what is refused and how
"""

from __future__ import annotations

from knarr.api.parse.reading import reading
from knarr.api.parse.resources import parse_resources
from knarr.build.remote import as_context
from knarr.engine.build.steps import Limits
from knarr.engine.builds import BuildOptions
from knarr.engine.options.names import parse_extra_host
from knarr.errors import InvalidArgument, Unsupported
from knarr.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.api.call import Call
    from knarr.engine.images import Images

# Names in the query of what HostConfig calls otherwise.
_NUMBERS = {
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "cpushares": "CpuShares",
    "memory": "Memory",
    "memswap": "MemorySwap",
}
_TEXTS = {"cgroupparent": "CgroupParent", "cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems"}
_CLASSIC, BUILDKIT = ("", "1"), "2"
_SESSION = "client-session"


def parse_build(call: Call, images: Images) -> BuildOptions:
    """Return the options; a `context` of `-` is the body, `client-session` the session's.

    Raises: InvalidArgument, Unsupported
    """
    _refuse(call)
    return BuildOptions(
        _context(call.text("remote"), session=call.text("version") == BUILDKIT),
        dockerfile=call.text("dockerfile"),
        tags=tuple(tag for tag in call.texts("t") if tag),
        arguments=_strings(call, "buildargs"),
        labels=_strings(call, "labels"),
        target=call.text("target"),
        platform=call.text("platform"),
        network=call.text("networkmode") or "default",
        hosts=tuple(parse_extra_host(text) for text in call.texts("extrahosts") if text),
        no_cache=call.flag("nocache") or _without_cache(call, images),
        pull=call.flag("pull"),
        limits=_limits(call),
    )


def _refuse(call: Call) -> None:
    message, hint = "", ""
    if call.flag("squash"):
        message = "squash is only supported with experimental mode"
        hint = "knarr image squash makes one layer of an image."
    elif call.text("isolation") not in ("", "default"):
        message = f"unsupported isolation: {call.text('isolation')}"
    elif call.document_in("securityopt"):
        message = "The daemon on this platform does not support setting security options on build"
    elif call.text("version") != BUILDKIT and any(
        _is_elsewhere(output) for output in call.document_in("outputs") or ()
    ):
        message = "outputs other than an image need a session"
        hint = "docker buildx build has one."
    if message:
        raise InvalidArgument(message, hint=hint)
    if call.text("version") not in (*_CLASSIC, BUILDKIT):
        message = f"invalid version {call.text('version')}"
        raise Unsupported(message)


def _is_elsewhere(output: object) -> bool:
    return not isinstance(output, dict) or output.get("Type") not in ("", "docker", "image")


def _context(remote: str, *, session: bool) -> str:
    if not remote:
        return "-"
    if remote == _SESSION and session:
        return remote
    if as_context(remote) is None:
        message = f"unable to prepare context: {remote} is not the URL of an archive or repository"
        raise InvalidArgument(message)
    return remote


def _strings(call: Call, name: str) -> dict[str, str]:
    """Return an object of strings in the query; a null is as if it were not there."""
    given = call.document_in(name, {})
    if isinstance(given, dict):
        given = {key: value for key, value in given.items() if value is not None}
    with reading():
        return dict(Fields({name: given}, "query").mapping(name))


def _without_cache(call: Call, images: Images) -> bool:
    """Tell whether images are named to take results from, and none of them is here.

    Docker: the classic builder takes from these images alone
    """
    names = call.document_in("cachefrom") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = "cachefrom is not a list of strings"
        raise InvalidArgument(message)
    return bool(names) and not any(images.find(name) for name in names)


def _limits(call: Call) -> Limits | None:
    given: dict[str, Any] = {key: call.number(name, 0) for name, key in _NUMBERS.items()}
    given |= {key: call.text(name) for name, key in _TEXTS.items()}
    given["Ulimits"] = call.document_in("ulimits")
    shm_size = call.number("shmsize") or 0
    if not shm_size and not any(given.values()):
        return None
    with reading():
        return Limits(parse_resources(Fields(given, "query")), shm_size)
