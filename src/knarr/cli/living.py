"""From the command line to what a container's supervisor does with it: health checks."""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Options
    from knarr.oci.config import Healthcheck

_DURATIONS = ("interval", "timeout", "start-period", "start-interval")
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
