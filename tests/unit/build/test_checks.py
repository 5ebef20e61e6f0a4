from __future__ import annotations

import pytest

from knarr.build.dockerfile.checks import DESCRIPTIONS, Checks, Switches, parse_switches
from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.linting import check_program, check_stage
from knarr.build.dockerfile.ports import Port, parse_port
from knarr.build.dockerfile.program import parse_dockerfile
from knarr.errors import InvalidArgument


def findings(text: str, switches: Switches | None = None) -> list[str]:
    program = parse_dockerfile(text.encode())
    checks = Checks(switches or parse_switches(program.document.directive("check")))
    check_program(program, checks)
    for stage in program.stages:
        check_stage(stage, checks)
    return [str(found) for found in checks.findings()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nRUN x", ""),
        ("FROM a AS Big", "StageNameCasing: Stage name 'Big' should be lowercase (line 1)"),
        ("FROM a as b", "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"),
        ("FROM a\nRUN x \\\n\n y", "NoEmptyContinuation: Empty continuation line (line 4)"),
        (
            "FROM a\nrun x\nRUN y",
            (
                "ConsistentInstructionCasing: Command 'run' should match the case of the command "
                "majority (uppercase) (line 2)"
            ),
        ),
        (
            "FROM a AS b\nFROM c AS b",
            'DuplicateStageName: Duplicate stage name "b", stage names should be unique (line 2)',
        ),
        (
            "FROM a AS scratch",
            (
                "ReservedStageName: Stage name should not use the same name as reserved stage "
                '"scratch" (line 1)'
            ),
        ),
        (
            "FROM a\nMAINTAINER me",
            (
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using "
                "label (line 2)"
            ),
        ),
        (
            "FROM a\nCMD x\nCMD y",
            (
                "MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in "
                "the same stage because only the last one will be used (line 2)"
            ),
        ),
        (
            "FROM a\nENV k v",
            (
                'LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy '
                '"ENV key value" format (line 2)'
            ),
        ),
        (
            "FROM a\nARG API_TOKEN TOKEN_FILE",
            (
                "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
                '(ARG "API_TOKEN") (line 2)'
            ),
        ),
        ("FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER me", ""),
        ("# check=skip=all\nFROM a AS Big", ""),
        (
            "# check=experimental=all\n# other\nFROM a AS b",
            (
                "InvalidDefinitionDescription: Comment for FROM should follow the format: "
                "`# b <description>` (line 3)"
            ),
        ),
    ],
)
def test_rules(text: str, expected: str) -> None:
    assert "\n".join(findings(text)) == expected


def test_findings_can_be_errors() -> None:
    checks = Checks(parse_switches("error=true; skip=FromAsCasing"))
    checks.raise_if_errors()
    check_program(parse_dockerfile(b"FROM a AS Big\nFROM b AS Big"), checks)
    with pytest.raises(InvalidArgument, match="rules: DuplicateStageName, StageNameCasing"):
        checks.raise_if_errors()


@pytest.mark.parametrize("text", ["skip", "what=ever", "error=maybe"])
def test_switches_that_make_no_sense(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid check option"):
        parse_switches(text)


def test_there_are_as_many_rules_as_buildkit_has() -> None:
    assert len(DESCRIPTIONS) == 22


@pytest.mark.parametrize(
    ("word", "port"),
    [
        ("80", Port(("80/tcp",))),
        ("53/UDP", Port(("53/udp",), odd_case=True)),
        ("8000-8002", Port(("8000/tcp", "8001/tcp", "8002/tcp"))),
        ("127.0.0.1:1:2", Port(("2/tcp",), has_host_part=True)),
        ("[::1]:1:2", Port(("2/tcp",), has_host_part=True)),
    ],
)
def test_ports(word: str, port: Port) -> None:
    assert parse_port(word) == port


@pytest.mark.parametrize("word", ["x", "80/foo", "70000", "9-8", "a:1:2", "1-2:5-8", "/tcp", "1:"])
def test_ports_that_make_no_sense(word: str) -> None:
    with pytest.raises(Fault, match="invalid"):
        parse_port(word)
