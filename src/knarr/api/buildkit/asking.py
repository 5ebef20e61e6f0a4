"""What a client asks of a build, in the attributes of the Dockerfile front end. Pure.

Spec: BuildKit, package dockerui (the attributes), and its exporters
"""

from __future__ import annotations

import csv
import io

from knarr.api.parse.reading import reading
from knarr.api.parse.resources import parse_resources
from knarr.build.dockerfile import instructions as ins
from knarr.build.remote import is_remote
from knarr.engine.build.steps import Limits
from knarr.engine.build.words.attestations import parse_attestations
from knarr.engine.build.words.caches import parse_sources, parse_targets
from knarr.engine.build.words.fields import parse_fields
from knarr.engine.builds import BuildOptions
from knarr.engine.options.limits import parse_ulimit
from knarr.engine.options.names import parse_extra_host
from knarr.errors import InvalidArgument, Unsupported
from knarr.oci.document import Fields
from knarr.oci.reference import parse_reference
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from knarr.build.dockerfile.program import Program
    from knarr.engine.build.attesting.statements import Wanted
    from knarr.engine.build.caching.places import CachePlace, CacheTarget

FRONTEND, GATEWAY = "dockerfile.v0", "gateway.v0"
LOCAL, INPUT = "local:", "input:"
_LAYOUT = "oci-layout://"
_IMAGES = ("docker-image", "oci-layout")  # kinds of contexts, before `:` or `://`
GIT_SECRETS = ("GIT_AUTH_TOKEN", "GIT_AUTH_HEADER")
_NETWORKS = {"": "default", "sandbox": "default", "host": "host", "none": "none"}
# Attributes that are numbers of HostConfig.
_NUMBERS = {
    "memory": "Memory", "memswap": "MemorySwap", "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod", "cpuquota": "CpuQuota",
}  # fmt: skip
_TEXTS = {
    "cgroup-parent": "CgroupParent", "cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems",
}  # fmt: skip


class Asked(Value):
    """A build as it is asked for.

    `context` and `dockerfile` are what the client calls the directories of these; without the
    latter the Dockerfile is in the context, which is somewhere else. Contexts with names may be
    its, too: `locals` are directories, `layouts` images. `sessions` offer those
    directories that the session of the build does not; `subdir` is where in an archive that is
    uploaded the context is. `call` is for what is no build: `check`, `outline`, `targets`.
    """

    options: BuildOptions
    filename: str
    context: str
    dockerfile: str
    locals: Mapping[str, str]
    layouts: Mapping[str, str] = {}
    sessions: Mapping[str, str] = {}
    subdir: str = ""
    call: str = ""


# What a front end is asked for by name, and what the builder calls it.
_CALLS = {"frontend.lint": "check", "frontend.outline": "outline", "frontend.targets": "targets"}


def read(frontend: str, attributes: Mapping[str, str], inputs: Iterable[str] = ()) -> Asked:
    """Return what `attributes` ask for.

    Raises: InvalidArgument, Unsupported
    """
    _refuse(frontend, attributes, inputs)
    get = attributes.get
    contexts, locals_, layouts = _contexts(attributes)
    no_cache = get("no-cache")
    options = BuildOptions(
        get("context", ""),
        arguments=_arguments(attributes),
        labels=_below(attributes, "label:"),
        target=get("target", ""),
        platform=get("platform", ""),
        network=_NETWORKS[get("force-network-mode", "")],
        hosts=tuple(_hosts(get("add-hosts", ""))),
        contexts=contexts,
        no_cache=no_cache == "",
        uncached_stages=tuple(filter(None, (no_cache or "").split(","))),
        pull=get("image-resolve-mode", "") == "pull",
        limits=_limits(attributes),
        attest=_attestations(attributes),
        cache_from=_imports(attributes),
    )
    return Asked(
        options,
        get("filename", "Dockerfile"),
        get("contextkey", "context"),
        get("dockerfilekey", "" if options.context else "dockerfile"),
        locals_,
        layouts,
        _below(attributes, "local-sessionid:"),
        get("contextsubdir", ""),
        _call(get("requestid", "")),
    )


