"""`--log-driver` and `--log-opt`: which drivers there are, what they are asked, what is refused.

Docker: the validation of daemon/logger of moby, in its words
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.engine.options.values import LogSettings, Options
    from knarr.store.containers import ContainerRow
    from knarr.supervise.messages import LogOptions

_ATTRIBUTES = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
_FILES = frozenset(("max-size", "max-file", "compress"))
_MODES = frozenset(("mode", "max-buffer-size"))
_CACHE = frozenset(("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"))

# Driver → its options. Those of syslog for TLS are not there: nothing here speaks it.
DRIVERS: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "json-file": _ATTRIBUTES | _FILES | _MODES,
    "local": _FILES | _MODES,
    "syslog": _ATTRIBUTES | _MODES | _CACHE
    | {"syslog-address", "syslog-facility", "syslog-format"},
    "journald": _ATTRIBUTES | _MODES | _CACHE | {"journald-address"},
    "fluentd": _ATTRIBUTES | _MODES | _CACHE
    | {"fluentd-address", "fluentd-async", "fluentd-sub-second-precision"},
    "gelf": _ATTRIBUTES | _MODES | _CACHE
    | {"gelf-address", "gelf-compression-type", "gelf-compression-level"},
}  # fmt: skip
_BOOLEANS = ("true", "false")
_SCHEMES = {
    "syslog-address": ("udp", "tcp", "unix", "unixgram"),
    "gelf-address": ("udp", "tcp"),
    "fluentd-address": ("tcp", "unix"),
    "journald-address": ("unixgram",),
}
# Option → the values it may have.
_WORDS: dict[str, tuple[str, ...]] = {
    "compress": _BOOLEANS,
    "cache-disabled": _BOOLEANS,
    "cache-compress": _BOOLEANS,
    "fluentd-async": _BOOLEANS,
    "fluentd-sub-second-precision": _BOOLEANS,
    "syslog-format": ("", "rfc3164", "rfc5424", "rfc5424micro"),
    "gelf-compression-type": ("gzip", "zlib", "none"),
    "gelf-compression-level": tuple(str(level) for level in range(-1, 10)),
}
LOCAL_SIZE, LOCAL_FILES = 20_000_000, 5  # Docker's
BUFFER_SIZE = 1 << 20
ID_LENGTH = 12


def check_log(log: LogSettings) -> None:
    """Raise for a driver that is not there, or an option that it does not have.

    Raises: InvalidArgument
    """
    driver, given = log.driver, log.options
    if driver not in DRIVERS:
        message = f'error looking up logging plugin {driver}: plugin "{driver}" not found'
        raise InvalidArgument(message, hint=f"Known are {', '.join(sorted(DRIVERS))}.")
    message = ""
    for name in given:
        if name not in DRIVERS[driver]:
            message = f"unknown log opt '{name}' for {driver} log driver"
        elif name in _WORDS and given[name] not in _WORDS[name]:
            message = f"invalid value '{given[name]}' of log opt '{name}' for {driver} log driver"
        elif name in _SCHEMES:
            message = message or _bad_address(driver, name, given[name])
    mode = given.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        message = f"logger: logging mode not supported: {mode}"
    elif "max-buffer-size" in given and mode != "non-blocking":
        message = "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
    elif driver == "gelf" and "gelf-address" not in given and not message:
        message = "gelf: missing log opt 'gelf-address'"
    if message:
        raise InvalidArgument(message)
    _check_values(given)


def _check_values(options: Mapping[str, str]) -> None:
    for name in ("max-size", "cache-max-size", "max-buffer-size"):
        if name in options:
            _size(options[name])
    for name in ("max-file", "cache-max-file"):
        if name in options:
            _count(options[name])
    if options.get("compress") == "true" and options.get("max-file") == "1":
        message = "compress cannot be true when max-file is less than 2 or max-size is not set"
        raise InvalidArgument(message)
    if "syslog-facility" in options:
        from knarr.supervise.drivers.syslog import FACILITIES  # noqa: PLC0415 - for few

        facility = options["syslog-facility"]
        number = int(facility) if facility.isdecimal() else -1
        if not facility or (facility not in FACILITIES and number not in range(len(FACILITIES))):
            message = f"invalid syslog facility: {facility}"
            raise InvalidArgument(message)
    for name in ("labels-regex", "env-regex"):
        if name in options:
            _pattern(name, options[name])
    if "tag" in options:
        from knarr.util.gotemplate.template import parse  # noqa: PLC0415 - for who has one

        parse(options["tag"])


def _bad_address(driver: str, name: str, text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator and name == "fluentd-address":
        scheme, rest = "tcp", text
    if scheme not in _SCHEMES[name]:
        return f"unsupported scheme '{scheme}' in log opt '{name}' for {driver} log driver"
    if scheme in ("unix", "unixgram"):
        return "" if rest.startswith("/") else f"invalid path '{rest}' in log opt '{name}'"
    port = rest.rpartition(":")[2] if ":" in rest and not rest.endswith("]") else "1"
    good = port.isdecimal() and 0 < int(port) < 1 << 16
    return "" if good else f"invalid port '{port}' in log opt '{name}' for {driver} log driver"


def _size(text: str) -> int:
    from knarr.util.text import parse_size  # noqa: PLC0415 - for who has such options

    return 0 if text == "-1" else parse_size(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"max-file cannot be less than 1: {text}"
        raise InvalidArgument(message)
    return int(text)


def _pattern(name: str, text: str) -> Callable[[str], object]:
    import re  # noqa: PLC0415 - for who has a pattern

    try:
        return re.compile(text).search
    except re.error as error:
        message = f"invalid {name}: {error}"
        raise InvalidArgument(message) from error


def refine_log(log: LogOptions, options: Options, row: ContainerRow) -> LogOptions:
    """Return `log` as the log options of a container want it.

    Raises: InvalidArgument
    """
    given = options.log.options
    remote = log.driver not in ("none", "json-file", "local")
    tag = _tag(given.get("tag", "{{.ID}}"), options, row)
    attributes = _attributes(options)
    if "tag" in given and log.driver == "json-file":
        attributes.append(("tag", tag))
    if remote:
        log = log.replace(settings=_settings(options, row, tag))
    prefix = "cache-" if remote else ""
    local = log.driver != "json-file"
    size, count = given.get(f"{prefix}max-size"), given.get(f"{prefix}max-file")
    return log.replace(
        attributes=tuple(attributes),
        max_size=_size(size) if size else LOCAL_SIZE if local else log.max_size,
        max_file=_count(count) if count else LOCAL_FILES if local else log.max_file,
        compress=given.get(f"{prefix}compress", "true" if local else "false") == "true",
        nonblocking=given.get("mode") == "non-blocking",
        buffer_size=_size(given["max-buffer-size"]) if "max-buffer-size" in given else BUFFER_SIZE,
    )


def _attributes(options: Options) -> list[tuple[str, str]]:
    """Return the labels and variables that go with every line."""
    given = options.log.options
    env = [(name, value) for name, _, value in (entry.partition("=") for entry in options.env)]
    found = []
    for kind, pairs in (("labels", list(options.labels.items())), ("env", env)):
        names = given.get(kind, "").split(",")
        matches = _pattern(f"{kind}-regex", given.get(f"{kind}-regex") or "$^")
        found += [(name, value) for name, value in pairs if name in names or matches(name)]
    return found


def _settings(options: Options, row: ContainerRow, tag: str) -> tuple[tuple[str, str], ...]:
    from knarr.util.times import render_rfc3339  # noqa: PLC0415 - for few containers

    return (
        ("id", row.id),
        ("name", row.name),
        ("image", options.image),
        ("image_id", str(row.image or "")),
        ("command", " ".join(options.process_arguments())),
        ("created", render_rfc3339(row.created_ns)),
        ("tag", tag),
        *((name, text) for name, text in options.log.options.items() if "-" in name),
    )


def _tag(text: str, options: Options, row: ContainerRow) -> str:
    """Return the tag that the template `text` makes.

    Docker: the fields and methods of logger.Info
    """
    if text == "{{.ID}}":
        return row.id[:ID_LENGTH]
    from knarr.util.gotemplate.template import parse  # noqa: PLC0415 - for who has one

    image = str(row.image or "")
    return parse(text).render(
        {
            "ID": row.id[:ID_LENGTH],
            "FullID": row.id,
            "Name": row.name,
            "ImageID": image.partition(":")[2][:ID_LENGTH],
            "ImageFullID": image,
            "ImageName": options.image,
            "DaemonName": "docker",
        }
    )
