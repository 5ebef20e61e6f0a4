"""Registries as this user sees them: settings, credentials, connections; login, logout, search.

    repository = engine.registries.connect(reference)

Connections are shared by all that one engine does. Settings and credentials are read when first
needed, once.
"""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument
from knarr.oci.reference import DEFAULT_REGISTRY, Reference, parse_reference
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.registry.client import Repository
    from knarr.registry.credentials import Keychain
    from knarr.registry.hosts import Hosts
    from knarr.registry.search import Found
    from knarr.registry.wire import Wire


class LoggedIn(Value):
    """What a login did: `helper` keeps the credentials, or, unencrypted, the file at `path`."""

    registry: str
    path: str
    helper: str | None


class Registries:
    """What others hold, and who we are to them."""

    def __init__(self, engine: Engine) -> None:
        """Read nothing yet."""
        self._engine = engine
        self._hosts: Hosts | None = None
        self._keychain: Keychain | None = None
        self._wire: Wire | None = None

    @property
    def hosts(self) -> Hosts:
        """Return the settings of `registries.toml`.

        Raises: InvalidArgument, Failed
        """
        if self._hosts is None:
            from knarr.registry import hostfiles  # noqa: PLC0415 - for who asks a registry

            self._hosts = hostfiles.load()
        return self._hosts

    @property
    def keychain(self) -> Keychain:
        """Return the user's credentials."""
        if self._keychain is None:
            from knarr.registry.credentials import Keychain  # noqa: PLC0415 - as above

            self._keychain = Keychain()
        return self._keychain

    @property
    def wire(self) -> Wire:
        """Return the connections."""
        if self._wire is None:
            from knarr.registry.wire import Wire  # noqa: PLC0415 - loads urllib3: 54 ms

            self._wire = Wire(os.environ)
        return self._wire

    def connect(self, reference: Reference) -> Repository:
        """Return the repository of `reference`; nothing is sent yet.

        Raises: PermissionDenied (blocked), InvalidArgument, Failed, NotFound, Corrupt (settings)
        """
        from knarr.registry.client import connect  # noqa: PLC0415 - as above

        return connect(reference, self.hosts, self.keychain, wire=self.wire)

    def candidates(self, text: str) -> list[Reference]:
        """Return what the name `text` may mean, the best first: one unless settings say more.

        Raises: InvalidArgument
        """
        return [parse_reference(name) for name in self.hosts.expand(text)]

    def login(self, server: str, username: str, secret: str) -> LoggedIn:
        """Try credentials at the registry `server` and keep them if they are good.

        Raises: Unauthorized, Unavailable, Unsupported, Corrupt, Failed
        """
        from knarr.registry.credentials import Login  # noqa: PLC0415 - as above
        from knarr.registry.login import authenticate  # noqa: PLC0415

        registry = registry_of(server)
        login = authenticate(self.wire, self.hosts, registry, Login(username, secret))
        self.keychain.store(registry, login)
        return LoggedIn(registry, self.keychain.path, self.keychain.helper(registry))

    def login_again(self, server: str) -> str | None:
        """Try the credentials that are kept for `server`; return their user, None without any.

        Raises: Unauthorized, Unavailable, Unsupported, Corrupt, Failed
        """
        from knarr.registry.login import authenticate  # noqa: PLC0415 - as above

        registry = registry_of(server)
        login = self.keychain.find(registry)
        if login is None:
            return None
        authenticate(self.wire, self.hosts, registry, login)
        return login.username or "<token>"

    def logout(self, server: str) -> bool:
        """Forget the credentials for `server`; tell whether there were any.

        Raises: Failed, Corrupt
        """
        return self.keychain.erase(registry_of(server))

    def search(self, term: str, *, limit: int) -> list[Found]:
        """Return what a search for `term` finds.

        Raises: InvalidArgument, Unauthorized, Unavailable, Corrupt
        """
        from knarr.registry import search as searching  # noqa: PLC0415 - as above

        if not 1 <= limit <= searching.MAX_LIMIT:
            message = f"limit {limit} is outside the range of [1, {searching.MAX_LIMIT}]"
            raise InvalidArgument(message)
        return searching.search(self.wire, self.hosts, self.keychain, term, limit=limit)


def registry_of(server: str) -> str:
    """Return the registry that a person means by `server`, Docker Hub by nothing.

    Raises: InvalidArgument
    """
    if not server:
        return DEFAULT_REGISTRY
    host = server.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if host in ("index.docker.io", "registry-1.docker.io"):
        return DEFAULT_REGISTRY
    try:
        reference = parse_reference(f"{host}/x")
    except InvalidArgument:
        reference = None
    if reference is None or (reference.registry != host and "." not in host):
        # A name without a dot is a host here: there is nothing else that it could be.
        return _plain_host(host, server)
    return reference.registry


def _plain_host(host: str, server: str) -> str:
    if not host or host.strip("abcdefghijklmnopqrstuvwxyz0123456789-"):
        message = f"{server!r} is not the name of a registry"
        raise InvalidArgument(message, hint="It is host[:port].")
    return host
