from __future__ import annotations

import os
import subprocess
import sys

import pytest

POINT = "from knarr.util.trace import trace; trace('a.b:c'); print('passed')"


@pytest.mark.parametrize(
    ("actions", "status", "output"),
    [
        ("", 0, "passed\n"),
        ("a.b:other=kill", 0, "passed\n"),
        ("x=stop,a.b:c=kill", -9, ""),
        ("a.b:c=enospc", 1, ""),
    ],
)
def test_a_point_acts_only_when_asked(actions: str, status: int, output: str) -> None:
    environment = {**os.environ, "KNARR_TRACE": actions}
    command = [sys.executable, "-c", POINT]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (status, output)
