"""From the command line of `create` and `run` to the engine's options.

Only what is given is parsed, and only its parser is loaded: most containers are started with a
handful of options, and a command line has milliseconds.
"""

from __future__ import annotations

import os

from knarr.cli.command import OptionFault, Unfit, parse_each
from knarr.engine.options.values import (
    LogSettings,
    Namespaces,
    Networking,
    Resources,
    Security,
    Streams,
)
from knarr.engine.options.values import Options as Asked
from knarr.errors import InvalidArgument, KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from knarr.cli.command import Context, Options
    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import RestartPolicy
    from knarr.oci.config import Healthcheck

STREAMS = ("stdin", "stdout", "stderr")


def parse_create(options: Options, arguments: list[str], *, detached: bool) -> Asked:
    """Return what the command line asks for; `arguments` are the image and its command.

    Raises: InvalidArgument
    """
    image, *command = arguments
    rootfs = ""
    if options.flag("rootfs"):
        image, rootfs = "", os.path.realpath(image.removesuffix(":O"))
    fields: dict[str, Any] = {
        "image": image,
        "rootfs": rootfs,
        "command": tuple(command) or None,
        "streams": _streams(options, detached=detached),
        "hostname": options.text("hostname"),
        "domainname": options.text("domainname"),
        "user": options.text("user"),
        "working_dir": options.text("workdir"),
        "group_add": tuple(options.texts("group-add")),
        "stop_signal": options.text("stop-signal"),
        "readonly": options.flag("read-only"),
        "init": options.flag("init"),
        "auto_remove": options.flag("rm"),
        "runtime": options.text("runtime"),
        "platform": options.text("platform"),
        "cidfile": options.text("cidfile"),
        "isolation": options.text("isolation"),
        "shm_size": options.number("shm-size"),
        "health_on_failure": options.text("health-on-failure"),
        "timeout": options.number("timeout"),
    }
    for name, convert in _GROUPS.items():
        fields[name] = convert(options)
    if options.given("entrypoint"):
        fields["entrypoint"] = (options.text("entrypoint"),)
    if options.given("stop-timeout"):
        fields["stop_timeout"] = options.number("stop-timeout")
    fields |= _records(options)
    if options.given("pull"):
        from knarr.cli.pulling import check_policy  # noqa: PLC0415 - only for who names one

        check_policy(options.text("pull"))
    return Asked(**fields)


def _streams(options: Options, *, detached: bool) -> Streams:
    tty, interactive = options.flag("tty"), options.flag("interactive")
    given = [text.lower() for text in options.texts("attach")]
    for text in given:
        if text not in STREAMS:
            message = (
                f'invalid argument "{text}" for "-a, --attach" flag: valid streams are STDIN, '
                "STDOUT and STDERR"
            )
            raise OptionFault(message)
    if detached and given:
        message = "conflicting options: cannot specify both --attach and --detach"
        raise Unfit(message)
    attached = given or ([] if detached else ["stdout", "stderr", *(["stdin"] * interactive)])
    return Streams(
        tty,
        interactive,
        interactive and "stdin" in attached,
        "stdin" in attached,
        "stdout" in attached,
        "stderr" in attached,
    )


# The options that `knarr.cli.mounting` reads.
_STORAGE = (
    "volume", "mount", "tmpfs", "storage-opt", "volumes-from", "volume-driver", "secret",
)  # fmt: skip


def _records(options: Options) -> dict[str, Any]:
    """Return the fields that are lists of names and values."""
    found: dict[str, Any] = {}
    if any(options.given(name) for name in ("env", "env-file", "unsetenv")):
        found["env"] = (*options.texts("unsetenv"), *parse_environment(options))
    if options.given("label") or options.given("label-file"):
        found["labels"] = _labels(options)
    if options.given("annotation") or options.given("sysctl"):
        from knarr.engine.options.environment import check_sysctl, parse_pairs  # noqa: PLC0415

        found["annotations"] = parse_pairs(options.texts("annotation"))
        found["sysctls"] = parse_pairs(parse_each(options, "sysctl", check_sysctl))
    if options.given("expose"):
        from knarr.engine.options.ports import parse_expose  # noqa: PLC0415 - see the module

        exposed = [port for text in options.texts("expose") for port in parse_expose(text)]
        found["exposed"] = tuple(exposed)
    if options.given("restart"):
        found["restart"] = _restart(options)
    if not options.names.isdisjoint(("env-host", "umask", "timeout", "replace")):
        from knarr.cli.living import parse_podman  # noqa: PLC0415 - see the module

        found |= parse_podman(options)
    if not options.names.isdisjoint(_STORAGE):
        from knarr.cli.mounting import parse_storage  # noqa: PLC0415 - see the module

        found |= parse_storage(options)
    if options.given("tz"):
        from knarr.cli.living import timezone  # noqa: PLC0415 - see the module

        found["mounts"] = (*found.get("mounts", ()), timezone(options.text("tz")))
    return found


