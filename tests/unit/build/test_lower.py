"""From a Dockerfile to the graph of its work, and to what the image says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from knarr.build.arguments import proxy_environment
from knarr.build.dockerfile.checks import Checks, Switches
from knarr.build.dockerfile.program import parse_dockerfile
from knarr.build.lower import Demand, Lowered, Lowering
from knarr.errors import NotFound, SyntaxFault
from knarr.oci.config import RunConfig
from knarr.oci.document import FrozenDict
from support.graphs import describe
from support.worker import LINUX, FakeWorker

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = sorted((Path(__file__).parents[2] / "golden" / "lower").iterdir())


def worker() -> FakeWorker:
    made = FakeWorker()
    made.add_image("busybox")
    config = RunConfig(
        env=("PATH=/bin", "VERSION=base"),
        cmd=("sh",),
        working_dir="/srv",
        user="app",
        labels=FrozenDict({"base": "yes"}),
        on_build=("COPY . /src", "RUN make $VERSION"),
        exposed_ports=("80/tcp",),
    )
    made.add_image("framework", config)
    return made


def lower(text: str, checks: Checks | None = None, **demand: Any) -> Lowered:
    program = parse_dockerfile(text.encode())
    wanted = Demand(LINUX, **demand)
    checks = checks or Checks(Switches())
    return Lowering(program, wanted, worker=worker(), checks=checks).lower()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_golden(case: Path, golden: Callable[[Path, str], None]) -> None:
    checks = Checks(Switches())
    text = (case / "Dockerfile").read_text()
    golden(case / "graph", describe(lower(text, checks), checks))


def history(text: str, **demand: Any) -> list[str]:
    return [line.created_by for line in lower(text, **demand).history]


def test_stages_that_nobody_needs_are_not_looked_at() -> None:
    text = "FROM nowhere AS unused\nRUN x\nFROM busybox\nRUN y"
    assert history(text) == ["RUN /bin/sh -c y # buildkit"]


def test_target_ends_the_build_early() -> None:
    text = "FROM busybox AS one\nRUN 1\nFROM one AS two\nRUN 2\nFROM nowhere"
    assert history(text, target="Two")[-1] == "RUN /bin/sh -c 2 # buildkit"
    with pytest.raises(SyntaxFault, match="did you mean two"):
        lower(text, target="tow")


def test_build_arguments_beat_defaults_and_reach_only_stages_that_declare_them() -> None:
    text = "ARG V=1\nFROM busybox\nRUN a\nARG V\nRUN b\nARG W=x$V\nRUN c"
    assert history(text, arguments={"V": "2"}) == [
        "RUN /bin/sh -c a # buildkit",
        "ARG V=2",
        "RUN |1 V=2 /bin/sh -c b # buildkit",
        "ARG W=x2",
        "RUN |2 V=2 W=x2 /bin/sh -c c # buildkit",
    ]


def test_argument_enters_the_graph_at_first_use() -> None:
    text = "FROM busybox\nRUN a\nARG V\nRUN b"
    one, two = (lower(text, arguments={"V": value}).vertex for value in "12")
    assert one.digest != two.digest
    assert one.inputs[0].digest == two.inputs[0].digest


def test_proxies_reach_commands_but_neither_history_nor_environment() -> None:
    given = {"http_proxy": "http://p"}
    assert proxy_environment(given) == ("HTTP_PROXY=http://p", "http_proxy=http://p")
    found = lower("FROM busybox\nRUN a", arguments=given)
    assert found.history[0].created_by == "RUN /bin/sh -c a # buildkit"
    assert found.unused == ()


def test_unused_build_arguments_are_named() -> None:
    given = {"TYPO": "1", "SOURCE_DATE_EPOCH": "7", "USED": "1"}
    found = lower("FROM busybox\nARG USED", arguments=given)
    assert found.unused == ("TYPO",)
    assert found.epoch == 7


def test_no_time_is_after_the_epoch_that_is_asked_for() -> None:
    text = "ARG SOURCE_DATE_EPOCH=7\nFROM busybox\nARG SOURCE_DATE_EPOCH\nRUN x"
    assert lower(text).latest != 7
    found = lower(text, clamped=True)
    assert (found.epoch, found.latest) == (7, 7)
    assert "SOURCE_DATE_EPOCH=7" in found.history[-1].created_by


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("FROM busybox AS src\nADD https://a/b /", "stage must use FROM scratch"),
        ("FROM scratch AS src\nADD https://a/b /\nADD https://a/c /", "exactly one remote ADD"),
        (
            "FROM scratch AS src\nADD https://a/b /\nWORKDIR /x",
            "does not meet source-only requirements",
        ),
    ],
)
def test_a_stage_that_says_the_epoch_is_a_source_alone(stage: str, message: str) -> None:
    with pytest.raises(SyntaxFault, match=message) as caught:
        lower(f"{stage}\nFROM busybox", arguments={"SOURCE_DATE_EPOCH": "src"})
    assert caught.value.line == 1


def test_labels_of_the_command_line_come_last() -> None:
    found = lower("FROM busybox\nLABEL a=1 b=1", labels={"b": "2"})
    assert found.config.labels == {"a": "1", "b": "2"}


def test_platform_arguments() -> None:
    text = "FROM busybox\nARG TARGETARCH TARGETSTAGE BUILDOS\nRUN x"
    assert history(text)[-1].startswith("RUN |3 TARGETARCH=amd64 TARGETSTAGE=default BUILDOS=linux")


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("FROM $X", "base name ($X) should not be blank", (1, 6)),
        ("FROM --platform=$X busybox", "empty platform value from expression $X", (1, 6)),
        ("FROM --platform=a/b/c/d busybox", "failed to parse platform a/b/c/d", (1, 6)),
        ("ARG A=${B:?given}\nFROM busybox", "B: given", (1, 7)),
        ("FROM busybox AS a\nCOPY --from=a x y", "circular dependency detected on stage", (2, 6)),
        ("FROM busybox\nCOPY --from=7 x y", "invalid stage index 7", (2, 6)),
        ("FROM busybox\nARG S\nCOPY --from=$S x y", "variable expansion is not supported", (3, 6)),
        ("FROM busybox\nSTOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE", (2, 12)),
        ("FROM busybox\nEXPOSE 80/foo", 'invalid port: "80/foo": invalid proto: foo', (2, 8)),
        ("FROM busybox\nCOPY --chmod=999 a b", "invalid chmod parameter: '999'", (2, 6)),
        ("FROM busybox\nCOPY https://a/b c", "source can't be a URL for COPY", (2, 6)),
        ("FROM busybox\nADD --checksum=sha256:1 a b", "checksum requires HTTP(S) or Git", (2, 5)),
        ("FROM busybox\nRUN []", "RUN requires a command", (2, 1)),
        ('FROM busybox\nENV A="x', "matching double-quote", (2, 7)),
        ("ARG SOURCE_DATE_EPOCH=soon\nFROM busybox", "invalid SOURCE_DATE_EPOCH: soon", (0, 0)),
    ],
)  # fmt: skip
def test_faults_have_their_place(text: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(SyntaxFault) as caught:
        lower(text)
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == place


def test_stages_are_copied_from_only_when_they_stand_above() -> None:
    text = "FROM busybox AS a\nCOPY --from=b x y\nFROM busybox AS b"
    with pytest.raises(SyntaxFault) as caught:
        lower(text, target="a")
    assert str(caught.value) == (
        'cannot copy from stage "b", it needs to be defined before current stage "a"'
    )


def test_missing_base_image_leaves_the_place_where_it_is_named() -> None:
    program = parse_dockerfile(b"\nFROM nowhere\nRUN x")
    lowering = Lowering(program, Demand(LINUX), worker=worker(), checks=Checks(Switches()))
    with pytest.raises(NotFound, match="no such image: nowhere"):
        lowering.lower()
    assert lowering.at is not None
    assert lowering.at.first == 2


def test_trigger_that_is_wrong_is_shown_at_its_from() -> None:
    made = worker()
    made.add_image("broken", RunConfig(on_build=("RNU x",)))
    program = parse_dockerfile(b"\nFROM broken")
    with pytest.raises(SyntaxFault, match="unknown instruction: RNU") as caught:
        Lowering(program, Demand(LINUX), worker=made, checks=Checks(Switches())).lower()
    assert caught.value.line == 2
