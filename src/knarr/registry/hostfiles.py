"""Reading `registries.toml`, and Podman's `registries.conf`, into `Hosts`.

Both have one form, version 2 of Podman's; `docs/registries.md` describes it. For the same prefix
the file read later has the last word:

    /etc/containers/registries.conf, registries.conf.d/*.conf       Podman's
    ~/.config/containers/registries.conf, registries.conf.d/*.conf
    /etc/knarr/registries.toml
    ~/.config/knarr/registries.toml

With `KNARR_REGISTRIES` the file it names is the only one. A short name (`debian`) means Docker Hub,
unless knarr's own files say otherwise: `aliases` and `unqualified-search-registries` count there;
those in Podman's files count once `short-names = "podman"` says so.

A word that is not known is an error in knarr's files, where it is a slip, and passed over in
Podman's, where it may be newer than we are.
"""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument, KnarrError
from knarr.oci.reference import parse_reference
from knarr.registry.certs import SYSTEM_DIRECTORIES
from knarr.registry.hosts import ANY, BY_DIGEST, BY_TAG, Hosts, Place, Rule
from knarr.util import tomlfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

_PURPOSE = "Settings about registries are read from it."
_TOP = frozenset(("podman", "registry", "short-names", "aliases", "unqualified-search-registries"))
_REGISTRY = frozenset(
    (
        "prefix", "location", "insecure", "plain-http", "blocked", "mirror",
        "mirror-by-digest-only",
    )
)  # fmt: skip
_MIRROR = frozenset(("location", "insecure", "plain-http", "pull-from-mirror"))


def load(environ: Mapping[str, str] | None = None, *, etc: str = "/etc") -> Hosts:
    """Return the settings for the user whose environment is `environ`.

    Raises: InvalidArgument (a file says what makes no sense), Failed (not readable)
    """
    environ = os.environ if environ is None else environ
    home = environ.get("HOME") or os.path.expanduser("~")
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    if named := environ.get("KNARR_REGISTRIES"):
        if not os.path.exists(named):
            message = f"no such file: {named}"
            raise InvalidArgument(message, hint="KNARR_REGISTRIES names it.")
        own, foreign = [named], []
    else:
        own = [f"{etc}/knarr/registries.toml", f"{config}/knarr/registries.toml"]
        foreign = [
            *_with_drop_ins(f"{etc}/containers/registries.conf"),
            *_with_drop_ins(f"{config}/containers/registries.conf"),
        ]
    certs_dirs = [directory.replace("/etc", etc, 1) for directory in SYSTEM_DIRECTORIES]
    return _merge(_read_all(own, known=_TOP), foreign, (*certs_dirs, f"{config}/knarr/certs.d"))


def _merge(own: list[_File], foreign_paths: list[str], certs_dirs: tuple[str, ...]) -> Hosts:
    podman, short_names = True, "docker"
    for file in own:
        podman = file.flag(file.document, "podman", default=podman)
        short_names = file.choice(file.document, "short-names", short_names, ("docker", "podman"))
    foreign = _read_all(foreign_paths) if podman else []
    rules: dict[str, Rule] = {}
    for file in (*foreign, *own):
        rules.update({rule.prefix: rule for rule in file.rules()})
    aliases: dict[str, str] = {}
    search: tuple[str, ...] = ()
    for file in (*foreign, *own) if short_names == "podman" else own:
        aliases.update(file.aliases())
        search = file.search() if "unqualified-search-registries" in file.document else search
    return Hosts(tuple(rules.values()), certs_dirs=certs_dirs, aliases=aliases, search=search)


def _with_drop_ins(path: str) -> list[str]:
    """Return a file and those in the directory beside it, in the order in which they count."""
    try:
        names = sorted(os.listdir(f"{path}.d"))
    except OSError:
        names = []
    return [path, *(f"{path}.d/{name}" for name in names if name.endswith(".conf"))]


def _read_all(paths: list[str], *, known: frozenset[str] | None = None) -> list[_File]:
    """Return the files that exist; with `known` no other words may be in them."""
    files = []
    for path in paths:
        document = tomlfile.load(path, purpose=_PURPOSE)
        if document is not None:
            file = _File(path, document, strict=known is not None)
            file.check(document, known or frozenset(), "")
            files.append(file)
    return files


