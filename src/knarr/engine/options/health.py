"""Health checks: what Docker refuses, probes without a program, and what the supervisor is told.

Besides Docker's `("CMD", …)` and `("CMD-SHELL", text)` a test may be `("HTTP", url)` or
`("TCP", port)`: then nothing has to be in the image for it.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument
from knarr.supervise.messages import Health

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Options
    from knarr.oci.config import Healthcheck

ACTIONS = ("none", "kill", "restart", "stop")
DEFAULT_SHELL = ("/bin/sh", "-c")
MILLISECOND = 10**6
SECOND = 10**9
_PORTS = range(1, 65536)
# Field, the name that Docker gives it.
_SPANS = (
    ("interval_ns", "Interval"),
    ("timeout_ns", "Timeout"),
    ("start_period_ns", "StartPeriod"),
    ("start_interval_ns", "StartInterval"),
)
_DEFAULTS = Health(())


def check_health(options: Options) -> None:
    """Raise for a health check that Docker refuses, or an action without a check.

    Raises: InvalidArgument
    """
    check = options.healthcheck
    message = ""
    if options.health_on_failure not in ("", *ACTIONS):
        message = (
            f"invalid --health-on-failure: '{options.health_on_failure}': it is one of "
            f"{', '.join(ACTIONS)}"
        )
    if check is not None:
        for field, name in _SPANS:
            if 0 != getattr(check, field) < MILLISECOND:
                message = f"{name} in Healthcheck cannot be less than 1ms"
        if check.retries < 0:
            message = "Retries in Healthcheck cannot be negative"
    if message:
        raise InvalidArgument(message)


def http_test(text: str) -> tuple[str, ...]:
    """Return the test of `--health-http`: `http://HOST:PORT/PATH`, where the host may be missing,
    or `PORT/PATH`.

    Raises: InvalidArgument
    """
    authority, slash, path = text.removeprefix("http://").partition("/")
    host, port = _place(authority, text, "http")
    return ("HTTP", f"http://{host}:{port}/{path if slash else ''}")


def tcp_test(text: str) -> tuple[str, ...]:
    """Return the test of `--health-tcp`: PORT or ADDRESS:PORT.

    Raises: InvalidArgument
    """
    host, port = _place(text, text, "tcp")
    return ("TCP", f"{host}:{port}" if host else port)


def _place(authority: str, text: str, kind: str) -> tuple[str, str]:
    host, _, port = authority.rpartition(":")
    if not port.isdecimal() or int(port) not in _PORTS:
        message = f"invalid argument {text!r} for --health-{kind}: no port from 1 to 65535"
        hint = "For example 8080/health, or http://127.0.0.1:8080/health." if kind == "http" else ""
        raise InvalidArgument(message, hint=hint)
    if host not in ("", "localhost") and not _is_address(host):
        message = f"invalid argument {text!r} for --health-{kind}: {host!r} is not an address"
        raise InvalidArgument(message, hint="Names are not looked up: give an address, or none.")
    return host, port


def _is_address(host: str) -> bool:
    import _socket  # noqa: PLC0415 - for who names one

    plain = host.strip("[]")
    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in plain else _socket.AF_INET, plain)
    except OSError:
        return False
    return True


def order_health(options: Options, *, stop_signal: int, stop_timeout: float) -> Health | None:
    """Return what the supervisor has to know, None without a check."""
    check = options.healthcheck
    if check is None:
        return None
    test = _test(check, options)
    if not test:
        return None
    from knarr.util.durations import render_duration  # noqa: PLC0415 - for few containers

    timeout_ns = check.timeout_ns or int(_DEFAULTS.timeout * SECOND)
    return Health(
        test,
        check.interval_ns / SECOND or _DEFAULTS.interval,
        timeout_ns / SECOND,
        render_duration(timeout_ns),
        check.start_period_ns / SECOND,
        check.start_interval_ns / SECOND or _DEFAULTS.start_interval,
        check.retries or _DEFAULTS.retries,
        options.health_on_failure or "none",
        stop_signal,
        stop_timeout,
    )


def _test(check: Healthcheck, options: Options) -> tuple[str, ...]:
    """Return the test as it is carried out; empty for none, or one of an unknown kind."""
    kind, *words = check.test or ("NONE",)
    if kind == "CMD-SHELL":
        return ("CMD", *(options.shell or DEFAULT_SHELL), *words)
    return (kind, *words) if kind in ("CMD", "HTTP", "TCP") and words else ()
