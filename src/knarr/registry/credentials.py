"""Credentials for registries, where Docker and Podman keep them.

    $DOCKER_CONFIG/config.json, ~/.docker/config.json           read and written
    $REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json,
    ~/.config/containers/auth.json                              read: what `podman login` wrote

All have the same form:

    {"auths": {"registry.example": {"auth": base64 of user:password, "identitytoken": …}},
     "credsStore": "pass", "credHelpers": {"other.example": "ecr-login"}}

A key is a host with its port, or that with a path of namespaces, the most specific of which is
used; Docker Hub is `https://index.docker.io/v1/` to Docker and `docker.io` to Podman. A helper
for the host, or for all, is asked instead of `auths`.

Secrets are in no message and in no `repr`.

Docker: cli/config/configfile, cli/config/credentials
"""

from __future__ import annotations

import os
import threading

from knarr.errors import Corrupt, Failed
from knarr.oci import document
from knarr.registry import helpers
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = frozenset((HUB, "index.docker.io", "registry-1.docker.io"))


class Login(Value):
    """Who we are to a registry: a user's secret, or an identity token instead of it."""

    username: str
    secret: str
    identity_token: str = ""

    def __repr__(self) -> str:
        """Show the user alone."""
        return f"Login(username={self.username!r})"


class Keychain:
    """The credentials of one user."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Look where `environ` says; read nothing yet."""
        environ = os.environ if environ is None else environ
        self.environ = environ
        home = environ.get("HOME") or os.path.expanduser("~")
        config_dir = environ.get("DOCKER_CONFIG") or f"{home}/.docker"
        self.path = f"{config_dir}/config.json"
        self._paths = [self.path]
        if named := environ.get("REGISTRY_AUTH_FILE"):
            self._paths.insert(0, named)
        else:
            if runtime := environ.get("XDG_RUNTIME_DIR"):
                self._paths.append(f"{runtime}/containers/auth.json")
            config_home = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
            self._paths.append(f"{config_home}/containers/auth.json")
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Login | None] = {}

    def find(self, registry: str, repository: str = "") -> Login | None:
        """Return the credentials for `repository` at `registry` (`host[:port]`), or None.

        Raises: Corrupt (a file is not readable as such), Failed, NotFound (of a helper)
        """
        with self._lock:  # a helper is asked once, and by one thread
            key = (registry, repository)
            if key not in self._found:
                self._found[key] = self._find(registry, repository)
            return self._found[key]

    def _find(self, registry: str, repository: str) -> Login | None:
        for path in self._paths:
            config = read_config(path)
            found = _login_in(config, registry, repository) if config else None
            if found is not None:
                return found
        return None

    def helper(self, registry: str) -> str | None:
        """Return the name of the helper that keeps what `store` is given for `registry`."""
        return _helper_of(self._config(), registry)

    def store(self, registry: str, login: Login) -> None:
        """Keep `login` for `registry`: with its helper, or unencrypted in the file.

        Raises: Failed, NotFound, Corrupt
        """
        config = self._config()
        key = key_of(registry)
        helper = _helper_of(config, registry)
        entry: dict[str, str] = {}
        if helper:
            user = helpers.TOKEN_USER if login.identity_token else login.username
            helpers.store(helper, key, user, login.identity_token or login.secret)
        else:
            secret = "" if login.identity_token else login.secret
            entry["auth"] = _encode(login.username, secret)
            if login.identity_token:
                entry["identitytoken"] = login.identity_token
        config.setdefault("auths", {})[key] = entry
        write_config(self.path, config)
        self._found.clear()

    def erase(self, registry: str) -> bool:
        """Forget `registry`; tell whether there was something to forget.

        Raises: Failed, NotFound, Corrupt
        """
        config = self._config()
        auths = config.get("auths", {})
        known = [
            key for key in auths if host_of_key(key) == _host(registry) and "/" not in _path(key)
        ]
        helper = _helper_of(config, registry)
        erased = bool(known)
        if helper:
            for key in {key_of(registry), *known}:
                erased = helpers.erase(helper, key) or erased
        for key in known:
            del auths[key]
        if known:
            write_config(self.path, config)
        self._found.clear()
        return erased

    def _config(self) -> dict[str, Any]:
        config = read_config(self.path)
        if config is None:
            store = _default_store(self.environ)
            config = {"credsStore": store} if store else {}
        return config


