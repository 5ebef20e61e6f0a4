"""References: how people name images.

    [registry/]repository[:tag][@digest]

`parse_reference` normalises as Docker does: `debian` is `docker.io/library/debian`. `familiar` goes
back. What looks like a registry is one: a first part with a dot, a colon or an upper-case letter,
or `localhost`.

Spec: distribution-spec, "Pulling manifests" (the grammars of name and tag)
Docker: the grammar and the error texts of distribution/reference
"""

from __future__ import annotations

from knarr.errors import Corrupt, InvalidArgument
from knarr.oci.digest import Digest
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_REGISTRY = "index.docker.io"
_OFFICIAL = "library/"
_MAX_REPOSITORY = 255
_MAX_TAG = 128

_HEX = "0123456789abcdef"
_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz" + _DIGITS
_ALPHANUMERIC = _LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Reference(Value):
    """A parsed name of an image. `str` gives the full form, `familiar` the short one."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """Registry and repository, in full."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """Registry and repository as people write them: `debian`, `ghcr.io/a/b`."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        short = self.repository.removeprefix(_OFFICIAL)
        if "/" not in short:
            return short
        # Without its registry, `docker.io/host.name/a` would be another one's.
        return self.repository if _split(self.repository)[1] == self.repository else self.name

    def familiar(self) -> str:
        """Return the reference as people write it: `debian:bookworm`."""
        return self.familiar_name + self._suffix()

    def with_default_tag(self) -> Reference:
        """Return the reference with the tag `latest` if it has neither tag nor digest."""
        if self.tag is None and self.digest is None:
            return self.replace(tag=DEFAULT_TAG)
        return self

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{tag}@{self.digest}" if self.digest is not None else tag

    def __str__(self) -> str:
        """Return the full form: `docker.io/library/debian:bookworm`."""
        return self.name + self._suffix()


def parse_reference(text: str) -> Reference:
    """Return the reference that `text` means, without a tag where it names none.

    Raises: InvalidArgument
    """
    if looks_like_id(text):
        _refuse(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings",
        )
    registry, rest = _split(text)
    repository = rest.partition(":")[0]
    if repository.lower() != repository:
        _refuse(f"invalid reference format: repository name ({repository}) must be lowercase")
    rest, at, digest = rest.partition("@")
    repository, colon, tag = rest.partition(":")
    if not (
        _is_registry(registry)
        and all(_is_component(part) for part in repository.split("/"))
        and (not colon or _is_tag(tag))
        and (not at or _is_digest(digest))
    ):
        _refuse("invalid reference format", hint=_explain(text))
    if len(repository) > _MAX_REPOSITORY:
        _refuse(f"repository name must not be more than {_MAX_REPOSITORY} characters")
    return Reference(registry, repository, tag if colon else None, _digest(digest) if at else None)


def looks_like_id(text: str) -> bool:
    """Tell whether `text` is 64 hexadecimal digits, which name an image by ID and never by name."""
    return len(text) == 64 and not text.strip(_HEX)


# The grammar is checked by hand: compiling it as a regular expression takes longer than all else
# that many commands do.


def _is_registry(text: str) -> bool:
    """Tell whether `text` is `host[:port]`, the host a name or an IPv6 address in brackets."""
    host, colon, port = text.partition(":")
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not host or host.strip("abcdefABCDEF:" + _DIGITS):
            return False
        colon, port = port[:1], port[1:]
        return not colon or (colon == ":" and _only(port, _DIGITS))
    if colon and not _only(port, _DIGITS):
        return False
    return all(
        _only(part.replace("-", ""), _ALPHANUMERIC) and part[0] != "-" and part[-1] != "-"
        for part in host.split(".")
    )


def _is_component(text: str) -> bool:
    """Tell whether `text` is `[a-z0-9]+` joined by one of `.`, `_`, `__` or any number of `-`."""
    bare = text.replace(".", "").replace("_", "").replace("-", "")
    if not _only(bare, _LOWER) or text[0] not in _LOWER or text[-1] not in _LOWER:
        return False
    if bare == text:
        return True
    joints = [""]
    for character in text:
        if character not in _LOWER:
            joints[-1] += character
        elif joints[-1]:
            joints.append("")
    return all(joint in (".", "_", "__", "") or not joint.strip("-") for joint in joints)


def _is_tag(text: str) -> bool:
    return (
        0 < len(text) <= _MAX_TAG and not text.strip(_ALPHANUMERIC + "_.-") and text[0] not in ".-"
    )


def _is_digest(text: str) -> bool:
    """Tell whether `text` has the form of a digest, of whatever algorithm."""
    algorithm, _, encoded = text.partition(":")
    if len(encoded) < 32 or encoded.strip(_HEX + "ABCDEF"):
        return False
    parts = algorithm.replace("_", "-").replace("+", "-").replace(".", "-").split("-")
    return all(_only(part, _ALPHANUMERIC) and part[0] not in _DIGITS for part in parts)


def _only(text: str, characters: str) -> bool:
    """Tell whether `text` is not empty and made of `characters` alone."""
    return bool(text) and not text.strip(characters)


def _split(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_REGISTRY, _OFFICIAL + text
    if first == _LEGACY_REGISTRY:
        first = DEFAULT_REGISTRY
    elif first != "localhost" and not ("." in first or ":" in first or first.lower() != first):
        return DEFAULT_REGISTRY, text
    if first == DEFAULT_REGISTRY and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except Corrupt:
        algorithm, _, encoded = text.partition(":")
        if algorithm not in ("sha256", "sha512"):
            _refuse("unsupported digest algorithm", hint=f"{algorithm} is not sha256 or sha512.")
        if encoded.lower() == encoded:
            _refuse("invalid checksum digest length", hint=f"{text} has another number of digits.")
        _refuse("invalid checksum digest format", hint="The digits of a digest are lower case.")


def _explain(text: str) -> str:
    name, _, digest = text.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    if not text or not last.partition(":")[0]:
        return "A repository name must have at least one component."
    if len(tag) > 128:
        return "A tag has at most 128 characters."
    if digest and ":" not in digest:
        return "After @ comes a digest, as sha256:0123…"
    if any(character.isspace() for character in text):
        return "A reference has no spaces."
    if "://" in text:
        return "A reference names the registry without https://."
    return "It is [registry/]repository[:tag][@digest], as debian:bookworm or ghcr.io/me/app:v1."


def _refuse(message: str, *, hint: str = "") -> NoReturn:
    raise InvalidArgument(message, hint=hint)
