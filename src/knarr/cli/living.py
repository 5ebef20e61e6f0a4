"""From the command line to a container's life: health checks, and what Podman has beyond Docker."""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options
    from knarr.engine.options.values import MountRequest
    from knarr.oci.config import Healthcheck

_DURATIONS = ("interval", "timeout", "start-period", "start-interval")
ZONES = "/usr/share/zoneinfo"
_LARGEST_UMASK = 0o777
_TESTS = ("cmd", "http", "tcp")
NAMES = tuple(f"health-{name}" for name in (*_TESTS, *_DURATIONS, "retries"))


def parse_health(options: Options) -> Healthcheck:
    """Return the health check that at least one of the options asks for.

    Raises: InvalidArgument
    """
    from knarr.oci.config import Healthcheck  # noqa: PLC0415 - few containers have one

    if options.flag("no-healthcheck"):
        if any(options.given(name) for name in NAMES):
            message = "--no-healthcheck conflicts with --health-* options"
            raise InvalidArgument(message)
        return Healthcheck(("NONE",))
    if options.number("health-retries") < 0:
        message = "--health-retries cannot be negative"
        raise InvalidArgument(message)
    spans: dict[str, Any] = {}
    for name in _DURATIONS:
        spans[f"{name.replace('-', '_')}_ns"] = int(options.seconds(f"health-{name}") * 10**9)
        if options.seconds(f"health-{name}") < 0:
            message = f"--health-{name} cannot be negative"
            raise InvalidArgument(message)
    return Healthcheck(_test(options), retries=options.number("health-retries"), **spans)


def _test(options: Options) -> tuple[str, ...] | None:
    from knarr.engine.options.health import http_test, tcp_test  # noqa: PLC0415 - see above

    given = [name for name in _TESTS if options.text(f"health-{name}")]
    if len(given) > 1:
        message = f"conflicting options: --health-{given[0]} and --health-{given[1]}"
        raise InvalidArgument(message)
    if not given:
        return None
    text = options.text(f"health-{given[0]}")
    if given[0] == "cmd":
        return ("CMD-SHELL", text)
    return http_test(text) if given[0] == "http" else tcp_test(text)


def parse_podman(options: Options) -> dict[str, Any]:
    """Return the fields of the options that Podman has beyond Docker's.

    Raises: InvalidArgument
    """
    found: dict[str, Any] = {}
    if options.number("timeout") < 0:
        message = f"invalid timeout {options.number('timeout')}: it cannot be negative"
        raise InvalidArgument(message)
    if options.flag("replace") and not options.text("name"):
        message = "cannot replace container without --name being set"
        raise InvalidArgument(message)
    if options.flag("env-host"):
        found["host_env"] = tuple(f"{name}={value}" for name, value in os.environ.items())
    umask = options.text("umask")
    if umask:
        if set(umask) - set("01234567") or int(umask, 8) > _LARGEST_UMASK:
            message = f"invalid umask {umask}: it is up to four octal digits, like 0022"
            raise InvalidArgument(message)
        found["umask"] = umask
    return found


def timezone(name: str) -> MountRequest:
    """Return the mount that makes a time zone of the host the container's own.

    Raises: InvalidArgument
    """
    from knarr.engine.options.values import MountRequest  # noqa: PLC0415 - loaded by then

    path = os.path.realpath("/etc/localtime" if name == "local" else f"{ZONES}/{name}")
    inside = name == "local" or path.startswith(f"{ZONES}/")
    if not inside or not os.path.isfile(path):
        message = f"unknown time zone {name}"
        raise InvalidArgument(message, hint=f"The zones are the files of the host's {ZONES}.")
    return MountRequest("bind", "/etc/localtime", path, readonly=True)


def replace(context: Context, name: str) -> None:
    """Remove the container of this name, whatever it is doing, if there is one."""
    from knarr.store.containers import ContainerRecords  # noqa: PLC0415 - loaded by then

    engine = context.engine
    row = ContainerRecords(engine.database).find_by_name(name.removeprefix("/"))
    if row is not None:
        engine.containers.get(row.id).remove(force=True)
