"""What FROM lines name: their variables, the platform they ask for, and what is unwise about it."""

from __future__ import annotations

from knarr.build.arguments import global_arguments
from knarr.build.dockerfile.fault import Fault
from knarr.errors import InvalidArgument, SyntaxFault
from knarr.oci.descriptor import Platform, parse_platform
from knarr.oci.reference import parse_reference
from knarr.util.quoting import quote
from knarr.util.suggest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.build.dockerfile.checks import Checks
    from knarr.build.dockerfile.instructions import From
    from knarr.build.dockerfile.program import Program
    from knarr.build.dockerfile.words import Expansion, Lexer
    from knarr.build.worker import Base


class Froms:
    """The FROM lines of one program, read with the arguments above the first of them."""

    def __init__(
        self, program: Program, lexer: Lexer, arguments: Mapping[str, str], checks: Checks
    ) -> None:
        self._program = program
        self._lexer = lexer
        self._arguments = arguments
        self._checks = checks
        self._known = {
            argument.name for declared in program.arguments for argument in declared.arguments
        }

    def resolve(self, head: From) -> tuple[str, Platform | None]:
        """Return the image or stage that a FROM names, and the platform if it wants one.

        Raises: Fault
        """
        base = self._expand(head, head.base)
        if not base.text:
            message = f"base name ({head.base}) should not be blank"
            raise Fault(message, word=head.base)
        if not head.platform:
            return base.text, None
        platform = self._expand(head, head.platform)
        if not platform.text:
            missing = next(iter(sorted(platform.missing)), "")
            suggestion = did_you_mean(missing, self._arguments) if missing else ""
            message = f"empty platform value from expression {head.platform}{suggestion}"
            raise Fault(message, word="--platform")
        try:
            parsed = parse_platform(platform.text)
        except InvalidArgument as error:
            message = f"failed to parse platform {head.platform}: {error}"
            raise Fault(message, word="--platform", hint=error.hint) from None
        self._check_platform_flag(head, platform, parsed)
        return base.text, parsed

    def _expand(self, head: From, text: str) -> Expansion:
        expansion = self._lexer.expand(text, self._arguments)
        for name in sorted(expansion.missing - self._known):
            known = self._known | self._arguments.keys()
            message = f"FROM argument '{name}' is not declared{did_you_mean(name, known)}"
            self._checks.add("UndefinedArgInFrom", message, head.node)
        return expansion

    def _check_platform_flag(self, head: From, platform: Expansion, parsed: Platform) -> None:
        if not platform.used and not platform.missing:
            if parsed.os not in head.stage and parsed.architecture not in head.stage:
                message = (
                    f"FROM --platform flag should not use constant value {quote(platform.text)}"
                )
                self._checks.add("FromPlatformFlagConstDisallowed", message, head.node)
        elif (
            platform.used == {"TARGETPLATFORM"}
            and not platform.missing
            and platform.text == self._arguments["TARGETPLATFORM"]
        ):
            message = (
                f"Setting platform to predefined {head.platform} in FROM is redundant as this is "
                "the default behavior"
            )
            self._checks.add("RedundantTargetPlatform", message, head.node)

    def check_defaults(self, platform: Mapping[str, str]) -> None:
        """Look whether FROM lines make sense without any build argument."""
        source = self._program.document.source
        try:
            defaults = global_arguments(
                self._program.arguments, platform, {}, lexer=self._lexer, source=source
            )
        except SyntaxFault:
            return  # a value that must be given has no default to look at
        for stage in self._program.stages:
            try:
                parse_reference(self._lexer.expand(stage.head.base, defaults).text)
            except Fault:
                continue
            except InvalidArgument:
                message = (
                    f"Default value for ARG {stage.head.base} results in empty or invalid base "
                    "image name"
                )
                self._checks.add("InvalidDefaultArgInFrom", message, stage.head.node)

    def check_platform(self, head: From, name: str, base: Base, wanted: Platform) -> None:
        """Look whether the image that was found is for the platform it was wanted for."""
        actual = base.config.platform
        if (actual.os, actual.architecture) != (wanted.os, wanted.architecture):
            message = (
                f"Base image {name} was pulled with platform {quote(str(actual))}, "
                f"expected {quote(str(wanted))} for current build"
            )
            self._checks.add("InvalidBaseImagePlatform", message, head.node)