class _File:
    """One file, and its contents by type."""

    def __init__(self, path: str, document: dict[str, Any], *, strict: bool) -> None:
        """Take the parsed `document`; `strict` refuses what is not known."""
        self.path = path
        self.document = document
        self.strict = strict

    def rules(self) -> list[Rule]:
        """Return what each `[[registry]]` says."""
        return [
            self._rule(table, f"registry {n}: ")
            for n, table in self._tables(self.document, "registry")
        ]

    def _rule(self, table: dict[str, Any], where: str) -> Rule:
        self.check(table, _REGISTRY, where)
        location = self.text(table, "location", where)
        prefix = self.text(table, "prefix", where) or location
        if not prefix:
            self.refuse(f"{where}neither prefix nor location")
        if prefix.startswith("*.") and "/" in prefix:
            self.refuse(f"{where}prefix {prefix}: *. stands for hosts alone")
        digest_only = self.flag(table, "mirror-by-digest-only")
        mirrors = [
            self._mirror(mirror, f"{where}mirror {n}: ", digest_only=digest_only)
            for n, mirror in self._tables(table, "mirror")
        ]
        return Rule(
            _place_text(prefix),
            self._place(table, where),
            tuple(mirrors),
            self.flag(table, "blocked"),
            self.path,
        )

    def _mirror(self, table: dict[str, Any], where: str, *, digest_only: bool) -> Place:
        self.check(table, _MIRROR, where)
        place = self._place(table, where)
        if not place.location:
            self.refuse(f"{where}no location")
        serves = self.choice(table, "pull-from-mirror", ANY, (ANY, BY_DIGEST, BY_TAG))
        return place.replace(serves=BY_DIGEST if digest_only else serves)

    def _place(self, table: dict[str, Any], where: str) -> Place:
        location = self.text(table, "location", where)
        insecure, plain = self.flag(table, "insecure"), self.flag(table, "plain-http")
        if location.startswith("http://"):
            plain = True
        location = _place_text(location)
        if location:
            self._parse(location, f"{where}location")
        return Place(location, insecure or plain, plain)

    def _parse(self, location: str, where: str) -> None:
        try:
            reference = parse_reference(location if "/" in location else f"{location}/x")
        except KnarrError:
            reference = None
        host = location.partition("/")[0]
        if reference is None or reference.registry != host or reference.tag or reference.digest:
            self.refuse(f"{where} {location} is not host[:port][/path]")

    def aliases(self) -> dict[str, str]:
        """Return what short names stand for."""
        table = self.document.get("aliases", {})
        if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
            self.refuse("aliases must be names with strings")
        return {name: target for name, target in table.items() if target}

    def search(self) -> tuple[str, ...]:
        """Return where short names are looked for."""
        found = self.document["unqualified-search-registries"]
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            self.refuse("unqualified-search-registries must be a list of strings")
        return tuple(found)

    def check(self, table: dict[str, Any], known: frozenset[str], where: str) -> None:
        """Refuse a word that is not `known`."""
        unknown = sorted(set(table) - known) if self.strict else []
        if unknown:
            from knarr.util.suggest import closest  # noqa: PLC0415 - nobody waits for an error

            near = closest(unknown[0], sorted(known))
            hint = f"Is {near[0]} meant?" if near else ""
            self.refuse(f"{where}unknown setting {unknown[0]}", hint=hint)

    def text(self, table: dict[str, Any], key: str, where: str) -> str:
        """Return a string."""
        value = table.get(key, "")
        if not isinstance(value, str):
            self.refuse(f"{where}{key} must be a string")
        return value

    def flag(self, table: dict[str, Any], key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = table.get(key, default)
        if not isinstance(value, bool):
            self.refuse(f"{key} must be true or false")
        return value

    def choice(self, table: dict[str, Any], key: str, default: str, words: tuple[str, ...]) -> str:
        """Return one of `words`."""
        value = table.get(key) or default
        if value not in words:
            self.refuse(f"{key} must be one of {', '.join(words)}")
        found: str = value
        return found

    def _tables(self, table: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
        found = table.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.refuse(f"{key} must be a list of tables: [[{key}]]")
        return list(enumerate(found, 1))

    def refuse(self, reason: str, *, hint: str = "") -> NoReturn:
        """Raise for this file."""
        message = f"{self.path}: {reason}"
        raise InvalidArgument(message, hint=hint)


def _place_text(text: str) -> str:
    """Return a location as references have it, without scheme and final slash."""
    return text.removeprefix("https://").removeprefix("http://").rstrip("/")
