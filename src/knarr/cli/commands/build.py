"""knarr build."""

from __future__ import annotations

import os

from knarr.cli.command import Command, Option, parse_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.cli.command import Context, Options
    from knarr.engine.build.agents import Agent
    from knarr.engine.build.attesting.statements import Wanted
    from knarr.engine.build.steps import Limits
    from knarr.engine.builds import BuildOptions
    from knarr.ui.progress import Display

COMMAND = Command(
    short="Build an image from a Dockerfile",
    usage="[OPTIONS] PATH | URL | -",
    options=(
        Option(
            "add-host", "Add a custom host-to-IP mapping (format: host:ip)", kind="list",
        ),
        Option(
            "allow",
            'Allow extra privileged entitlement (e.g., "network.host", "security.insecure")',
            kind="list",
        ),
        Option(
            "annotation", 'Add annotation to the image (format: "[LEVEL:]KEY=VALUE")', kind="list",
        ),
        Option(
            "attest", 'Attestation parameters (format: "type=sbom,generator=syft")', kind="list"
        ),
        Option("build-arg", "Set build-time variables", kind="list"),
        Option("build-context", "Additional build contexts (e.g., name=path)", kind="list"),
        Option(
            "cache-from",
            'External cache sources (e.g., "user/app:cache", "type=local,src=path/to/dir")',
            kind="list",
        ),
        Option(
            "cache-to",
            'Cache export destinations (e.g., "user/app:cache", "type=local,dest=path/to/dir")',
            kind="list",
        ),
        Option(
            "call", 'Set method for evaluating build ("check", "outline", "targets")',
            kind="string", default="build", shown='"build"',
            completes="build check outline targets",
        ),
        Option("cgroup-parent", "Set the parent cgroup for the RUN instructions", kind="string"),
        Option("check", 'Shorthand for "--call=check"'),
        Option("compress", "Compress the build context using gzip", hidden=True),
        Option("cpu-period", "Limit the CPU CFS (Completely Fair Scheduler) period", kind="int"),
        Option("cpu-quota", "Limit the CPU CFS (Completely Fair Scheduler) quota", kind="int"),
        Option("cpu-shares", "CPU shares (relative weight)", kind="int", short="c"),
        Option("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)", kind="string"),
        Option("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)", kind="string"),
        Option("explain", "Say of each step why it was done again, or that it was cached"),
        Option(
            "file", 'Name of the Dockerfile (default: "PATH/Dockerfile")', kind="string",
            short="f", completes="files",
        ),
        Option("force-rm", "Always remove intermediate containers", hidden=True),
        Option(
            "iidfile", "Write the image ID to a file", kind="string", completes="files",
        ),
        Option("label", "Set metadata for an image", kind="list"),
        Option("load", 'Put the image into the local store too ("--output=type=docker")'),
        Option("memory", "Memory limit", kind="bytes", short="m"),
        Option(
            "memory-swap",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
            kind="string", metavar="bytes",
        ),
        Option(
            "metadata-file", "Write build result metadata to a file", kind="string",
            completes="files",
        ),
        Option(
            "network", "Set the networking mode for the RUN instructions during build",
            kind="string", default="default", shown='"default"',
            completes="networks",
        ),
        Option("no-cache", "Do not use cache when building the image"),
        Option("no-cache-filter", "Do not cache specified stages", kind="list"),
        Option(
            "output", 'Output destination (format: "type=local,dest=path")', kind="list",
            short="o",
        ),
        Option(
            "on-error", 'What to do when a RUN fails ("shell": open a shell in its file system)',
            kind="string", completes="shell",
        ),
        Option("platform", "Set target platform for build", kind="string"),
        Option(
            "progress",
            "Set type of progress output (auto, plain, tty, rawjson, quiet). "
            "Use plain to show container output",
            kind="string", default="auto", shown='"auto"',
            completes="auto plain tty rawjson quiet",
        ),
        Option("provenance", 'Shorthand for "--attest=type=provenance"', kind="string"),
        Option("pull", "Always attempt to pull all referenced images"),
        Option("push", 'Give the image to its registry ("--output=type=registry")'),
        Option("quiet", "Suppress the build output and print image ID on success", short="q"),
        Option(
            "secret",
            'Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")',
            kind="list",
        ),
        Option("sbom", 'Shorthand for "--attest=type=sbom"', kind="string"),
        Option("rm", "Remove intermediate containers after a successful build", hidden=True),
        Option("shm-size", "Shared memory size for build containers", kind="bytes"),
        Option(
            "ssh",
            'SSH agent socket or keys to expose to the build (format: '
            '"default|<id>[=<socket>|<key>[,<key>]]")',
            kind="list",
        ),
        Option(
            "tag", 'Name and optionally a tag (format: "name:tag")', kind="list", short="t",
            completes="images",
        ),
        Option("squash", "Squash newly built layers into a single new layer"),
        Option("target", "Set the target build stage to build", kind="string"),
        Option(
            "timestamp", "Time of all that is made, in seconds since 1970, or now",
            kind="string",
        ),
        Option("ulimit", "Ulimit options", kind="list", metavar="ulimit"),
        Option("verify", "Build twice, and fail where the results differ"),
    ),
    minimum=1,
    maximum=1,
    completes="directories",
)  # fmt: skip

