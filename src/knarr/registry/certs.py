"""Certificates for registries: directories named by host, as Docker has them.

    /etc/docker/certs.d/registry.example:5000/
        ca.crt          every *.crt: an authority for this host, beside the system's
        client.cert     every *.cert: what to show to it,
        client.key      and the key of the same name

Docker: "Verify repository client with certificates"
"""

from __future__ import annotations

import os

from knarr.errors import Failed, InvalidArgument
from knarr.registry.wire import Security

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SYSTEM_DIRECTORIES = ("/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/knarr/certs.d")


def security_for(host: str, directories: Iterable[str], *, verify: bool = True) -> Security:
    """Return what the directories hold for `host` (`name[:port]`), the user's settings aside.

    Raises: InvalidArgument (a certificate without its key), Failed (not readable)
    """
    authorities: list[str] = []
    identities: list[tuple[str, str]] = []
    if "/" in host or host in ("", ".", ".."):
        return Security(verify)
    for directory in directories:
        path = f"{directory}/{host}"
        names = _names(path)
        authorities += [f"{path}/{name}" for name in names if name.endswith(".crt")]
        for name in names:
            if name.endswith(".cert"):
                key = name.removesuffix(".cert") + ".key"
                if key not in names:
                    message = f"missing key {key} for client certificate {name} in {path}"
                    hint = "Certificates of authorities have the extension .crt."
                    raise InvalidArgument(message, hint=hint)
                identities.append((f"{path}/{name}", f"{path}/{key}"))
    return Security(verify, tuple(authorities), tuple(identities))


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise Failed(message) from None
