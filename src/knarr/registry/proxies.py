"""Which proxy a URL is asked for through, as the environment says.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, or the same in lower case, with the meaning they have
for Docker: loopback addresses never go through a proxy; `NO_PROXY` is a list of names (with their
subdomains), `.names` (subdomains alone), addresses, networks as `10.0.0.0/8`, each perhaps with a
port, or `*`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

_PORTS = {"http": "80", "https": "443"}


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for `url`, None for none."""
    scheme, _, rest = url.partition("://")
    proxy = _value(f"{scheme}_proxy", environ)
    if scheme == "http" and "REQUEST_METHOD" in environ:
        # In a CGI program HTTP_PROXY is the header Proxy of who asks.
        proxy = environ.get("http_proxy", "")
    if not proxy:
        return None
    host, port = split_host(rest.partition("/")[0].rpartition("@")[2])
    if _bypassed(host.lower(), port or _PORTS.get(scheme, ""), _value("no_proxy", environ)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def split_host(text: str) -> tuple[str, str]:
    """Return the host, without brackets, and the port in `host[:port]`."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def is_loopback(host: str) -> bool:
    """Tell whether `host`, without a port, is this machine by name or address."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _value(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name.upper()) or environ.get(name, "")


def _bypassed(host: str, port: str, exceptions: str) -> bool:
    if is_loopback(host):
        return True
    return any(
        _matches(entry.strip().lower(), host, port)
        for entry in exceptions.split(",")
        if entry.strip()
    )


def _matches(entry: str, host: str, port: str) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    if _address(entry) is not None:
        return address == _address(entry)
    name, only_port = split_host(entry)
    if only_port and only_port != port:
        return False
    if address is not None:
        return address == _address(name)
    name = name.removeprefix("*")
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    import ipaddress  # noqa: PLC0415 - for who talks to a registry

    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _in_network(address: IPv4Address | IPv6Address, text: str) -> bool:
    import ipaddress  # noqa: PLC0415 - as above

    try:
        return address in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
