"""Finding out whether credentials are good, before they are kept.

The registry is asked for `/v2/`, as Docker does. If it sends us for a token, the realm is asked for
an identity token too: with one, the password need not be kept at all.
"""

from __future__ import annotations

from knarr.errors import Unauthorized, Unsupported
from knarr.registry.credentials import Login
from knarr.registry.transfer import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.registry.hosts import Hosts
    from knarr.registry.wire import Wire

_BASE = "/v2/"


def authenticate(wire: Wire, hosts: Hosts, registry: str, login: Login) -> Login:
    """Return what to keep for `registry`: `login`, or the identity token got with it.

    Raises: Unauthorized, Unavailable, Unsupported (not a registry), Corrupt, PermissionDenied
    """
    session = Session(wire, hosts.registry(registry), hosts, login)
    refusal = session.get(_BASE).refusal
    if refusal is not None:
        if refusal.status == 401:
            words = "unauthorized: incorrect username or password"
            raise Unauthorized(f'Get "{refusal.url}": {words}')
        if refusal.status == 404:
            raise Unsupported(f"{registry} is not a registry: {refusal.url} is not there")
        raise refusal.error(f'Get "{refusal.url}"')
    token = session.auth.identity_token() if not login.identity_token else ""
    return Login(login.username, "", token) if token else login
