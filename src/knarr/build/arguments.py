"""Build arguments: those above the first FROM, those of the platform, and the predefined ones.

A name above the first FROM is known to FROM lines only, until a stage declares it again. The
platform's names (`TARGETARCH`) are like that, with values of our own. Proxy settings need no
declaration at all: they reach commands, but neither history nor cache.
"""

from __future__ import annotations

from knarr.build.dockerfile.words import Lexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from knarr.build.dockerfile.document import Source
    from knarr.build.dockerfile.instructions import Arg
    from knarr.oci.descriptor import Platform

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")

_INTERNAL = (
    "BUILDKIT_BUILD_NAME",
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "BUILDKIT_DOCKERFILE_CHECK",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM",
    "BUILDKIT_SANDBOX_HOSTNAME",
    "BUILDKIT_SBOM_SCAN_CONTEXT",
    "BUILDKIT_SBOM_SCAN_STAGE",
    "BUILDKIT_SYNTAX",
    "SOURCE_DATE_EPOCH",
)


def platform_arguments(
    build: Platform, target: Platform, stage: str, given: Mapping[str, str]
) -> dict[str, str]:
    """Return the arguments that describe where is built, for what, and which stage."""
    values = {"TARGETSTAGE": stage or "default"}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}OSVERSION"] = platform.os_version
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    return {name: given.get(name, value) for name, value in values.items()}


def global_arguments(
    declared: Iterable[Arg],
    platform: Mapping[str, str],
    given: Mapping[str, str],
    *,
    lexer: Lexer,
    source: Source,
) -> dict[str, str]:
    """Return the values of the arguments above the first FROM, after those of the platform.

    Raises: SyntaxFault
    """
    values = dict(platform)
    for instruction in declared:
        with source.locating(instruction.node, parsing=False):
            for argument in instruction.arguments:
                if argument.name in given:
                    values[argument.name] = given[argument.name]
                elif argument.default is not None:
                    values[argument.name] = lexer.expand(argument.default, values).text
    return values


def proxy_environment(given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the proxy settings among the build arguments, in both spellings of their names."""
    entries = []
    for name in sorted(given):
        if name.upper() in PROXIES:
            entries += [f"{name.upper()}={given[name]}", f"{name.lower()}={given[name]}"]
    return tuple(entries)


def unused(given: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Return the build arguments that nobody declared and that mean nothing by themselves."""
    known = {*declared, *_INTERNAL}
    return sorted(name for name in given if name not in known and name.upper() not in PROXIES)
