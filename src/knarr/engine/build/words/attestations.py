"""`build --attest`, `--sbom`, `--provenance`: from the command line to what is to be attested.

Docker: `--sbom=V` is `--attest=type=sbom,V`, and so for provenance; true and false may stand alone
"""

from __future__ import annotations

from knarr.engine.build.attesting.statements import MAX, MIN, OWN, SYFT, Wanted
from knarr.engine.build.words.fields import parse_fields, parse_flag
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "attestation-prefix"
_KNOWN = {
    "sbom": ("disabled", "generator"),
    "provenance": ("disabled", "mode", "version"),
}


def parse_attestations(texts: Sequence[str], *, sbom: str = "", provenance: str = "") -> Wanted:
    """Read each `type=TYPE[,KEY=VALUE…]` and the two short forms, which come last.

    Raises: InvalidArgument
    """
    wanted = Wanted()
    short = [
        f"type={name},{f'disabled={_opposite(text)}' if '=' not in text else text}"
        for name, text in (("sbom", sbom), ("provenance", provenance))
        if text
    ]
    for text in (*texts, *short):
        wanted = _take(wanted, text)
    return wanted


def parse_prefix(fields: Mapping[str, str]) -> str:
    """Return what the names of statements about files begin with. Raises: InvalidArgument"""
    prefix = fields.get(PREFIX, "")
    if "/" in prefix or "\0" in prefix:
        message = f"invalid {PREFIX} {prefix!r}: it is the beginning of a name, without a slash"
        raise InvalidArgument(message)
    return prefix


def _opposite(text: str) -> str:
    return "false" if parse_flag({"it": text}, "it", default=True) else "true"


def _take(wanted: Wanted, text: str) -> Wanted:
    fields = parse_fields(text)
    kind = fields.pop("type", "")
    if kind not in _KNOWN:
        message = f"unknown attestation type {kind or 'in ' + text}"
        raise InvalidArgument(message, hint=f"It is one of {', '.join(_KNOWN)}.")
    unknown = sorted(fields.keys() - set(_KNOWN[kind]))
    if unknown:
        message = f"invalid attestation {text}: there is no {unknown[0]}"
        raise InvalidArgument(message, hint=f"It takes {', '.join(_KNOWN[kind])}.")
    disabled = parse_flag(fields, "disabled", default=False)
    if kind == "sbom":
        generator = fields.get("generator") or OWN
        if generator not in (OWN, SYFT):
            message = f"unknown SBOM generator {generator}"
            hint = f"It is {OWN} or {SYFT}; images that scan are not run."
            raise InvalidArgument(message, hint=hint)
        return wanted.replace(sbom="" if disabled else generator)
    mode = fields.get("mode") or MIN
    if mode not in (MIN, MAX):
        message = f"invalid provenance mode {mode}"
        raise InvalidArgument(message, hint="It is min or max.")
    if fields.get("version", "v1") != "v1":
        message = f"provenance of version {fields['version']} is not written"
        raise InvalidArgument(message, hint="It is SLSA v1.")
    return wanted.replace(provenance="" if disabled else mode)
