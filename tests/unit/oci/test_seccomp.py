"""Docker's profile, and what capabilities, architecture and kernel make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knarr.errors import Corrupt, InvalidArgument
from knarr.oci import seccomp


def allowed(profile: Any) -> set[str]:
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }


def rules(profile: Any, name: str) -> list[Any]:
    return [rule for rule in profile["syscalls"] if name in rule["names"]]


def test_the_default_for_a_plain_container() -> None:
    profile = seccomp.seccomp_for(["CAP_CHOWN"], "amd64")
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == 1
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    found = allowed(profile)
    assert {"read", "openat2", "ptrace", "arch_prctl", "modify_ldt"} <= found
    assert not {"mount", "bpf", "chroot", "keyctl", "io_uring_setup", "reboot"} & found
    assert len(found) > 350


def test_clone_makes_no_namespace_without_the_capability() -> None:
    plain = seccomp.seccomp_for([], "amd64")
    assert rules(plain, "clone") == [
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}],
        }
    ]
    # glibc falls back to clone(2) only for ENOSYS.
    assert rules(plain, "clone3") == [
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    ]
    assert {"clone", "clone3", "mount"} <= allowed(seccomp.seccomp_for(["CAP_SYS_ADMIN"], "amd64"))


@pytest.mark.parametrize(
    ("capability", "call"),
    [("CAP_SYS_CHROOT", "chroot"), ("CAP_SYS_BOOT", "reboot"), ("CAP_SYSLOG", "syslog"),
     ("CAP_BPF", "bpf"), ("CAP_SYS_PTRACE", "kcmp"), ("CAP_SYS_TIME", "clock_settime"),
     ("CAP_SYS_NICE", "mbind"), ("CAP_DAC_READ_SEARCH", "open_by_handle_at")],
)  # fmt: skip
def test_capabilities_open_calls(capability: str, call: str) -> None:
    assert call not in allowed(seccomp.seccomp_for([], "amd64"))
    assert call in allowed(seccomp.seccomp_for([capability], "amd64"))


def test_architectures() -> None:
    assert seccomp.seccomp_for([], "arm64")["architectures"] == [
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
    ]
    assert "set_tls" in allowed(seccomp.seccomp_for([], "arm64"))
    assert "modify_ldt" not in allowed(seccomp.seccomp_for([], "arm64"))
    assert rules(seccomp.seccomp_for([], "s390x"), "clone")[0]["args"][0]["index"] == 1
    assert "architectures" not in seccomp.seccomp_for([], "ppc64le")


def test_kernel_versions() -> None:
    assert "ptrace" not in allowed(seccomp.seccomp_for([], "amd64", (4, 7)))
    assert "ptrace" in allowed(seccomp.seccomp_for([], "amd64", (4, 8)))
    assert "ptrace" in allowed(seccomp.seccomp_for([], "amd64", (10, 1)))


PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"name": "mkdir", "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
        {"names": ["a"], "action": "SCMP_ACT_KILL", "excludes": {"minKernel": "6.1"}},
        {"names": ["b"], "action": "SCMP_ACT_KILL", "includes": {"caps": ["X", "Y"]}},
        {
            "names": ["c"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": 2**64 - 1, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}],
        },
    ],
}


def test_a_profile_of_the_user() -> None:
    profile = seccomp.decode_profile(json.dumps(PROFILE).encode())
    assert profile
    assert seccomp.resolve(profile, ["X"], "amd64", (6, 1)) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
            {"names": ["c"], "action": "SCMP_ACT_ERRNO", "args": PROFILE["syscalls"][3]["args"]},
        ],
    }


def test_an_empty_profile_confines_nothing() -> None:
    assert seccomp.decode_profile(b"{}") is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"architectures": ["SCMP_ARCH_X86"]}, InvalidArgument),
        ({"syscalls": [{"name": "a", "names": ["b"]}]}, InvalidArgument),
        ({"syscalls": [{"names": ["b"], "includes": {"minKernel": "x"}}]}, Corrupt),
        ({"syscalls": [{"names": ["b"], "args": [{"value": 2**64}]}]}, Corrupt),
        ({"syscalls": "x"}, Corrupt),
    ],
)
def test_broken_profiles(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        seccomp.decode_profile(json.dumps({**PROFILE, **change}).encode())
