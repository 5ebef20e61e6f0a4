"""Every folder below `golden` is a Dockerfile with what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.build.dockerfile.document import Source
from knarr.build.dockerfile.excerpt import excerpt
from knarr.build.dockerfile.lines import decode
from knarr.build.dockerfile.program import parse_dockerfile
from knarr.errors import SyntaxFault
from support.dockerfiles import describe

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[2] / "golden"
RIGHT = sorted((GOLDEN / "dockerfile").iterdir())
WRONG = sorted((GOLDEN / "dockerfile-negative").iterdir())


@pytest.mark.parametrize("case", RIGHT, ids=lambda path: path.name)
def test_right(case: Path, golden: Callable[[Path, str], None]) -> None:
    program = parse_dockerfile((case / "Dockerfile").read_bytes())
    golden(case / "result", describe(program))


@pytest.mark.parametrize("case", WRONG, ids=lambda path: path.name)
def test_wrong(case: Path, golden: Callable[[Path, str], None]) -> None:
    data = (case / "Dockerfile").read_bytes()
    with pytest.raises(SyntaxFault) as caught:
        parse_dockerfile(data)
    fault = caught.value
    source = Source("Dockerfile", tuple(decode(data).splitlines()))
    hint = f"{fault.hint}\n" if fault.hint else ""
    shown = excerpt(source, fault.line, caret=(fault.line, fault.column))
    golden(case / "error", f"{shown}{fault}\n{hint}")


def test_line_as_long_as_can_be() -> None:
    head = b"FROM busybox\nLABEL a="
    longest = head + b"x" * (65535 - len("LABEL a="))
    parse_dockerfile(longest + b"\n")
    with pytest.raises(SyntaxFault, match="line greater than max allowed size of 65535") as caught:
        parse_dockerfile(longest + b"x\n")
    assert caught.value.line == 2


def test_empty_file() -> None:
    with pytest.raises(SyntaxFault, match="the Dockerfile cannot be empty"):
        parse_dockerfile(b"")
