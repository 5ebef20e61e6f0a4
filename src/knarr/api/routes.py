"""The table of operations, as data, and finding the one that a request means.

A route's handler is `module:function` below `knarr.api.handlers`, loaded when it is first asked
for. `{name}` in a path is one segment, `{name:.*}` may hold slashes, as names of images do. What
the table does not have, the API does not have: `page not found`.
"""

from __future__ import annotations

import re
from functools import cache

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.api.answers import Answer
    from knarr.api.call import Call

    Handler = Callable[[Call], Answer]


class Route(Value):
    """One operation, and the version of the API that has it first."""

    method: str
    path: str
    handler: str
    since: tuple[int, int] = (1, 24)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/_ping", "system:ping"),
    Route("HEAD", "/_ping", "system:ping"),
    Route("GET", "/version", "system:version"),
    Route("GET", "/info", "system:info"),
)


class Match(Value):
    """The route of a request and the parts of the path that it names."""

    route: Route
    parameters: Mapping[str, str]


def find(method: str, path: str) -> Match | None:
    """Return the route for a request, None if there is none."""
    literal = _literals().get((method, path))
    if literal is not None:
        return Match(literal, {})
    for pattern, route in _patterns().get(method, ()):
        found = pattern.fullmatch(path)
        if found:
            return Match(route, found.groupdict())
    return None


@cache
def _literals() -> dict[tuple[str, str], Route]:
    return {(route.method, route.path): route for route in ROUTES if "{" not in route.path}


@cache
def _patterns() -> dict[str, list[tuple[re.Pattern[str], Route]]]:
    found: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
    for route in ROUTES:
        if "{" in route.path:
            found.setdefault(route.method, []).append((_compile(route.path), route))
    return found


def _compile(path: str) -> re.Pattern[str]:
    expression = ""
    for part in re.split(r"(\{[^}]*\})", path):
        if part.startswith("{"):
            name, _, greedy = part[1:-1].partition(":")
            expression += f"(?P<{name}>{'.+' if greedy else '[^/]+'})"
        else:
            expression += re.escape(part)
    return re.compile(expression, re.DOTALL)


@cache
def load(handler: str) -> Handler:
    """Return the function that `handler` names."""
    module, _, name = handler.partition(":")
    found: Handler = getattr(__import__(f"knarr.api.handlers.{module}", fromlist=[name]), name)
    return found
