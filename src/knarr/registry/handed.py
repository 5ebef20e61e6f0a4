"""Credentials that somebody hands over with a request, and that are kept nowhere.

As `credentials.Keychain` they are asked for by registry and repository.
"""

from __future__ import annotations

from knarr.registry.credentials import Login, host_of_key
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Handed(Value):
    """Logins by the keys of `config.json`, and one for every registry that has none of its own."""

    logins: Mapping[str, Login] = {}
    anywhere: Login | None = None

    def find(self, registry: str, repository: str = "") -> Login | None:
        """Return the credentials for `registry`, or None."""
        del repository
        wanted = host_of_key(registry)
        for key, login in self.logins.items():
            if host_of_key(key) == wanted:
                return login
        return self.anywhere


NOBODY = Handed()
