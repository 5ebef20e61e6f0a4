"""`knarr explain network`: what is wrong on the way of a connection, printed."""

from __future__ import annotations

from knarr.engine.explaining.reach.walk import walk
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context


def explain_network(context: Context, template: str, *names: str) -> None:
    """Print why a container does not reach another one, or the world.

    Raises: InvalidArgument, NotFound
    """
    if not 1 <= len(names) <= 2:
        message = "explain network takes a container, and perhaps where it wants to"
        raise InvalidArgument(message, hint="As in knarr explain network web db:5432.")
    found = walk(context.engine, *names)
    if not template:
        context.print(found.text)
        return
    from knarr.cli.output import show_object  # noqa: PLC0415 - for who gives a template

    document = {
        "From": names[0],
        "To": names[1] if len(names) > 1 else "",
        "Cause": found.cause,
        "Reached": found.cause in ("reached", "no-names"),
        "Sentence": found.sentence,
        "Fix": found.fix,
    }
    show_object(context, document, template)
