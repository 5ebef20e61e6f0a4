"""knarr events."""

from __future__ import annotations

from knarr.cli.command import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.cli.command import Context, Options
    from knarr.engine.events import Event

COMMAND = Command(
    short="Get real time events",
    options=(
        Option("filter", "Filter output based on conditions provided", kind="filter", short="f",
               metavar="filter"),
        Option("format", "Format output using a custom template: 'json' prints objects, anything "
                         "else is a Go template", kind="string"),
        Option("since", "Show all events created since timestamp", kind="string"),
        Option("until", "Stream events until this timestamp", kind="string"),
    ),
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    import time  # noqa: PLC0415 - not for --help

    from knarr.util.times import parse_when  # noqa: PLC0415

    now_ns = time.time_ns()
    moments = {
        name: parse_when(options.text(name), now_ns=now_ns) if options.given(name) else None
        for name in ("since", "until")
    }
    shown = _renderer(options.text("format"))
    events = context.engine.events.read(
        since_ns=moments["since"], until_ns=moments["until"], filters=options.texts("filter")
    )
    for event in events:
        if event is None:
            context.stdout.flush()
        else:
            context.print(shown(event))
    return 0


def _renderer(form: str) -> Callable[[Event], str]:
    if not form:
        return _line
    from knarr.util import jsontext  # noqa: PLC0415 - see above

    if form in ("json", "{{json .}}"):
        return lambda event: jsontext.dumps(event.document())
    from knarr.util.gotemplate.template import parse  # noqa: PLC0415 - see above

    template = parse(form)
    return lambda event: template.render(_fields(event))


def _fields(event: Event) -> dict[str, object]:
    """Return the names by which a template knows an event."""
    document = event.document()
    return {
        **document,
        "Status": document.get("status", ""),
        "ID": document.get("id", ""),
        "From": document.get("from", ""),
        "Scope": document["scope"],
        "Time": document["time"],
        "TimeNano": document["timeNano"],
    }


def _line(event: Event) -> str:
    """Return an event in Docker's words: when in local time, what, and what is known of it."""
    import time  # noqa: PLC0415 - loaded by then

    seconds, nanoseconds = divmod(event.time_ns, 10**9)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    when = f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{nanoseconds:09d}{zone}"
    words = f"{when} {event.kind} {event.action} {event.actor}"
    about = ", ".join(f"{name}={value}" for name, value in sorted(event.attributes.items()))
    return f"{words} ({about})" if about else words