def _refuse(frontend: str, attributes: Mapping[str, str], inputs: Iterable[str]) -> None:
    message, hint = "", "The builder is knarr's own and reads Dockerfiles."
    if frontend == GATEWAY and attributes.get("source") == FRONTEND:
        frontend = FRONTEND  # the gateway is asked for the front end that is built in
    if frontend == GATEWAY:
        message = f"cannot run another front end: {attributes.get('source', '')}"
        hint = "Leave BUILDKIT_SYNTAX out: all of today's Dockerfile language is understood."
    elif frontend != FRONTEND:
        message = f"unknown front end {frontend or '(none)'}"
    elif list(inputs):
        message = "a build cannot take the result of another build as its context"
        hint = "Give that one a name as an image, and name it as docker-image://NAME."
    elif attributes.get("force-network-mode", "") not in _NETWORKS:
        message = f"network mode {attributes['force-network-mode']} is not known"
    if message:
        raise Unsupported(message, hint=hint)


def _below(attributes: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the attributes with a prefix, without it."""
    return {
        key.removeprefix(prefix): value
        for key, value in attributes.items()
        if key.startswith(prefix)
    }


def _arguments(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the build arguments; the name of a step's host is one, and may be said apart."""
    given = _below(attributes, "build-arg:")
    if attributes.get("hostname"):
        given.setdefault("BUILDKIT_SANDBOX_HOSTNAME", attributes["hostname"])
    return given


def _contexts(
    attributes: Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the named contexts, and those that are the client's: directories, and images.

    Raises: Unsupported
    """
    contexts, locals_, layouts = {}, {}, {}
    for name, text in _below(attributes, "context:").items():
        kind, _, rest = text.partition(":")
        value = f"{kind}://{rest.removeprefix('//')}" if kind in _IMAGES else text
        if value.startswith(LOCAL):
            locals_[name] = value.removeprefix(LOCAL)
        elif value.startswith(_LAYOUT):
            layouts[name] = value.removeprefix(_LAYOUT)
        elif value.startswith(INPUT):
            message = f"the named context {name} is {value}, which only BuildKit itself can take"
            hint = "A directory, a URL, a repository, an OCI layout, or docker-image://NAME can."
            raise Unsupported(message, hint=hint)
        else:
            contexts[name] = value
    return contexts, locals_, layouts


def _hosts(text: str) -> Iterable[str]:
    for field in next(csv.reader([text])) if text else ():
        name, equals, address = field.partition("=")
        if not equals:
            message = f"invalid key-value pair {field}"
            raise InvalidArgument(message)
        yield parse_extra_host(f"{name}:{address}")


def _limits(attributes: Mapping[str, str]) -> Limits | None:
    """Return what each step may use, None if nothing is said. Raises: InvalidArgument"""
    given: dict[str, Any] = {}
    for name, key in _NUMBERS.items():
        if name in attributes:
            given[key] = _number(name, attributes[name])
    given |= {key: attributes[name] for name, key in _TEXTS.items() if name in attributes}
    texts = next(csv.reader([attributes["ulimit"]])) if attributes.get("ulimit") else ()
    ulimits = [parse_ulimit(text) for text in texts]
    if ulimits:
        given["Ulimits"] = [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in ulimits]
    shm_size = _number("shm-size", attributes.get("shm-size", "0"))
    if not given and not shm_size:
        return None
    with reading():
        return Limits(parse_resources(Fields(given, "attributes")), shm_size)


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"{name} is not a number: {text!r}"
        raise InvalidArgument(message) from None


def _attestations(attributes: Mapping[str, str]) -> Wanted | None:
    """Return what is to be attested, None if nothing is asked for.

    What buildx adds by itself, provenance that is `inline-only`, is for images that say so in
    themselves alone; here an image says nothing that was not asked for.

    Raises: InvalidArgument
    """
    texts = []
    for kind, text in _below(attributes, "attest:").items():
        fields = parse_fields(text) if text else {}
        if "inline-only" not in fields:
            texts.append(_row({"type": kind, **fields}))
    return parse_attestations(texts) if texts else None


def caches(
    sources: Iterable[tuple[str, Mapping[str, str]]],
    targets: Iterable[tuple[str, Mapping[str, str]]],
) -> tuple[tuple[CachePlace, ...], tuple[CacheTarget, ...]]:
    """Return where the cache comes from and goes to, by types and their attributes.

    What a job of GitHub's has in its environment is the client's: ours is asked for nothing.

    Raises: InvalidArgument, Unsupported
    """
    given = [{"type": kind, **fields} for kind, fields in sources]
    wanted = [{"type": kind, **fields} for kind, fields in targets]
    found = parse_sources([_row(fields) for fields in given], {})
    asked = parse_targets([_row(fields) for fields in wanted], {}, {})
    # The directories are the client's, which knows them as it has written them.
    return (
        tuple(
            place.replace(directory=fields.get("src", ""))
            for place, fields in zip(found, given, strict=True)
        ),
        tuple(
            target.replace(place=target.place.replace(directory=fields.get("dest", "")))
            for target, fields in zip(asked, wanted, strict=True)
        ),
    )


def _imports(attributes: Mapping[str, str]) -> tuple[CachePlace, ...]:
    """Return the caches that a front end is to look into, also those in the words of old clients.

    Raises: InvalidArgument, Unsupported
    """
    text = attributes.get("cache-imports", "")
    given = jsontext.loads(text.encode()) if text else []
    with reading():
        entries = Fields({"it": given}, "cache-imports").children("it")
        sources = [(one.text("Type"), dict(one.mapping("Attrs"))) for one in entries]
    names = filter(None, attributes.get("cache-from", "").split(","))
    sources += [("registry", {"ref": name}) for name in names]
    return caches(sources, ())[0]


def _row(fields: Mapping[str, str]) -> str:
    """Return fields as one line `KEY=VALUE,…`, quoted where a value has a comma."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([f"{key}={text}" for key, text in fields.items()])
    return out.getvalue()


def _call(request: str) -> str:
    if request and request not in _CALLS:
        message = f"unsupported request {request}"
        raise Unsupported(message, hint=f"There is {', '.join(sorted(_CALLS))}.")
    return _CALLS.get(request, "")


def secrets_of(program: Program) -> list[str]:
    """Return the names of the secrets that the steps of a Dockerfile want."""
    found: dict[str, None] = {}
    for fields in _mounts(program, "secret"):
        target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
        found[fields.get("id") or target.rpartition("/")[2]] = None
    return [name for name in found if name]


def agents_of(program: Program) -> list[str]:
    """Return the names of the SSH agents that the steps of a Dockerfile want."""
    return list(dict.fromkeys(fields.get("id") or "default" for fields in _mounts(program, "ssh")))


def uses_context(program: Program) -> bool:
    """Tell whether a step takes files of the context, as far as the file itself says that.

    It does not where variables are, and triggers of base images are not in it.
    """
    steps = [each for stage in program.stages for each in stage.instructions]
    named = [
        source
        for each in steps
        if isinstance(each, ins.Add) or (isinstance(each, ins.Copy) and not each.origin)
        for source in each.sources
    ]
    if any(not is_remote(source) and "$" not in source for source in named):
        return True
    return any("from" not in fields for fields in _mounts(program, "bind"))


def _mounts(program: Program, kind: str) -> Iterable[dict[str, str]]:
    for stage in program.stages:
        for instruction in stage.instructions:
            if not isinstance(instruction, ins.Run):
                continue
            for text in instruction.mounts:
                parts = (part.partition("=") for part in next(csv.reader([text])))
                fields = {key.lower(): value for key, _, value in parts}
                if fields.get("type", "bind") == kind:
                    yield fields


def registries_of(program: Program, asked: Asked, names: Iterable[str] = ()) -> list[str]:
    """Return the registries that a build may ask for images, or push `names` to.

    Where a name has variables, what they may be is taken for names, too: a registry too many costs
    a question, one too few the build.
    """
    texts = [stage.head.base for stage in program.stages]
    for stage in program.stages:
        copies = (each for each in stage.instructions if isinstance(each, ins.Copy))
        texts += [each.origin for each in copies if each.origin]
    texts += [value.removeprefix("docker-image://") for value in asked.options.contexts.values()]
    texts += asked.options.arguments.values()
    defaults = (one.default for each in program.arguments for one in each.arguments)
    texts += [default for default in defaults if default]
    found: dict[str, None] = {}
    for text in (*texts, *names):
        try:
            found[parse_reference(text).registry] = None
        except InvalidArgument:
            continue
    return list(found)
