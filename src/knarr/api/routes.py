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
    Route("GET", "/events", "events:listen"),
    Route("GET", "/system/df", "space:df", (1, 25)),
    Route("POST", "/auth", "auth:auth"),
    Route("GET", "/containers/json", "containers:listing"),
    Route("POST", "/containers/create", "containers:create"),
    Route("POST", "/containers/prune", "containers:prune_all", (1, 25)),
    Route("GET", "/containers/{id}/json", "containers:inspect"),
    Route("GET", "/containers/{id}/top", "containers:top"),
    Route("GET", "/containers/{id}/changes", "containers:changes"),
    Route("GET", "/containers/{id}/stats", "figures:stats"),
    Route("GET", "/containers/{id}/logs", "streams:logs"),
    Route("POST", "/containers/{id}/attach", "streams:attach"),
    Route("GET", "/containers/{id}/attach/ws", "websocket:attach"),
    Route("GET", "/containers/{id}/export", "files:export"),
    Route("HEAD", "/containers/{id}/archive", "files:stat"),
    Route("GET", "/containers/{id}/archive", "files:get"),
    Route("PUT", "/containers/{id}/archive", "files:put"),
    Route("POST", "/containers/{id}/start", "lifecycle:start"),
    Route("POST", "/containers/{id}/stop", "lifecycle:stop"),
    Route("POST", "/containers/{id}/restart", "lifecycle:restart"),
    Route("POST", "/containers/{id}/kill", "lifecycle:kill"),
    Route("POST", "/containers/{id}/pause", "lifecycle:pause"),
    Route("POST", "/containers/{id}/unpause", "lifecycle:unpause"),
    Route("POST", "/containers/{id}/wait", "lifecycle:wait"),
    Route("POST", "/containers/{id}/resize", "lifecycle:resize"),
    Route("POST", "/containers/{id}/rename", "containers:rename"),
    Route("POST", "/containers/{id}/update", "containers:update"),
    Route("DELETE", "/containers/{id:.*}", "containers:remove"),
    Route("POST", "/containers/{id}/exec", "execs:create"),
    Route("POST", "/exec/{id}/start", "execs:start"),
    Route("POST", "/exec/{id}/resize", "execs:resize"),
    Route("GET", "/exec/{id}/json", "execs:inspect"),
    Route("GET", "/images/json", "images:list_"),
    Route("GET", "/images/search", "images:search"),
    Route("GET", "/images/get", "imagefiles:get_several"),
    Route("GET", "/images/{name:.*}/json", "images:inspect"),
    Route("GET", "/images/{name:.*}/history", "images:history"),
    Route("GET", "/images/{name:.*}/get", "imagefiles:get"),
    Route("GET", "/images/{name:.*}/attestations", "images:attestations", (1, 55)),
    Route("POST", "/images/create", "transfers:create"),
    Route("POST", "/images/load", "imagefiles:load"),
    Route("POST", "/images/prune", "images:prune", (1, 25)),
    Route("POST", "/images/{name:.*}/push", "transfers:push"),
    Route("POST", "/images/{name:.*}/tag", "images:tag"),
    Route("DELETE", "/images/{name:.*}", "images:remove"),
    Route("GET", "/distribution/{name:.*}/json", "transfers:distribution", (1, 30)),
    Route("POST", "/commit", "imagefiles:commit"),
    Route("POST", "/build", "builds:build"),
    Route("POST", "/build/cancel", "builds:cancel", (1, 39)),
    Route("POST", "/build/prune", "builds:prune", (1, 31)),
    Route("GET", "/networks", "networks:list_"),
    Route("GET", "/networks/", "networks:list_"),
    Route("GET", "/networks/{name:.*}", "networks:inspect"),
    Route("POST", "/networks/create", "networks:create"),
    Route("POST", "/networks/prune", "networks:prune", (1, 25)),
    Route("POST", "/networks/{name:.*}/connect", "networks:connect"),
    Route("POST", "/networks/{name:.*}/disconnect", "networks:disconnect"),
    Route("DELETE", "/networks/{name:.*}", "networks:remove"),
    Route("GET", "/volumes", "volumes:list_"),
    Route("GET", "/volumes/{name:.*}", "volumes:inspect"),
    Route("POST", "/volumes/create", "volumes:create"),
    Route("POST", "/volumes/prune", "volumes:prune", (1, 25)),
    Route("PUT", "/volumes/{name:.*}", "volumes:update", (1, 42)),
    Route("DELETE", "/volumes/{name:.*}", "volumes:remove"),
    Route("POST", "/grpc", "buildkit:grpc", (1, 39)),
    Route("POST", "/session", "buildkit:session", (1, 39)),
    Route("GET", "/swarm", "swarm:managed"),
    Route("POST", "/swarm/init", "swarm:join"),
    Route("POST", "/swarm/join", "swarm:join"),
    Route("POST", "/swarm/leave", "swarm:leave"),
    Route("POST", "/swarm/update", "swarm:managed"),
    Route("GET", "/swarm/unlockkey", "swarm:managed"),
    Route("POST", "/swarm/unlock", "swarm:managed"),
    Route("GET", "/nodes", "swarm:managed"),
    Route("GET", "/nodes/{id}", "swarm:managed"),
    Route("DELETE", "/nodes/{id}", "swarm:managed"),
    Route("POST", "/nodes/{id}/update", "swarm:managed"),
    Route("GET", "/services", "swarm:managed"),
    Route("POST", "/services/create", "swarm:managed"),
    Route("GET", "/services/{id}", "swarm:managed"),
    Route("DELETE", "/services/{id}", "swarm:managed"),
    Route("POST", "/services/{id}/update", "swarm:managed"),
    Route("GET", "/services/{id}/logs", "swarm:managed"),
    Route("GET", "/tasks", "swarm:managed"),
    Route("GET", "/tasks/{id}", "swarm:managed"),
    Route("GET", "/tasks/{id}/logs", "swarm:managed"),
    Route("GET", "/secrets", "swarm:managed"),
    Route("POST", "/secrets/create", "swarm:managed"),
    Route("GET", "/secrets/{id}", "swarm:managed"),
    Route("DELETE", "/secrets/{id}", "swarm:managed"),
    Route("POST", "/secrets/{id}/update", "swarm:managed"),
    Route("GET", "/configs", "swarm:managed"),
    Route("POST", "/configs/create", "swarm:managed"),
    Route("GET", "/configs/{id}", "swarm:managed"),
    Route("DELETE", "/configs/{id}", "swarm:managed"),
    Route("POST", "/configs/{id}/update", "swarm:managed"),
    Route("GET", "/plugins", "swarm:plugins"),
    Route("GET", "/plugins/privileges", "swarm:plugins"),
    Route("POST", "/plugins/pull", "swarm:install"),
    Route("POST", "/plugins/create", "swarm:install"),
    Route("GET", "/plugins/{name:.*}/json", "swarm:plugin"),
    Route("DELETE", "/plugins/{name:.*}", "swarm:plugin"),
    Route("POST", "/plugins/{name:.*}/enable", "swarm:plugin"),
    Route("POST", "/plugins/{name:.*}/disable", "swarm:plugin"),
    Route("POST", "/plugins/{name:.*}/upgrade", "swarm:plugin"),
    Route("POST", "/plugins/{name:.*}/push", "swarm:plugin"),
    Route("POST", "/plugins/{name:.*}/set", "swarm:plugin"),
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
