"""`build --check` and `--call`: what a Dockerfile says of itself, with nothing built."""

from __future__ import annotations

import base64
import json

import pytest

from support.workshop import Workshop

pytestmark = pytest.mark.root

FAULTY = """\
FROM busybox as base
RUN false
CMD echo hi
"""
OFFERING = """\
ARG GO=busybox
ARG UNUSED=1
# base has the tools
FROM ${GO} AS base
RUN --mount=type=secret,id=password,required false
FROM busybox AS aside
ARG ASIDE
FROM base
# EXTRA is what else is made
ARG EXTRA=docs
RUN false
"""


def call(shop: Workshop, dockerfile: str, *words: str, status: int = 0) -> str:
    shop.write("Dockerfile", dockerfile)
    built = shop.try_build(*words)
    assert built.status == status, built.output
    assert shop.knarr("images", "-q", "made") == ""
    return built.stdout


def test_check_tells_what_is_unwise_and_fails(shop: Workshop) -> None:
    said = call(shop, FAULTY, "--check", status=1)
    assert said.startswith(
        "Check complete, 2 warnings have been found!\n\nWARNING: FromAsCasing - "
    )
    assert "/rule/json-args-recommended/\nJSON arguments recommended for CMD" in said
    assert "   3 | >>> CMD echo hi\n" in said
    assert call(shop, FAULTY, "--call", "check,ignorestatus=true") == said
    assert call(shop, FAULTY.replace(" as ", " AS ").replace("CMD", "# "), "--check") == (
        "Check complete, no warnings found.\n"
    )


def test_check_gives_what_other_programs_read(shop: Workshop) -> None:
    found = json.loads(call(shop, FAULTY, "--call=check,format=json", status=1))
    first = found["warnings"][0]
    assert first["ruleName"] == "FromAsCasing"
    place = {"start": {"line": 1}, "end": {"line": 1}}
    assert first["location"] == {"ranges": [place]}
    assert base64.b64decode(found["sources"][0]["data"]).decode() == FAULTY


def test_check_of_what_cannot_be_read_shows_where(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM busybox\nFORM x")
    built = shop.try_build("--check")
    assert built.status == 1
    assert "unknown instruction: FORM" in built.output
    assert ">>> FORM x" in built.output


def test_check_looks_at_every_stage_unless_one_is_the_target(shop: Workshop) -> None:
    dockerfile = "FROM scratch AS a\nENV one value\nFROM scratch AS b\nENV other value\n"
    found = json.loads(call(shop, dockerfile, "--call=check,format=json", status=1))
    assert [each["location"]["ranges"][0]["start"]["line"] for each in found["warnings"]] == [2, 4]
    found = json.loads(call(shop, dockerfile, "--call=check,format=json", "--target=b", status=1))
    assert [each["location"]["ranges"][0]["start"]["line"] for each in found["warnings"]] == [4]


def test_check_tells_what_it_found_before_what_fails(shop: Workshop) -> None:
    dockerfile = "FROM scratch AS Upper\nENV key value\nCOPY --from=$it a b\n"
    found = json.loads(call(shop, dockerfile, "--call=check,format=json", status=1))
    assert {each["ruleName"] for each in found["warnings"]} >= {"StageNameCasing"}
    assert "variable expansion is not supported" in found["buildError"]["message"]
    assert found["buildError"]["location"]["ranges"][0]["start"]["line"] == 3
    said = call(shop, dockerfile, "--check", status=1)
    assert said.index("StageNameCasing") < said.index("ERROR: ")
    assert "   3 | >>> COPY --from=$it a b\n" in said


def test_findings_that_are_errors_are_why_there_is_no_build(shop: Workshop) -> None:
    dockerfile = "# check=error=true\nFROM scratch as a\nENV one value\n"
    found = json.loads(call(shop, dockerfile, "--call=check,format=json", status=1))
    rules = "FromAsCasing, LegacyKeyValueFormat"
    assert found["buildError"]["message"] == f"lint violation found for rules: {rules}"


def test_a_build_that_fails_warns_first(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM scratch AS Upper\nCOPY --from=$it a b\n")
    built = shop.try_build()
    assert built.status == 1
    warned = built.output.index("Stage name 'Upper' should be lowercase")
    assert warned < built.output.index("variable expansion is not supported")


@pytest.mark.parametrize(
    ("ignored", "source", "found"),
    [
        ("*", ".", "."),
        ("**", "./", "."),
        (".*", ".", ""),
        ("left", ".", ""),
        ("left", "/left", "left"),
        ("*\n!left", ".", ""),
    ],
)
def test_check_knows_what_is_ignored(shop: Workshop, ignored: str, source: str, found: str) -> None:
    shop.write("left", "x")
    shop.write(".dockerignore", f"{ignored}\n")
    dockerfile = f"FROM scratch\nCOPY {source} /to/\n"
    said = call(shop, dockerfile, "--call=check,format=json,ignorestatus=true")
    told = [each["detail"] for each in json.loads(said)["warnings"]]
    warning = f'Attempting to Copy file "{found}" that is excluded by .dockerignore'
    assert told == ([warning] if found else [])


def test_outline_lists_what_the_target_takes(shop: Workshop) -> None:
    said = call(shop, OFFERING, "--call=outline", "--build-arg", "EXTRA=all")
    assert said.splitlines() == [
        "BUILD ARG  VALUE    DESCRIPTION",
        "GO         busybox",
        "EXTRA      all      is what else is made",
        "",
        "SECRET    REQUIRED",
        "password  true",
        "",
    ]
    found = json.loads(call(shop, OFFERING, "--call=outline,format=json", "--target", "base"))
    assert (found["name"], found["description"]) == ("base", "has the tools")
    assert [each["name"] for each in found["args"]] == ["GO"]


def test_targets_lists_stages(shop: Workshop) -> None:
    said = call(shop, OFFERING, "--call", "targets")
    assert said.splitlines() == [
        "TARGET       DESCRIPTION",
        "base         has the tools",
        "aside",
        "(default)",
    ]
    found = json.loads(call(shop, OFFERING, "--call", "targets,format=json"))
    assert [each.get("default", False) for each in found["targets"]] == [False, False, True]


def test_a_call_that_nobody_knows_is_refused(shop: Workshop) -> None:
    shop.write("Dockerfile", FAULTY)
    built = shop.try_build("--call", "guess")
    assert built.status != 0
    assert "It is one of build, check, outline, targets." in built.output
