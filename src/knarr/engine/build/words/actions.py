"""`type=gha` of a cache: which service, and who the job is that asks it.

A runner tells its job so in variables. A workflow's `run:` steps are not given them, since they are
for programs that know the service; an action can hand them on.

    ACTIONS_RUNTIME_TOKEN                       token=
    ACTIONS_RESULTS_URL, the second version's   url_v2=, or url= where there is no other
    ACTIONS_CACHE_URL, the first version's      url=
    ACTIONS_CACHE_SERVICE_V2                    version=2
    GITHUB_API_URL                              where `repository=` is looked up with `ghtoken=`

Docker: buildx looks into the same variables, and BuildKit decides by the same keys
"""

from __future__ import annotations

from knarr.engine.build.caching.places import ActionsCache
from knarr.engine.build.words.fields import parse_flag
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ("scope", "url", "url_v2", "token", "version", "timeout", "repository", "ghtoken")
_SCOPE = "buildkit"
_TIMEOUT = "10m"
_API = "https://api.github.com"
# The host of GitHub's second version, for clients too old to say which it is.
_RESULTS_HOST = "results-receiver.actions.githubusercontent.com"
_VERSIONS = {"": 0, "1": 1, "2": 2}
_TOKEN, _RESULTS, _CACHE = "ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL"
_HINT = (
    "A runner of GitHub Actions tells them to actions, not to run steps: before it, one step of"
    " the job has to use an action that passes them on, as crazy-max/ghaction-github-runtime does."
)


def parse_actions(fields: Mapping[str, str], environ: Mapping[str, str]) -> ActionsCache:
    """Return the cache that fields mean, where the environment may say what they do not.

    Raises: InvalidArgument
    """
    url, version = _service(fields, environ)
    token = fields.get("token") or environ.get(_TOKEN, "")
    missing = [
        *((f"{_RESULTS} nor {_CACHE}, nor url= or url_v2=",) if not url else ()),
        *((f"{_TOKEN} nor token=",) if not token else ()),
    ]
    if missing:
        message = f"a cache of type=gha has neither {', and neither '.join(missing)}"
        raise InvalidArgument(message, hint=_HINT)
    if not url.startswith(("https://", "http://")):
        message = f"{url!r} is not the URL of a cache service"
        raise InvalidArgument(message)
    repository, github_token = fields.get("repository", ""), fields.get("ghtoken", "")
    both = bool(repository and github_token)
    return ActionsCache(
        url,
        token,
        version,
        fields.get("scope") or _SCOPE,
        _timeout(fields.get("timeout") or _TIMEOUT),
        repository if both else "",
        github_token if both else "",
        environ.get("GITHUB_API_URL") or _API,
    )


def _service(fields: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, int]:
    """Return URL and version of the service; the URL is empty if nobody says it."""
    text = fields.get("version", "")
    if text not in _VERSIONS:
        message = f"invalid version {text} of the cache service"
        raise InvalidArgument(message, hint="It is 1 or 2.")
    version = _VERSIONS[text]
    flag = "ACTIONS_CACHE_SERVICE_V2"
    if not version and environ.get(flag) and parse_flag(environ, flag, default=False):
        version = 2
    results = environ.get(_RESULTS, "")
    second = fields.get("url_v2") or (results if version == 2 else "")
    if second and version != 1:
        return second, 2
    url = fields.get("url") or environ.get(_CACHE) or results
    return url, version or (2 if _RESULTS_HOST in url else 1)


def _timeout(text: str) -> float:
    from knarr.util.durations import SECOND, parse_duration  # noqa: PLC0415 - for few builds

    try:
        return parse_duration(text) / SECOND
    except ValueError as error:
        message = f"invalid timeout of a cache of type=gha: {error}"
        raise InvalidArgument(message) from None
