"""Registries as this user sees them: settings, credentials, connections; login, logout, search.

    repository = engine.registries.connect(reference)

Connections are shared by all that one engine does. Settings and credentials are read when first
needed, once.
"""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument, NotFound
from knarr.oci.reference import DEFAULT_REGISTRY, Reference, parse_reference
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.engine import Engine
    from knarr.errors import KnarrError, Unavailable
    from knarr.registry.client import Repository
    from knarr.registry.credentials import Keychain, Login
    from knarr.registry.handed import Handed
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
        self._handed: Handed | None = None
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

    def act_as(self, handed: Handed | None) -> None:
        """From now on be to registries who was handed over; with None, the user again."""
        self._handed = handed

    @property
    def _credentials(self) -> Keychain | Handed:
        return self.keychain if self._handed is None else self._handed

    @property
    def wire(self) -> Wire:
        """Return the connections."""
        if self._wire is None:
            from knarr.registry.wire import Wire  # noqa: PLC0415 - loads urllib3: 54 ms

            self._wire = Wire(os.environ)
        return self._wire

    def connect(self, reference: Reference, *, insecure: bool = False) -> Repository:
        """Return the repository of `reference`; nothing is sent yet.

        With `insecure` any certificate will do, and plain HTTP where there is no TLS.

        Raises: PermissionDenied (blocked), InvalidArgument, Failed, NotFound, Corrupt (settings)
        """
        from knarr.registry.client import connect  # noqa: PLC0415 - as above

        return connect(
            reference,
            self.hosts,
            self._credentials,
            wire=self.wire,
            insecure=insecure,
            listener=self,
        )

    def passed_over(self, host: str, error: KnarrError) -> None:
        """Let people know once that a mirror is of no use: it costs time, and may be a slip."""
        notice = f"mirror {host} was passed over: {error.message}"
        if notice not in self._engine.notices:
            self._engine.notices.append(notice)

    def waits(self, error: Unavailable, seconds: float) -> None:
        """Let people know at once what they wait for."""
        self._engine.tell(f"{error.message}: trying again in {round(seconds)} s")

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

        registry = registry_of(server)
        login = self._try(registry, Login(username, secret))
        self.keychain.store(registry, login)
        return LoggedIn(registry, self.keychain.path, self.keychain.helper(registry))

    def try_login(self, server: str, login: Login) -> str:
        """Try credentials that somebody else keeps; return the token that is to be kept instead.

        Raises: Unauthorized, Unavailable, Unsupported, Corrupt, Failed
        """
        return self._try(registry_of(server), login).identity_token

    def _try(self, registry: str, login: Login) -> Login:
        from knarr.registry.login import authenticate  # noqa: PLC0415 - for who logs in

        return authenticate(self.wire, self.hosts, registry, login)

    def username(self, server: str) -> str | None:
        """Return the user whose credentials are kept for `server`, None without any.

        Raises: InvalidArgument, Failed, NotFound (a helper), Corrupt
        """
        login = self.keychain.find(registry_of(server))
        return None if login is None else login.username or "<token>"

    def login_again(self, server: str) -> None:
        """Try the credentials that are kept for `server`.

        Raises: Unauthorized, Unavailable, Unsupported, Corrupt, Failed, NotFound
        """
        registry = registry_of(server)
        login = self.keychain.find(registry)
        if login is None:
            message = f"no credentials are kept for {registry}"
            raise NotFound(message)
        self._try(registry, login)

    def key(self, server: str) -> str:
        """Return under what the credentials for `server` are kept.

        Raises: InvalidArgument
        """
        from knarr.registry.credentials import key_of  # noqa: PLC0415 - as above

        return key_of(registry_of(server))

    def logout(self, server: str) -> bool:
        """Forget the credentials for `server`; tell whether there were any.

        Raises: InvalidArgument, Failed, NotFound (a helper), Corrupt
        """
        return self.keychain.erase(registry_of(server))

    def search(self, term: str, *, limit: int = 0, filters: Iterable[str] = ()) -> list[Found]:
        """Return what a search for `term` finds, that most looked at first.

        Raises: InvalidArgument, Unauthorized, Unavailable, Corrupt
        """
        from knarr.registry import search as searching  # noqa: PLC0415 - as above

        limit = limit or searching.DEFAULT_LIMIT
        if not 1 <= limit <= searching.MAX_LIMIT:
            message = f"limit {limit} is outside the range of [1, {searching.MAX_LIMIT}]"
            raise InvalidArgument(message)
        passes = _search_filter(filters)
        found = searching.search(self.wire, self.hosts, self._credentials, term, limit=limit)
        return [one for one in found if passes(one)]


def _search_filter(texts: Iterable[str]) -> Callable[[Found], bool]:
    """Return what tells whether `--filter` lets a repository through."""
    from knarr.engine.filters import boolean, parse_filters  # noqa: PLC0415 - for a search alone

    filters = parse_filters(texts, ("stars", "is-official", "is-automated"))
    stars = 0
    for value in filters.get("stars", ()):
        if not value.isascii() or not value.isdigit():
            message = f"invalid filter 'stars={value}'"
            raise InvalidArgument(message)
        stars = max(stars, int(value))
    wanted = {name: boolean(name, values) for name, values in filters.items() if name != "stars"}

    def passes(found: Found) -> bool:
        return (
            found.stars >= stars
            and wanted.get("is-official", found.official) == found.official
            and wanted.get("is-automated", found.automated) == found.automated
        )

    return passes


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
    if not host.strip("-") or host.strip("abcdefghijklmnopqrstuvwxyz0123456789-"):
        message = f"{server!r} is not the name of a registry"
        raise InvalidArgument(message, hint="It is host[:port].")
    return host