def key_of(registry: str) -> str:
    """Return the key under which Docker keeps the credentials of `registry`."""
    return HUB_KEY if registry in _HUB_HOSTS else registry


def host_of_key(key: str) -> str:
    """Return the host that a key of `auths` is for."""
    return _host(_bare(key).partition("/")[0])


def _host(registry: str) -> str:
    return HUB if registry in _HUB_HOSTS else registry


def _bare(key: str) -> str:
    return key.removeprefix("https://").removeprefix("http://").rstrip("/")


def _path(key: str) -> str:
    """Return the namespaces in a key, none for those that are paths of old interfaces."""
    path = _bare(key).partition("/")[2]
    return "" if path in ("v1", "v2") else f"/{path}" if path else ""


def read_config(path: str) -> dict[str, Any] | None:
    """Return the document at `path`, None where there is none.

    Raises: Corrupt, Failed
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(document.MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise Failed(message) from None
    if not raw.strip():
        return {}
    try:
        config = document.load(raw, path).object
    except Corrupt as error:
        raise Corrupt(error.message, hint="Credentials of registries are read from it.") from None
    for key in ("auths", "credHelpers"):
        if not isinstance(config.get(key) or {}, dict):
            message = f"{path}: {key} must be an object"
            raise Corrupt(message)
    return config


def write_config(path: str, config: Mapping[str, Any]) -> None:
    """Replace the document at `path`, for the user's eyes alone.

    Raises: Failed
    """
    import json  # noqa: PLC0415 - for who logs in or out

    from knarr.util.files import write_atomically  # noqa: PLC0415 - as above

    path = os.path.realpath(path)  # many keep theirs behind a link
    text = json.dumps(config, indent="\t", ensure_ascii=False)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        write_atomically(path, text.encode(), mode=0o600)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Failed(message) from None


def _login_in(config: Mapping[str, Any], registry: str, repository: str) -> Login | None:
    helper = _helper_of(config, registry)
    if helper:
        found = helpers.get(helper, key_of(registry))
        if found is not None:
            user, secret = found
            if user == helpers.TOKEN_USER:
                return Login("", "", secret)
            return Login(user, secret)
    name = f"/{repository}"
    best, longest = None, -1
    for key, entry in (config.get("auths") or {}).items():
        if host_of_key(key) != _host(registry) or not isinstance(entry, dict):
            continue
        path = _path(key)
        if len(path) > longest and (not path or name == path or name.startswith(f"{path}/")):
            login = _decode(entry, key)
            if login is not None:
                best, longest = login, len(path)
    return best


def _helper_of(config: Mapping[str, Any], registry: str) -> str | None:
    for key, name in (config.get("credHelpers") or {}).items():
        if host_of_key(key) == _host(registry) and isinstance(name, str):
            return name or None
    store = config.get("credsStore")
    return store if isinstance(store, str) and store else None


def _default_store(environ: Mapping[str, str]) -> str | None:
    """Return the helper that Docker takes where there is no config.json yet."""
    from shutil import which  # noqa: PLC0415 - for who logs in

    path = environ.get("PATH")
    name = "pass" if which("pass", path=path) else "secretservice"
    return name if which(helpers.PREFIX + name, path=path) else None


def _encode(username: str, secret: str) -> str:
    from base64 import b64encode  # noqa: PLC0415 - for who talks to a registry

    return b64encode(f"{username}:{secret}".encode()).decode()


def _decode(entry: Mapping[str, Any], key: str) -> Login | None:
    """Return the login in one entry, None if it is empty."""
    from base64 import b64decode  # noqa: PLC0415 - as above

    token, auth = entry.get("identitytoken") or "", entry.get("auth") or ""
    username, secret = entry.get("username") or "", entry.get("password") or ""
    if auth:
        try:
            text = b64decode(auth, validate=True).decode()
        except (TypeError, ValueError):
            message = f"invalid auth configuration for {key}: not base64 of user:password"
            raise Corrupt(message) from None
        username, _, secret = text.partition(":")
        secret = secret.strip("\0")
    if not all(isinstance(text, str) for text in (token, username, secret)):
        message = f"invalid auth configuration for {key}"
        raise Corrupt(message)
    return Login(username, secret, token) if token or username or secret else None