_LIMITS = (
    *("cgroup-parent", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus", "cpuset-mems"),
    *("memory", "memory-swap", "shm-size", "ulimit"),
)
_FORMS = ("auto", "plain", "tty", "rawjson", "quiet", "none")
_ENTITLEMENTS = ("network.host", "security.insecure", "device")
_EPOCH = "SOURCE_DATE_EPOCH"
_INTERRUPT = 2


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.cli.building.calls import parse_call, show_call  # noqa: PLC0415 - not for --help
    from knarr.cli.building.outputs import parse_outputs, write_metadata  # noqa: PLC0415
    from knarr.errors import KnarrError  # noqa: PLC0415
    from knarr.ui.progress import choose  # noqa: PLC0415

    request = _request(options, arguments[0])
    form = options.text("progress")
    if not options.given("progress"):
        form = os.environ.get("BUILDKIT_PROGRESS") or form
    form = "quiet" if options.flag("quiet") else _form(form)
    display = choose(form, context.stderr)
    if options.given("on-error"):
        from knarr.cli.building.shell import parse_on_error, shell_on  # noqa: PLC0415 - for few

        parse_on_error(options.text("on-error"))
        request = request.replace(examine=shell_on(display))
    call = parse_call("check" if options.flag("check") else options.text("call"))
    try:
        with _Stopping():
            if call.method != "build":
                found = context.engine.builds.look(call.method, request, display)
                return show_call(context, call, found)
            outputs = parse_outputs(
                context,
                options.texts("output"),
                load=options.flag("load"),
                push=options.flag("push"),
                annotations=options.texts("annotation"),
            )
            request = request.replace(outputs=outputs)
            built = context.engine.builds.build(request, display)
    except KnarrError as error:
        display.conclude()
        _complain(context, error, display)
        return 1
    except KeyboardInterrupt as stop:
        display.conclude()
        return 128 + (stop.args[0] if stop.args else _INTERRUPT)
    display.conclude()
    if options.text("iidfile") and built.image_id:
        with open(options.text("iidfile"), "w", encoding="ascii") as file:
            file.write(built.image_id)
    if options.text("metadata-file"):
        write_metadata(options.text("metadata-file"), built)
    if form == "quiet" and built.image_id:
        context.print(built.image_id)
    return 0


class _Stopping:
    """Lets a build take back what it does when it is asked to end, as it does on an interrupt."""

    def __enter__(self) -> None:
        import signal  # noqa: PLC0415 - not for --help

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)

    @staticmethod
    def _stop(number: int, frame: object) -> None:
        del frame
        raise KeyboardInterrupt(number)

    def __exit__(self, *_: object) -> None:
        """Do nothing: the command ends."""


def _complain(context: Context, error: Exception, display: Display) -> None:
    """Show the error with the words that Docker's users look for, but for misuse."""
    from knarr.errors import KnarrError  # noqa: PLC0415 - loaded by now

    assert isinstance(error, KnarrError)
    message = error.message
    if display.activities and not message.startswith("unable to prepare context"):
        message = f"failed to solve: {message}"
    context.complain(KnarrError(message, hint=error.hint))


def _form(text: str) -> str:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    if text not in _FORMS:
        message = f"invalid progress mode {text}"
        raise InvalidArgument(message, hint=f"It is one of {', '.join(_FORMS[:-1])}.")
    return text


