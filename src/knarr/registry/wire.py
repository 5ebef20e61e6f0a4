"""One HTTP exchange: the only module, beside `breaks`, that knows urllib3.

A `Wire` keeps connections: to one host under one `Security`, through one proxy or none, they are
used again, also by several threads. It follows no redirect, tries nothing twice and keeps no
secrets; that is the business of `transfer` and `auth` above it.

What goes wrong below HTTP is put into words by `breaks`.

Headers are limited by the standard library (100 of them, 64 KiB each), bodies by who reads them.
"""

from __future__ import annotations

import ssl

import urllib3
from urllib3 import exceptions as u
from urllib3.connection import HTTPSConnection
from urllib3.util import parse_url

import knarr
from knarr.errors import Corrupt, Unavailable, Unsupported
from knarr.registry.breaks import Cut, bare, translate
from knarr.registry.proxies import proxy_for
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol, Self

    class Stream(Protocol):
        """What a body is sent from: read to its end, then closed."""

        def read(self, size: int = -1, /) -> bytes:
            """Return up to `size` bytes."""

        def __enter__(self) -> Self:
            """Return it, to be closed at the end."""

        def __exit__(self, *_: object) -> None:
            """Close."""


CONNECT_TIMEOUT = 30.0
READ_TIMEOUT = 60.0
MAX_DOCUMENT = 4 << 20
_CONNECTIONS = 8
_BLOCK = 256 << 10
_PORTS = {"http": 80, "https": 443}


class Security(Value):
    """Whom to trust as the other side of TLS, and what to show to it.

    `authorities` are files with further CAs, `identities` pairs of files, certificate and key.
    """

    verify: bool = True
    authorities: tuple[str, ...] = ()
    identities: tuple[tuple[str, str], ...] = ()


class Answer:
    """A response whose body is still to be read. Closed when read to its end, or by `close`."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str) -> None:
        """Wrap `response` to a request for `url`."""
        self._response = response
        self.url = url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def length(self) -> int | None:
        """The bytes of the body, None if that was not announced."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def all(self, name: str) -> list[str]:
        """Return every header line `name`."""
        lines: list[str] = self._response.headers.getlist(name)
        return lines

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes of the body, none at its end; all of it if negative.

        Raises: Cut
        """
        try:
            return self._response.read(None if size < 0 else size, decode_content=False)
        except (u.HTTPError, OSError) as error:
            self.close()
            raise translate(error, self.url) from None

    def body(self, limit: int = MAX_DOCUMENT) -> bytes:
        """Return the whole body, which is a document.

        Raises: Cut, Corrupt (more than `limit` bytes)
        """
        parts, size = [], 0
        while data := self.read(min(_BLOCK, limit + 1 - size)):
            parts.append(data)
            size += len(data)
            if size > limit:
                self.close()
                message = f"{bare(self.url)}: the answer has more than {limit} bytes"
                raise Corrupt(message)
        return b"".join(parts)

    def drop(self) -> None:
        """Be done with it, keeping the connection where little is left to read."""
        try:
            if (self.length or 0) <= _BLOCK and "content-length" in self.headers:
                self.body(_BLOCK)
        except (Cut, Corrupt):
            pass
        self.close()

    def close(self) -> None:
        """Give the connection back if the body was read, else end it."""
        self._response.close()
        self._response.release_conn()

    def __enter__(self) -> Self:
        """Return the answer, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.drop()


