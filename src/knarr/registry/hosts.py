"""Where the images of a reference really are, and how to talk to whom.

A `Rule` is one `[[registry]]` of a configuration file: for references that begin with its prefix it
names another place, mirrors, or says no. `Hosts` holds all rules and turns a reference into
`Endpoint`s, in the order in which they are to be asked: mirrors, then the place itself.

    docker.io/library/debian  ─┬─ https://mirror.example/hub/library/debian       (a mirror)
                               └─ https://registry-1.docker.io/v2/library/debian  (the place)

This machine's own addresses are spoken to as Docker does: any certificate will do, and plain HTTP
where there is no TLS. For every other host that takes a setting.

Files are read by `hostfiles`.
"""

from __future__ import annotations

from knarr.errors import PermissionDenied
from knarr.oci.reference import DEFAULT_REGISTRY, Reference
from knarr.registry.certs import security_for
from knarr.registry.proxies import is_loopback, split_host
from knarr.registry.wire import Security
from knarr.util.value import Value

# The name in references, and the host that answers.
HUB_HOST = "registry-1.docker.io"

# Whether HTTP without TLS will do.
NEVER, FALLBACK, ALWAYS = "never", "fallback", "always"
# Which references a mirror is for.
ANY, BY_DIGEST, BY_TAG = "all", "digest-only", "tag-only"


class Place(Value):
    """A location of repositories, `host[:port][/path]`, and how to talk to it."""

    location: str
    insecure: bool = False
    plain: bool = False
    serves: str = ANY


class Rule(Value):
    """What one `[[registry]]` says. `source` is the file, for messages."""

    prefix: str
    place: Place
    mirrors: tuple[Place, ...] = ()
    blocked: bool = False
    source: str = ""

    def remainder(self, name: str) -> str | None:
        """Return what follows the prefix in `name` (`registry/repository`), None if it does not.

        A prefix `*.example` stands for every host below example.
        """
        if self.prefix.startswith("*."):
            host, slash, rest = name.partition("/")
            return slash + rest if host.endswith(self.prefix[1:]) else None
        rest = name.removeprefix(self.prefix)
        if name.startswith(self.prefix) and (not rest or rest[0] == "/"):
            return rest
        return None


class Endpoint(Value):
    """One place of one repository. `registry` is whose credentials are used."""

    registry: str
    host: str
    repository: str
    security: Security = Security()
    plain: str = NEVER
    mirror: bool = False

    def url(self, *, plain: bool) -> str:
        """Return scheme and host."""
        return f"http{'' if plain else 's'}://{self.host}"

    def trusting(self) -> Endpoint:
        """Return the endpoint, with any certificate accepted, and plain HTTP without TLS."""
        plain = FALLBACK if self.plain == NEVER else self.plain
        return self.replace(security=self.security.replace(verify=False), plain=plain)


class Hosts:
    """All settings about registries."""

    def __init__(
        self, rules: tuple[Rule, ...] = (), *, certs_dirs: tuple[str, ...] = (),
        aliases: dict[str, str] | None = None, search: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Take what `hostfiles.load` has read."""
        self.rules = rules
        self.certs_dirs = certs_dirs
        self.aliases = aliases or {}
        self.search = search

    def expand(self, text: str) -> list[str]:
        """Return the names that the short name `text` may stand for, the best first.

        Without settings for that, it is only what was typed, which then means Docker Hub.
        """
        first, slash, _ = text.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            return [text]
        name, suffix = _split_suffix(text)
        if name in self.aliases:
            return [self.aliases[name] + suffix]
        return [f"{registry}/{text}" for registry in self.search] or [text]

    def rule(self, name: str) -> Rule | None:
        """Return the rule with the longest prefix of `name`, the last of its equals."""
        found = None
        for rule in self.rules:
            if rule.remainder(name) is not None and (
                found is None or len(rule.prefix) >= len(found.prefix)
            ):
                found = rule
        return found

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Return where `reference` is to be looked for; the last is where it is put.

        Raises: PermissionDenied (blocked), InvalidArgument, Failed (certificates)
        """
        rule = self.rule(reference.name)
        if rule is None:
            return (self._endpoint(Place(reference.name)),)
        if rule.blocked:
            message = f"{reference.familiar_name}: registry {rule.prefix} is blocked"
            raise PermissionDenied(message, hint=f"{rule.source} says so.")
        rest = rule.remainder(reference.name) or ""
        place = rule.place
        if not place.location:
            place = place.replace(
                location=reference.name.removesuffix(rest) if rest else reference.name
            )
        serves = (ANY, BY_DIGEST if reference.digest else BY_TAG)
        mirrors = [m for m in rule.mirrors if m.serves in serves]
        return (
            *(self._endpoint(_below(mirror, rest), mirror=True) for mirror in mirrors),
            self._endpoint(_below(place, rest)),
        )

    def registry(self, registry: str) -> Endpoint:
        """Return how to talk to `registry` itself, not about a repository.

        Raises: PermissionDenied (blocked), InvalidArgument, Failed (certificates)
        """
        rule = self.rule(registry)
        if rule is not None and rule.blocked:
            message = f"registry {registry} is blocked"
            raise PermissionDenied(message, hint=f"{rule.source} says so.")
        return self._endpoint(self._settings(registry))

    def security(self, host: str) -> Security:
        """Return the settings of TLS for `host`, to which a registry sends on."""
        insecure = self._settings(host).insecure or is_loopback(split_host(host)[0])
        return security_for(host, self.certs_dirs, verify=not insecure)

    def _settings(self, host: str) -> Place:
        """Return what the rules say of `host`, wherever they name it."""
        found = [
            place
            for rule in self.rules
            for place in (
                rule.place.replace(location=rule.place.location or rule.prefix),
                *rule.mirrors,
            )
            if place.location.partition("/")[0] == host
        ]
        return Place(
            host, any(p.insecure for p in found), bool(found) and all(p.plain for p in found)
        )

    def _endpoint(self, place: Place, *, mirror: bool = False) -> Endpoint:
        registry, _, repository = place.location.partition("/")
        host = HUB_HOST if registry in (DEFAULT_REGISTRY, "index.docker.io") else registry
        insecure = place.insecure or is_loopback(split_host(host)[0])
        plain = ALWAYS if place.plain else FALLBACK if insecure else NEVER
        security = security_for(host, self.certs_dirs, verify=not insecure)
        return Endpoint(registry, host, repository, security, plain, mirror)


def _below(place: Place, rest: str) -> Place:
    return place.replace(location=place.location + rest)


def _split_suffix(text: str) -> tuple[str, str]:
    """Return name and `[:tag][@digest]`."""
    name = text.partition("@")[0]
    last = name.rpartition("/")[2]
    if ":" in last:
        name = name[: -len(last)] + last.partition(":")[0]
    return name, text[len(name) :]
