"""`--log-opt`: how large a log may grow, and what is written with every line."""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Options
    from knarr.supervise.messages import LogOptions


def refine_log(log: LogOptions, options: Options) -> LogOptions:
    """Return `log` as the log options of a container want it.

    Raises: InvalidArgument
    """
    from knarr.util.text import parse_size  # noqa: PLC0415 - for who has such options

    asked = options.log.options
    attributes: list[tuple[str, str]] = []
    names = asked.get("labels", "").split(",")
    attributes += [(name, options.labels[name]) for name in names if name in options.labels]
    wanted = asked.get("env", "").split(",")
    for entry in options.env:
        name, _, value = entry.partition("=")
        if name in wanted:
            attributes.append((name, value))
    log = log.replace(attributes=tuple(attributes))
    if "max-size" in asked:
        text = asked["max-size"]
        log = log.replace(max_size=0 if text == "-1" else parse_size(text))
    if "max-file" in asked:
        count = asked["max-file"]
        if not count.isdecimal() or int(count) < 1:
            message = f"max-file cannot be less than 1: {count}"
            raise InvalidArgument(message)
        log = log.replace(max_file=int(count))
    return log