def _restart(options: Options) -> RestartPolicy:
    from knarr.engine.options.restart import parse_restart  # noqa: PLC0415 - see the module

    policy = parse_restart(options.text("restart"))
    if options.flag("rm") and policy.name != "no":
        message = "conflicting options: cannot specify both --restart and --rm"
        raise InvalidArgument(message)
    return policy


def parse_environment(options: Options) -> tuple[str, ...]:
    """Return the entries of `--env-file` and `--env`."""
    from knarr.engine.options.environment import parse_env, parse_env_file  # noqa: PLC0415

    entries: list[str | None] = []
    for path in options.texts("env-file"):
        entries += parse_env_file(_read(path), path, os.environ)
    entries += parse_each(options, "env", lambda text: parse_env(text, os.environ), short="e")
    return tuple(entry for entry in entries if entry is not None)


def _labels(options: Options) -> dict[str, str]:
    from knarr.engine.options.environment import (  # noqa: PLC0415 - see the module
        check_label,
        parse_env_file,
        parse_pairs,
    )

    lines = []
    for path in options.texts("label-file"):
        lines += parse_env_file(_read(path), path, {})
    return parse_pairs([*lines, *parse_each(options, "label", check_label, short="l")])


def _read(path: str) -> bytes:
    from knarr.util.files import read_file  # noqa: PLC0415 - see the module

    try:
        return read_file(path)
    except OSError as error:
        message = f"open {path}: {(error.strerror or str(error)).lower()}"
        raise InvalidArgument(message) from None


def _resources(options: Options) -> Resources:
    from knarr.cli import limiting  # noqa: PLC0415 - see the module

    if not any(options.given(name) for name in limiting.NAMES):
        return Resources()
    return limiting.parse_resources(options)


# The options that say something of a place in a network.
_PLACES = ("network", "network-alias", "ip", "ip6", "link-local-ip", "mac-address", "link")


def _networking(options: Options) -> Networking:
    fields: dict[str, Any] = {
        "publish_all": options.flag("publish-all"),
        "dns_options": tuple(options.texts("dns-option")),
    }
    if any(options.given(name) for name in _PLACES):
        from knarr.engine.options.networks import parse_link, parse_networks  # noqa: PLC0415
        from knarr.engine.options.values import NetworkJoin  # noqa: PLC0415

        asked = NetworkJoin(
            "",
            address=options.text("ip"),
            address6=options.text("ip6"),
            mac_address=options.text("mac-address"),
            aliases=tuple(options.texts("network-alias")),
            link_local=tuple(options.texts("link-local-ip")),
            links=tuple(parse_each(options, "link", parse_link)),
        )
        fields["mode"], fields["joins"] = parse_networks(options.texts("network"), asked)
    if options.given("publish"):
        from knarr.engine.options.ports import parse_publish  # noqa: PLC0415 - see the module

        requests = [port for text in options.texts("publish") for port in parse_publish(text)]
        fields["ports"] = tuple(requests)
    if options.given("egress"):
        from knarr.network.egress import parse_egress  # noqa: PLC0415 - few containers have a list

        fields["egress"] = parse_egress(options.texts("egress"))
    if any(options.given(name) for name in ("add-host", "dns", "dns-search")):
        from knarr.engine.options.names import (  # noqa: PLC0415 - see the module
            check_dns,
            check_domain,
            parse_extra_host,
        )

        fields["dns_search"] = tuple(parse_each(options, "dns-search", check_domain))
        fields["extra_hosts"] = tuple(parse_each(options, "add-host", parse_extra_host))
        fields["dns"] = tuple(parse_each(options, "dns", check_dns))
    return Networking(**fields)


