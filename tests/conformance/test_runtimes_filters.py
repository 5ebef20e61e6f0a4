"""Seccomp filters on every runtime that is here: every action, every operator."""

from __future__ import annotations

from typing import Any

import pytest

from support.runtimes import Bundle, Runtime

pytestmark = pytest.mark.root


def filtered(action: str, **fields: Any) -> dict[str, Any]:
    """Return a filter that does `action` when a directory is made."""
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": action, **fields}],
    }


@pytest.mark.parametrize(
    ("action", "fields", "said"),
    [
        ("SCMP_ACT_ALLOW", {}, "made"),
        ("SCMP_ACT_LOG", {}, "made"),
        ("SCMP_ACT_ERRNO", {}, "Operation not permitted"),
        ("SCMP_ACT_ERRNO", {"errnoRet": 28}, "No space left on device"),
        ("SCMP_ACT_TRACE", {}, "Function not implemented"),
        ("SCMP_ACT_TRAP", {}, "status 159"),
        ("SCMP_ACT_KILL", {}, "status 159"),
        ("SCMP_ACT_KILL_THREAD", {}, "status 159"),
        ("SCMP_ACT_KILL_PROCESS", {}, "status 159"),
    ],
)
def test_actions_of_filters(
    runtime: Runtime, bundle: Bundle, action: str, fields: dict[str, Any], said: str
) -> None:
    bundle.spec["linux"]["seccomp"] = filtered(action, **fields)
    script = "mkdir /tmp/x 2>&1 && echo made || echo status $?"
    assert said in runtime.output(bundle.command(script))


@pytest.mark.parametrize(
    ("operator", "value", "second", "refused"),
    [
        # On the mode of a directory, of which the script makes 0700, 0705 and 0707.
        ("SCMP_CMP_EQ", 0o705, 0, {"705"}),
        ("SCMP_CMP_NE", 0o705, 0, {"700", "707"}),
        ("SCMP_CMP_LT", 0o705, 0, {"700"}),
        ("SCMP_CMP_LE", 0o705, 0, {"700", "705"}),
        ("SCMP_CMP_GE", 0o705, 0, {"705", "707"}),
        ("SCMP_CMP_GT", 0o705, 0, {"707"}),
        ("SCMP_CMP_MASKED_EQ", 0o005, 0o005, {"705", "707"}),
    ],
)
def test_operators_of_filters(
    runtime: Runtime, bundle: Bundle, operator: str, value: int, second: int, refused: set[str]
) -> None:
    condition = {"op": operator, "value": value, "valueTwo": second}
    bundle.spec["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": [name], "action": "SCMP_ACT_ERRNO", "args": [{**condition, "index": index}]}
            for name, index in (("chmod", 1), ("fchmodat", 2))
        ],
    }
    script = "touch /x; for m in 700 705 707; do chmod $m /x 2>/dev/null || echo $m; done"
    assert set(runtime.output(bundle.command(script)).split()) == refused
