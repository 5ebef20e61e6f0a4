"""The body of `POST /containers/create`: Config, HostConfig, NetworkingConfig.

Config is what images have, too, and read as theirs; the texts in HostConfig are those of the
command line, and read by the same parsers.
"""

from __future__ import annotations

from knarr.api.parse.networking import parse_exposed, parse_networking
from knarr.api.parse.reading import number, reading, window
from knarr.api.parse.resources import parse_resources, parse_restart_policy
from knarr.api.parse.storage import parse_storage
from knarr.engine.container.specify import MASKED_PATHS, READONLY_PATHS
from knarr.engine.options.environment import check_sysctl
from knarr.engine.options.namespaces import parse_namespaces
from knarr.engine.options.security import parse_security
from knarr.engine.options.values import LogSettings, Options, Streams
from knarr.errors import InvalidArgument
from knarr.oci.config import decode_run_config
from knarr.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.options.values import Namespaces, Security


def parse_create(body: dict[str, Any], *, platform: str = "") -> Options:
    """Return what the body asks for.

    Raises: InvalidArgument
    """
    if not body:
        message = "config cannot be empty in order to create a container"
        raise InvalidArgument(message)
    with reading():
        fields = Fields(body, "body")
        host = fields.child("HostConfig") or Fields({}, "body: HostConfig")
        return Options(
            platform=platform, **_config(fields, host), **_host(host, fields.text("Runtime")),
            **parse_storage(host),
            networking=parse_networking(
                host,
                fields.child("NetworkingConfig"),
                mac_address=fields.text("MacAddress"),
                disabled=fields.boolean("NetworkDisabled"),
            ),
        )  # fmt: skip


def _config(fields: Fields, host: Fields) -> dict[str, Any]:
    config = decode_run_config(fields)
    return {
        "image": fields.text("Image"),
        "command": config.cmd,
        "entrypoint": config.entrypoint,
        "hostname": fields.text("Hostname"),
        "domainname": fields.text("Domainname"),
        "user": config.user,
        "working_dir": config.working_dir,
        "env": config.env,
        "labels": dict(config.labels),
        "exposed": parse_exposed(config.exposed_ports),
        "volumes": config.volumes,
        "stop_signal": config.stop_signal,
        "stop_timeout": config.stop_timeout,
        "healthcheck": config.healthcheck,
        "shell": config.shell or (),
        "streams": Streams(
            fields.boolean("Tty"),
            fields.boolean("OpenStdin"),
            fields.boolean("StdinOnce"),
            fields.boolean("AttachStdin"),
            fields.boolean("AttachStdout"),
            fields.boolean("AttachStderr"),
            window(host.object.get("ConsoleSize")) or (0, 0),
        ),
    }


def _host(host: Fields, runtime: str) -> dict[str, Any]:
    """Return what HostConfig asks for; docker-py names the `runtime` beside it."""
    sysctls = host.mapping("Sysctls")
    for name, value in sysctls.items():
        check_sysctl(f"{name}={value}")
    if host.text("Isolation") not in ("", "default"):
        message = f"invalid isolation: \"{host.text('Isolation')}\" - linux only supports 'default'"
        raise InvalidArgument(message)
    return {
        "group_add": host.texts("GroupAdd") or (),
        "annotations": dict(host.mapping("Annotations")),
        "readonly": host.boolean("ReadonlyRootfs"),
        "init": host.boolean("Init"),
        "auto_remove": host.boolean("AutoRemove"),
        "runtime": host.text("Runtime") or runtime,
        "isolation": host.text("Isolation"),
        "cidfile": host.text("ContainerIDFile"),
        "shm_size": number(host, "ShmSize"),
        "sysctls": dict(sysctls),
        "restart": parse_restart_policy(host.child("RestartPolicy")),
        "log": _log(host.child("LogConfig")),
        "resources": parse_resources(host),
        "security": _security(host),
        "namespaces": _namespaces(host),
    }


def _log(fields: Fields | None) -> LogSettings:
    if fields is None:
        return LogSettings()
    return LogSettings(fields.text("Type") or LogSettings().driver, dict(fields.mapping("Config")))


def _security(host: Fields) -> Security:
    security = parse_security(host.texts("SecurityOpt") or (), lambda profile: profile.encode())
    masked, readonly = host.texts("MaskedPaths"), host.texts("ReadonlyPaths")
    if masked is not None and readonly is not None and not masked and not readonly:
        security = security.replace(unmasked=True)
    elif masked is not None or readonly is not None:
        given = (*(MASKED_PATHS if masked is None else masked), *(readonly or READONLY_PATHS))
        shown = [path for path in (*MASKED_PATHS, *READONLY_PATHS) if path not in given]
        more = [path for path in masked or () if path not in (*MASKED_PATHS, *security.masked)]
        security = security.replace(
            masked=(*security.masked, *more), shown=(*security.shown, *shown)
        )
    return security.replace(
        privileged=host.boolean("Privileged"),
        cap_add=host.texts("CapAdd") or (),
        cap_drop=host.texts("CapDrop") or (),
    )


def _namespaces(host: Fields) -> Namespaces:
    return parse_namespaces(
        {
            "pid": host.text("PidMode"),
            "ipc": host.text("IpcMode"),
            "uts": host.text("UTSMode"),
            "cgroup": host.text("CgroupnsMode"),
            "user": host.text("UsernsMode"),
        }
    )
