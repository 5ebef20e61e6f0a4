"""What goes wrong below HTTP, in words: connections, TLS, proxies.

`translate` turns what urllib3 raises into `Cut`, if trying again may help, or `Untrusted`, if it
cannot. Messages name the host and never the query, where presigned URLs have their signatures.
"""

from __future__ import annotations

import ssl

from urllib3 import exceptions as u

from knarr.errors import Unavailable

# What a server that speaks no TLS makes OpenSSL say, in its versions so far.
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
# Why OpenSSL finds no authority that it knows.
_NO_AUTHORITY = (2, 18, 19, 20, 21)


class Cut(Unavailable):
    """The connection could not be made, or ended early: trying again may help.

    `refused` says that nothing was sent.
    """

    refused = False


class Untrusted(Unavailable):
    """No TLS connection that can be trusted. `plain` says that the server speaks none at all."""

    plain = False


def bare(url: str) -> str:
    """Return `url` as it may be shown: without user, query and fragment."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def host_of(url: str) -> str:
    """Return the host and port in `url`."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


def translate(error: Exception, url: str) -> Unavailable:
    """Return what `error` means to who asked for `url`."""
    where = host_of(url)
    if isinstance(error, u.ProxyError):
        inner = error.original_error
        if isinstance(inner, OSError | u.HTTPError) and not isinstance(inner, u.ProxyError):
            return Cut(f"the proxy for {where} cannot be used: {_reason(inner)}")
        return Cut(f"the proxy for {where} cannot be used: {_reason(error)}")
    tls = _tls_error(error)
    if tls is not None:
        return _untrusted(tls, where)
    if isinstance(error, u.LocationValueError):
        return Unavailable(f"{bare(url)} is not a URL that can be asked")
    return _cut(error, where)


def _cut(error: Exception, where: str) -> Cut:
    cut = Cut(f"{where}: {_reason(error)}")
    if isinstance(error, u.NameResolutionError):
        cut = Cut(f"{where}: no such host", hint="Is the name right, and DNS within reach?")
    elif isinstance(error, u.ConnectTimeoutError) and not isinstance(error, u.NewConnectionError):
        cut = Cut(f"{where}: the connection could not be made in time")
    elif isinstance(error, u.ReadTimeoutError | TimeoutError):
        cut = Cut(f"{where}: no answer in time")
    cut.refused = isinstance(error, u.ConnectTimeoutError)  # which those of no connection are
    return cut


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return OpenSSL's error within urllib3's, if it is one about trust or the protocol."""
    seen = 0
    inner: BaseException | None = error
    while inner is not None and seen < 6:
        if isinstance(inner, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return None
        if isinstance(inner, ssl.SSLError):
            return inner
        inner = next((a for a in inner.args if isinstance(a, BaseException)), inner.__cause__)
        seen += 1
    return None


def _untrusted(error: ssl.SSLError, where: str) -> Untrusted:
    reason = (error.reason or "").upper()
    if reason in _PLAIN:
        found = Untrusted(
            f"{where}: http: server gave HTTP response to HTTPS client",
            hint=f"If it is meant to, write insecure = true for {where} in registries.toml.",
        )
        found.plain = True
        return found
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, where)
    words = (error.reason or "TLS failed").lower().replace("_", " ")
    hint = ""
    if "certificate required" in words or "handshake failure" in words:
        hint = f"A client's certificate goes into /etc/knarr/certs.d/{where}/client.cert and .key."
    return Untrusted(f"{where}: tls: {words}", hint=hint)


def _unverified(error: ssl.SSLCertVerificationError, where: str) -> Untrusted:
    """Return what is wrong with the certificate of `where`, and what can be done about it."""
    anyway = f"write insecure = true for {where} in registries.toml to trust anybody."
    words = error.verify_message.rstrip(".")
    if words[1:2].islower():
        words = words[0].lower() + words[1:]
    hint = f"If that is as it must be, {anyway}"
    if error.verify_code in _NO_AUTHORITY:
        words = f"certificate signed by unknown authority ({words})"
        hint = f"Put its CA into /etc/knarr/certs.d/{where}/ca.crt, or {anyway}"
    return Untrusted(f"{where}: x509: {words}", hint=hint)


def _reason(error: BaseException) -> str:
    """Return the words of the innermost error, which have no address of ours in them."""
    inner: BaseException = error
    for _ in range(6):
        deeper = next((a for a in inner.args if isinstance(a, BaseException)), inner.__cause__)
        if deeper is None:
            break
        inner = deeper
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    if isinstance(inner, u.IncompleteRead) or "IncompleteRead" in type(inner).__name__:
        return "the connection ended early"
    text = str(inner)
    if "Tunnel connection failed" in text:
        return text.partition("Tunnel connection failed: ")[2].lower() or "no tunnel"
    return {
        "RemoteDisconnected": "the connection was closed without an answer",
        "ProtocolError": "the connection ended early",
    }.get(type(inner).__name__, "the answer was not HTTP")
