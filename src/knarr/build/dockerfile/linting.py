"""The rules that need nothing but the text of the Dockerfile."""

from __future__ import annotations

from knarr.build.dockerfile.instructions import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Healthcheck,
    Label,
    Maintainer,
)
from knarr.util.quoting import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.build.dockerfile.checks import Checks
    from knarr.build.dockerfile.instructions import Instruction, Stage
    from knarr.build.dockerfile.nodes import Node
    from knarr.build.dockerfile.program import Program

_SECRETS = frozenset(
    ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret",
     "token")
)  # fmt: skip
_HARMLESS = frozenset(("public", "file", "version"))
_ONCE = (Cmd, Entrypoint, Healthcheck)


def check_program(program: Program, checks: Checks) -> None:
    """Look at what concerns the whole file."""
    for line in program.document.empty_continuations:
        node = next(node for node in program.document.nodes if node.last >= line)
        checks.add("NoEmptyContinuation", "Empty continuation line", node, line=line)
    _check_casing(program, checks)
    seen: set[str] = set()
    for stage in program.stages:
        _check_stage_name(stage, seen, checks)
    for argument in program.arguments:
        _check_description("ARG", [each.name for each in argument.arguments], argument, checks)


def check_stage(stage: Stage, checks: Checks) -> None:
    """Look at the instructions of a stage that is being built."""
    last: dict[type, Instruction] = {}
    for instruction in stage.instructions:
        if isinstance(instruction, Maintainer):
            message = "Maintainer instruction is deprecated in favor of using label"
            checks.add("MaintainerDeprecated", message, instruction.node)
        elif isinstance(instruction, Arg):
            names = [argument.name for argument in instruction.arguments]
            _check_description("ARG", names, instruction, checks)
            _check_secrets("ARG", names, instruction, checks)
        elif isinstance(instruction, Env | Label):
            _check_pairs(instruction, checks)
        elif isinstance(instruction, _ONCE):
            earlier = last.get(type(instruction))
            if earlier is not None:
                message = (
                    f"Multiple {instruction.node.name} instructions should not be used in the "
                    "same stage because only the last one will be used"
                )
                checks.add("MultipleInstructionsDisallowed", message, earlier.node)
            last[type(instruction)] = instruction


def _check_pairs(instruction: Env | Label, checks: Checks) -> None:
    name = instruction.node.name
    if any(pair.legacy for pair in instruction.pairs):
        message = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
        checks.add("LegacyKeyValueFormat", message, instruction.node)
    if isinstance(instruction, Env):
        _check_secrets("ENV", [pair.key for pair in instruction.pairs], instruction, checks)


def _check_secrets(
    keyword: str, names: list[str], instruction: Instruction, checks: Checks
) -> None:
    for name in names:
        words = frozenset(name.lower().split("_"))
        if words & _SECRETS and not words & _HARMLESS:
            message = (
                f"Do not use ARG or ENV instructions for sensitive data ({keyword} {quote(name)})"
            )
            checks.add("SecretsUsedInArgOrEnv", message, instruction.node)


def _check_stage_name(stage: Stage, seen: set[str], checks: Checks) -> None:
    node, name = stage.head.node, stage.head.stage
    if not name:
        return
    keyword, written = node.words[1], node.words[2]
    if written != name:
        message = f"Stage name '{written}' should be lowercase"
        checks.add("StageNameCasing", message, node)
    cased = keyword.lower() if node.name == node.name.lower() else keyword.upper()
    if node.name in (node.name.lower(), node.name.upper()) and keyword != cased:
        message = f"'{keyword}' and '{node.name}' keywords' casing do not match"
        checks.add("FromAsCasing", message, node)
    if name in ("context", "scratch"):
        message = f"Stage name should not use the same name as reserved stage {quote(name)}"
        checks.add("ReservedStageName", message, node)
    if name in seen:
        message = f"Duplicate stage name {quote(name)}, stage names should be unique"
        checks.add("DuplicateStageName", message, node)
    seen.add(name)
    _check_description("FROM", [name], stage.head, checks)


def _check_description(
    keyword: str, names: list[str], instruction: Instruction, checks: Checks
) -> None:
    comments = instruction.node.comments
    if not comments or comments[-1].split(" ")[0] in names:
        return
    wanted = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {keyword} should follow the format: `# {wanted} <description>`"
    checks.add("InvalidDefinitionDescription", message, instruction.node)


def _check_casing(program: Program, checks: Checks) -> None:
    nodes: list[Node] = []
    for stage in program.stages:
        nodes += [stage.head.node, *(each.node for each in stage.instructions)]
    lower = sum(node.name == node.name.lower() for node in nodes)
    upper = sum(node.name == node.name.upper() for node in nodes)
    mostly_lower = lower > upper
    majority = "lowercase" if mostly_lower else "uppercase"
    for node in nodes:
        if node.name != (node.name.lower() if mostly_lower else node.name.upper()):
            message = (
                f"Command '{node.name}' should match the case of the command majority ({majority})"
            )
            checks.add("ConsistentInstructionCasing", message, node)