class Wire:
    """Connections to any number of hosts, for any number of threads."""

    def __init__(
        self, environ: Mapping[str, str], *, connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:  # fmt: skip
        """Take proxies from `environ`; connect to nothing yet."""
        self._environ = environ
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._pools: dict[tuple[Security | None, str | None], urllib3.PoolManager] = {}

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], security: Security,
        body: bytes | Stream | None = None,
    ) -> Answer:  # fmt: skip
        """Send one request and return the answer, whatever its status.

        Raises: Cut, Untrusted, Unsupported (a proxy of a kind we do not know)
        """
        # Authorities take 10 ms to load, which plain HTTP need not wait for.
        trusted = security if url.startswith("https:") else None
        pool = self._pool(trusted, proxy_for(url, self._environ))
        try:
            response = pool.urlopen(
                method,
                url,
                redirect=False,
                body=body,
                headers={"User-Agent": f"knarr/{knarr.__version__}", **headers},
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except (u.HTTPError, OSError) as error:
            raise translate(error, url) from None
        except ValueError as error:  # a host name that IDNA or a header that HTTP does not allow
            message = f"{bare(url)}: {type(error).__name__}"
            raise Unavailable(message) from None
        if method == "HEAD":
            response.drain_conn()  # of nothing: the connection is free again
        return Answer(response, url)

    def _pool(self, security: Security | None, proxy: str | None) -> urllib3.PoolManager:
        pool = self._pools.get((security, proxy))
        if pool is None:
            # Two threads may both make one: the later stays, the other serves one request.
            pool = self._pools[security, proxy] = self._make(security, proxy)
        return pool

    def _make(self, security: Security | None, proxy: str | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "num_pools": _CONNECTIONS,
            "maxsize": _CONNECTIONS,
            "timeout": self._timeout,
            "ssl_context": security and context_of(security),
            "blocksize": _BLOCK,
        }
        made = urllib3.PoolManager(**options) if proxy is None else _through(proxy, options)
        if security is not None and not security.verify:
            made.pool_classes_by_scheme = {"http": urllib3.HTTPConnectionPool, "https": _AnyPool}
        return made

    def close(self) -> None:
        """Close all connections that nobody uses."""
        for pool in self._pools.values():
            pool.clear()


def canonical(url: str) -> str:
    """Return `url` so that all read the same host in it: as urllib3 does, which connects.

    Who is meant by `https://one\\@other/` is answered differently by every reader; what decides to
    whom credentials go must not be one of another opinion than what connects.

    Raises: Corrupt (not a URL of HTTP)
    """
    try:
        parts = parse_url(url)
    except u.HTTPError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.host:
        message = f"{bare(url)[:200]!r} is not a URL of HTTP"
        raise Corrupt(message)
    port = None if parts.port == _PORTS[parts.scheme] else parts.port
    return parts._replace(auth=None, fragment=None, port=port, path=parts.path or "/").url


class _AnyConnection(HTTPSConnection):
    """A connection to a host that settings say to trust whoever it is."""

    def connect(self) -> None:
        """Connect, without a warning at each request that nobody was verified."""
        super().connect()
        self.is_verified = True


class _AnyPool(urllib3.HTTPSConnectionPool):
    """Connections of that kind."""

    ConnectionCls = _AnyConnection


def _through(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    """Return connections through the proxy with the URL `proxy`, which may have a password."""
    scheme, _, rest = proxy.partition("://")
    if scheme not in ("http", "https"):
        message = f"the environment names a proxy of the kind {scheme}, which is not supported"
        raise Unsupported(message, hint="HTTP and HTTPS proxies are.")
    credentials, at, host = rest.rpartition("@")
    headers = None
    if at:
        from urllib.parse import unquote  # noqa: PLC0415 - for proxies with a password

        headers = urllib3.make_headers(proxy_basic_auth=unquote(credentials))
    try:
        return urllib3.ProxyManager(f"{scheme}://{host}", proxy_headers=headers, **options)
    except u.HTTPError:
        message = "the environment names a proxy by something that is not a URL"
        raise Unavailable(message) from None


def context_of(security: Security) -> ssl.SSLContext:
    """Return the TLS settings of `security` over the system's CAs.

    Raises: Unavailable (a file cannot be used)
    """
    if security.verify:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    path = ""
    try:
        for path in security.authorities:
            context.load_verify_locations(cafile=path)
        for path, key in security.identities:
            # An empty password is given, or a key that has one would ask for it on the terminal.
            context.load_cert_chain(path, key, password="")
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror if error.filename or error.errno else str(error)
        message = f"cannot use the certificate {path}: {reason}"
        raise Unavailable(message) from None
    return context