def _security(options: Options) -> Security:
    security = Security()
    if options.given("security-opt"):
        from knarr.engine.options.security import parse_security  # noqa: PLC0415 - see the module
        from knarr.util.files import read_file  # noqa: PLC0415

        security = parse_security(options.texts("security-opt"), read_file)
    return security.replace(
        privileged=options.flag("privileged"),
        cap_add=tuple(options.texts("cap-add")),
        cap_drop=tuple(options.texts("cap-drop")),
    )


def _namespaces(options: Options) -> Namespaces:
    modes = {
        "pid": options.text("pid"),
        "ipc": options.text("ipc"),
        "uts": options.text("uts"),
        "cgroup": options.text("cgroupns"),
        "user": options.text("userns"),
    }
    mapped = options.given("uidmap") or options.given("gidmap")
    if not mapped and not any(modes.values()):
        return Namespaces()
    from knarr.engine.options.namespaces import parse_namespaces  # noqa: PLC0415 - see the module

    return parse_namespaces(modes, options.texts("uidmap"), options.texts("gidmap"))


def _log(options: Options) -> LogSettings:
    from knarr.engine.options.environment import parse_pairs  # noqa: PLC0415 - see the module

    return LogSettings(
        options.text("log-driver") or "json-file", parse_pairs(options.texts("log-opt"))
    )


def _health(options: Options) -> Healthcheck | None:
    if not any(name.startswith("health-") or name == "no-healthcheck" for name in options.names):
        return None
    from knarr.cli.living import parse_health  # noqa: PLC0415 - few containers have one

    return parse_health(options)


_GROUPS = {
    "resources": _resources,
    "networking": _networking,
    "security": _security,
    "namespaces": _namespaces,
    "log": _log,
    "healthcheck": _health,
}


def ignored(options: Options) -> list[str]:
    """Return a warning for each option that is taken and has no effect.

    Raises: InvalidArgument
    """
    from knarr.cli.createflags import IGNORED  # noqa: PLC0415 - loaded by then

    silent = ("isolation", "disable-content-trust")
    warnings = [
        f"--{option.name} has no effect on Linux and is ignored"
        for option in IGNORED
        if options.given(option.name) and option.name not in silent
    ]
    if options.text("isolation") not in ("", "default"):
        isolation = options.text("isolation")
        message = f"invalid isolation: \"{isolation}\" - linux only supports 'default'"
        raise InvalidArgument(message)
    return warnings


def provide_image(context: Context, options: Options, asked: Asked) -> None:
    """See to it that the image is here, as `--pull` says.

    Raises: InvalidArgument, NotFound, Unauthorized, Unavailable, PermissionDenied, Corrupt
    """
    if asked.rootfs:
        return
    policy = options.text("pull") or "missing"
    if policy == "missing" and not asked.platform:
        from knarr.oci.descriptor import host_platform  # noqa: PLC0415 - loaded by the images

        row = context.engine.images.find(asked.image)
        if row is not None and row.platform.matches(host_platform()):
            return
    from knarr.cli.pulling import ensure  # noqa: PLC0415 - not for images that are here

    quiet = options.flag("quiet")
    ensure(context, asked.image, policy, platform=asked.platform, quiet=quiet)


def create(engine: Engine, asked: Asked, name: str) -> Container:
    """Make a container; what is raised says what to do about it.

    Raises: InvalidArgument, NotFound, Conflict
    """
    try:
        return engine.containers.create(asked, name=name)
    except KnarrError as error:
        from knarr.cli.explaining import explain_refusal  # noqa: PLC0415 - after a failure

        explain_refusal(error)
        raise


class CidFile:
    """The file of `--cidfile`: made before the container, filled after it, gone without one.

    Docker: a file that is there stops everything, since its container may be in use
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = False

    def __enter__(self) -> Self:
        if self._path:
            try:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            except FileExistsError:
                message = (
                    "container ID file found, make sure the other container isn't running or "
                    f"delete {self._path}"
                )
                raise InvalidArgument(message) from None
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                message = f"failed to create the container ID file: open {self._path}: {reason}"
                raise InvalidArgument(message) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._path and not self._written:
            os.unlink(self._path)

    def write(self, container_id: str) -> None:
        """Write the ID of the container that there is now."""
        if self._path:
            with open(self._path, "w", encoding="ascii") as file:
                file.write(container_id)
            self._written = True
