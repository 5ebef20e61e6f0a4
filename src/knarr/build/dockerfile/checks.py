"""Build checks: what is allowed and still unwise, as data.

A rule is a name with a description; a finding is one place where it is broken. `Checks` collects
findings and leaves out what the author switched off: for the file by `# check=skip=A,B;error=true`
at its top, for one instruction by the same comment right above it.
"""

from __future__ import annotations

from knarr.build.dockerfile.lines import parse_directive
from knarr.errors import InvalidArgument
from knarr.util.booleans import find_boolean
from knarr.util.quoting import quote
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.build.dockerfile.nodes import Node

DESCRIPTIONS = {
    "StageNameCasing": "Stage names should be lowercase",
    "FromAsCasing": "The 'as' keyword should match the case of the 'from' keyword",
    "NoEmptyContinuation": "Empty continuation lines will become errors in a future release",
    "ConsistentInstructionCasing": "All commands within the Dockerfile should use the same casing "
    "(either upper or lower)",
    "DuplicateStageName": "Stage names should be unique",
    "ReservedStageName": "Reserved words should not be used as stage names",
    "JSONArgsRecommended": "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended "
    "behavior related to OS signals",
    "MaintainerDeprecated": "The MAINTAINER instruction is deprecated, use a label instead to "
    "define an image author",
    "UndefinedArgInFrom": "FROM command must use declared ARGs",
    "WorkdirRelativePath": "Relative workdir without an absolute workdir declared within the "
    "build can have unexpected results if the base image changes",
    "UndefinedVar": "Variables should be defined before their use",
    "MultipleInstructionsDisallowed": "Multiple instructions of the same type should not be used "
    "in the same stage",
    "LegacyKeyValueFormat": "Legacy key/value format with whitespace separator should not be used",
    "InvalidBaseImagePlatform": "Base image platform does not match expected target platform",
    "RedundantTargetPlatform": "Setting platform to predefined $TARGETPLATFORM in FROM is "
    "redundant as this is the default behavior",
    "SecretsUsedInArgOrEnv": "Sensitive data should not be used in the ARG or ENV commands",
    "InvalidDefaultArgInFrom": "Default value for global ARG results in an empty or invalid base "
    "image name",
    "FromPlatformFlagConstDisallowed": "FROM --platform flag should not use a constant value",
    "CopyIgnoredFile": "Attempting to Copy file that is excluded by .dockerignore",
    "InvalidDefinitionDescription": "Comment for build stage or argument should follow the "
    "format: `# <arg/stage name> <description>`. If this is not intended to be a description "
    "comment, add an empty line or comment between the instruction and the comment.",
    "ExposeProtoCasing": "Protocol in EXPOSE instruction should be lowercase",
    "ExposeInvalidFormat": "IP address and host-port mapping should not be used in EXPOSE "
    "instruction. This will become an error in a future release",
}
"""Rules by name, with what they are about."""

_EXPERIMENTAL = frozenset({"InvalidDefinitionDescription"})


class Finding(Value):
    """One place where a rule is broken; line 0 if it is not in the file."""

    rule: str
    message: str
    first: int
    last: int

    def __str__(self) -> str:
        place = f" (line {self.first})" if self.first else ""
        return f"{self.rule}: {self.message}{place}"


class Switches(Value):
    """Which rules are off, which experimental ones are on, and whether findings are errors."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    as_error: bool = False

    def wants(self, rule: str) -> bool:
        if rule in _EXPERIMENTAL:
            return rule in self.experimental or "all" in self.experimental
        return rule not in self.skip and "all" not in self.skip

    def merged(self, other: Switches) -> Switches:
        """Return these switches with those of `other` turned too."""
        return self.replace(
            skip=self.skip | other.skip, experimental=self.experimental | other.experimental
        )


def parse_switches(text: str) -> Switches:
    """Return what `skip=A,B;error=true;experimental=all` asks for. Raises: InvalidArgument"""
    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    as_error = False
    for part in text.strip().split(";", 2) if text.strip() else ():
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        names = frozenset(name.strip() for name in value.split(","))
        if not equals:
            message = f"failed to parse check options: invalid check option {quote(part)}"
            raise InvalidArgument(message)
        if key == "skip":
            skip = names
        elif key == "experimental":
            experimental = names
        elif key == "error" and (found := find_boolean(value)) is not None:
            as_error = found
        else:
            wrong = part if key == "error" else key
            message = f"failed to parse check options: invalid check option {quote(wrong)}"
            raise InvalidArgument(message)
    return Switches(skip, experimental, as_error)


class Checks:
    """Collects findings, each once, in the order of the file."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._findings: set[Finding] = set()

    def add(self, rule: str, message: str, node: Node, *, line: int = 0) -> None:
        """Note that `node` breaks `rule`, unless somebody switched that off."""
        assert rule in DESCRIPTIONS
        if self._switches.merged(_local(node)).wants(rule):
            self._findings.add(Finding(rule, message, line or node.first, line or node.last))

    def findings(self) -> list[Finding]:
        return sorted(self._findings, key=lambda found: (found.first, found.rule, found.message))

    def raise_if_errors(self) -> None:
        """Raise if the author wants findings to be errors. Raises: InvalidArgument"""
        if self._switches.as_error and self._findings:
            rules = sorted({found.rule for found in self._findings})
            message = f"lint violation found for rules: {', '.join(rules)}"
            raise InvalidArgument(message)


def _local(node: Node) -> Switches:
    """Return the switches in the comments right above an instruction."""
    for comment in node.comments:
        found = parse_directive(comment)
        if found is not None and found[0] == "check":
            try:
                return parse_switches(found[1].split(" ")[0])
            except InvalidArgument:
                break  # a comment like any other
    return Switches()