def _request(options: Options, place: str) -> BuildOptions:
    from knarr.build.times import Times, parse_timestamp  # noqa: PLC0415 - not for --help
    from knarr.engine.build.words.caches import parse_sources, parse_targets  # noqa: PLC0415 - not for --help
    from knarr.engine.builds import BuildOptions  # noqa: PLC0415 - as above
    from knarr.engine.options.names import parse_extra_host  # noqa: PLC0415

    arguments = _arguments(options.texts("build-arg"))
    if os.environ.get(_EPOCH):
        arguments.setdefault(_EPOCH, os.environ[_EPOCH])
    return BuildOptions(
        place,
        dockerfile=options.text("file"),
        tags=tuple(options.texts("tag")),
        arguments=arguments,
        labels=dict(_pair(text) for text in options.texts("label")),
        target=options.text("target"),
        platform=options.text("platform"),
        network=options.text("network"),
        hosts=tuple(parse_extra_host(text) for text in options.texts("add-host")),
        secrets=dict(_secret(text) for text in options.texts("secret")),
        contexts=dict(_context(text) for text in options.texts("build-context")),
        no_cache=options.flag("no-cache"),
        uncached_stages=_stages(options.texts("no-cache-filter")),
        squashed=options.flag("squash"),
        cache_from=parse_sources(options.texts("cache-from"), os.environ),
        cache_to=parse_targets(options.texts("cache-to"), arguments, os.environ),
        attest=_attestations(options),
        agents=_agents(options.texts("ssh")),
        allowed=frozenset(_entitlement(text) for text in options.texts("allow")),
        pull=options.flag("pull"),
        limits=_limits(options),
        described=options.given("metadata-file"),
        explained=options.flag("explain"),
        verified=options.flag("verify"),
        times=parse_timestamp(options.text("timestamp")) if options.text("timestamp") else Times(),
    )


def _stages(texts: Iterable[str]) -> tuple[str, ...]:
    """Return names of stages; a text may have several, with commas."""
    return tuple(name for text in texts for name in text.split(",") if name)


def _limits(options: Options) -> Limits | None:
    """Return what each step may use, if that is limited. Raises: InvalidArgument"""
    if not options.names.intersection(_LIMITS):
        return None
    from knarr.cli.limiting import given_limits  # noqa: PLC0415 - few builds are limited
    from knarr.engine.build.steps import Limits  # noqa: PLC0415
    from knarr.engine.options.limits import parse_ulimit  # noqa: PLC0415
    from knarr.engine.options.values import Resources  # noqa: PLC0415

    ulimits = {limit.name: limit for limit in parse_each(options, "ulimit", parse_ulimit)}
    resources = Resources(**given_limits(options), ulimits=tuple(ulimits.values()))
    return Limits(resources, options.number("shm-size"))


def _attestations(options: Options) -> Wanted | None:
    """Return what is to be attested, if anything. Raises: InvalidArgument"""
    if not options.names.intersection(("attest", "sbom", "provenance")):
        return None
    from knarr.engine.build.words.attestations import parse_attestations  # noqa: PLC0415 - for few

    return parse_attestations(
        options.texts("attest"),
        sbom=options.text("sbom"),
        provenance=options.text("provenance"),
    )


def _entitlement(text: str) -> str:
    """Return what a step may be allowed. Raises: InvalidArgument"""
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    kind, equals, _ = text.partition("=")
    if text not in _ENTITLEMENTS and not (kind == "device" and equals):
        message = f"invalid entitlement: {text}"
        raise InvalidArgument(message, hint=f"It is {', '.join(_ENTITLEMENTS)} or device=NAME.")
    return text


def _agents(texts: list[str]) -> dict[str, Agent]:
    """Return the agents by the names that steps have for them. Raises: InvalidArgument"""
    if not texts:
        return {}
    from knarr.cli.building.agents import parse_agent  # noqa: PLC0415 - few builds have any

    return dict(parse_agent(text) for text in texts)


def _context(text: str) -> tuple[str, str]:
    from knarr.errors import InvalidArgument  # noqa: PLC0415 - not for --help

    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        message = f"invalid context value: {text}, expected key=value"
        raise InvalidArgument(message)
    return name, value


def _secret(text: str) -> tuple[str, bytes]:
    """Return name and contents of a secret; one without a source is a variable, else a file."""
    from knarr.errors import InvalidArgument, NotFound  # noqa: PLC0415 - not for --help

    fields = dict(_pair(field) for field in text.split(","))
    name = fields.get("id", "")
    unknown = fields.keys() - {"id", "src", "source", "env", "type"}
    if not name or unknown:
        message = f"invalid secret {text}"
        raise InvalidArgument(message, hint="It is id=NAME[,src=FILE] or id=NAME,env=VARIABLE.")
    path = fields.get("src") or fields.get("source", "")
    variable = fields.get("env", "")
    if fields.get("type") == "env":
        path, variable = "", variable or path or name
    if not path and not variable:
        path, variable = ("", name) if name in os.environ else (name, "")
    if variable:
        if variable not in os.environ:
            message = f"secret {name}: the variable {variable} is not set"
            raise NotFound(message)
        return name, os.environb[os.fsencode(variable)]
    try:
        with open(path, "rb") as file:
            return name, file.read()
    except OSError as error:
        message = f"failed to stat {path}: {(error.strerror or str(error)).lower()}"
        raise NotFound(message) from error


def _arguments(texts: Iterable[str]) -> dict[str, str]:
    """Return build arguments; one without a value has that of the environment, if any."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
