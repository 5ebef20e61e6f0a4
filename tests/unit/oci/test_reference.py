"""References are read as Docker reads them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr.errors import InvalidArgument
from knarr.oci.digest import Digest
from knarr.oci.reference import Reference, parse_reference

SHA = "sha256:" + "ab" * 32

# The grammar as distribution/reference has it, to compare the parser with.
COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
GRAMMAR = re.compile(
    rf"((?:{HOST}(?:\.{HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?)/"
    rf"({COMPONENT}(?:/{COMPONENT})*)"
    r"(?::([a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?"
    r"(?:@(sha256:[a-f0-9]{64}))?"
)


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:bookworm", "docker.io/library/debian:bookworm", "debian:bookworm"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("me/app", "docker.io/me/app", "me/app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("ghcr.io/a/b__c/d-e---f.g_h", "ghcr.io/a/b__c/d-e---f.g_h", "ghcr.io/a/b__c/d-e---f.g_h"),
        ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app"),
        ("[::1]/app", None, None),
        ("Host/app", "Host/app", "Host/app"),
        (f"app@{SHA}", f"docker.io/library/app@{SHA}", f"app@{SHA}"),
        (f"app:1@{SHA}", f"docker.io/library/app:1@{SHA}", f"app:1@{SHA}"),
        ("a:" + "x" * 128, "docker.io/library/a:" + "x" * 128, "a:" + "x" * 128),
        ("app:_.-", "docker.io/library/app:_.-", "app:_.-"),
    ],
)
def test_normalising(text: str, full: str | None, familiar: str | None) -> None:
    if full is None or familiar is None:
        full = familiar = text
    reference = parse_reference(text)
    assert str(reference) == full
    assert reference.familiar() == familiar
    assert parse_reference(familiar) == parse_reference(full) == reference


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "invalid reference format", "at least one component"),
        (":tag", "invalid reference format", "at least one component"),
        ("a b", "invalid reference format", "no spaces"),
        ("https://docker.io/a", "invalid reference format", "without https"),
        ("a:" + "x" * 129, "invalid reference format", "128 characters"),
        ("a:.x", "invalid reference format", "repository"),
        ("a:", "invalid reference format", "repository"),
        ("a@", "invalid reference format", "digest"),
        ("a@x", "invalid reference format", "digest"),
        ("a___b", "invalid reference format", ""),
        ("a..b", "invalid reference format", ""),
        ("a_.b", "invalid reference format", ""),
        ("-a", "invalid reference format", ""),
        ("a-", "invalid reference format", ""),
        ("a//b", "invalid reference format", ""),
        ("/a", "invalid reference format", ""),
        ("a/", "invalid reference format", ""),
        ("é", "invalid reference format", ""),
        ("a:1:2", "invalid reference format", ""),
        ("-host.io/a", "invalid reference format", ""),
        ("host.io:x/a", "invalid reference format", ""),
        ("ho_st.io/a", "invalid reference format", ""),
        ("a\n", "invalid reference format", ""),
        ("Debian", "repository name (library/Debian) must be lowercase", ""),
        ("ghcr.io/Me/app", "repository name (Me/app) must be lowercase", ""),
        ("ab" * 32, "cannot specify 64-byte hexadecimal strings", ""),
        ("a" * 248, "must not be more than 255 characters", ""),
        ("a@md5:" + "0" * 32, "unsupported digest algorithm", ""),
        ("a@" + SHA[:-1], "invalid checksum digest length", ""),
        ("a@" + SHA.replace("ab", "AB"), "invalid checksum digest format", ""),
    ],
)
def test_refusals(text: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_reference(text)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_default_tag() -> None:
    assert parse_reference("debian").with_default_tag().familiar() == "debian:latest"
    assert parse_reference("debian:1").with_default_tag().tag == "1"
    assert parse_reference(f"debian@{SHA}").with_default_tag().tag is None


@settings(max_examples=30)
@given(st.from_regex(GRAMMAR, fullmatch=True))
def test_everything_of_the_grammar_is_read(text: str) -> None:
    match = GRAMMAR.fullmatch(text)
    assert match
    registry, repository, tag, digest = match.groups()
    explicit = "." in registry or ":" in registry or registry.lower() != registry
    if not (explicit or registry == "localhost") or "docker.io" in registry:
        return
    if len(repository) > 255:
        return
    assert parse_reference(text) == Reference(
        registry, repository, tag, Digest(digest) if digest else None
    )


@given(st.text("ab-._:/@[]A1 é", max_size=20))
def test_nothing_else_is(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidArgument:
        return
    assert GRAMMAR.fullmatch(str(reference))
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar()) == reference
