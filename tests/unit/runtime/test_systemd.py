"""systemd as the manager of cgroups: names of units, properties, and messages as bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import InvalidArgument, Unsupported
from knarr.linux.cgroup import Hierarchy
from knarr.runtime.resources import Write
from knarr.runtime.systemd import properties, scopes, wire

V2 = Hierarchy(2, ("cpu", "memory"), "/sys/fs/cgroup", "/")


@pytest.mark.parametrize(
    ("path", "unit", "directory"),
    [
        ("", "knarr-c1.scope", "system.slice/knarr-c1.scope"),
        ("machine.slice:pod:x", "pod-x.scope", "machine.slice/pod-x.scope"),
        ("::x", "x.scope", "system.slice/x.scope"),
        ("-.slice:p:x", "p-x.scope", "p-x.scope"),
        ("a-b-c.slice:p:x", "p-x.scope", "a.slice/a-b.slice/a-b-c.slice/p-x.scope"),
    ],
)
def test_a_path_names_a_slice_and_a_unit(path: str, unit: str, directory: str) -> None:
    group = scopes.locate(path, "c1", [V2])
    assert group.unit == unit
    assert [place.directory for place in group.places] == [f"/sys/fs/cgroup/{directory}"]


@pytest.mark.parametrize(
    "path", ["/knarr/x", "a.slice:x", "a:b:c:d", "a.slice:p:", "a.slice:p:x.slice", "a:p:x",
             "a--b.slice:p:x", "-a.slice:p:x", "../a.slice:p:x"]
)  # fmt: skip
def test_what_names_no_unit_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument):
        scopes.locate(path, "c1", [V2])


def test_a_machine_with_v1_is_refused() -> None:
    with pytest.raises(Unsupported, match="cgroup v2 alone"):
        scopes.locate("", "c1", [Hierarchy(1, ("memory",), "/m", "/"), V2])


@pytest.mark.parametrize(
    ("file", "value", "expected"),
    [
        ("memory.max", "4096", [("MemoryMax", ("t", 4096))]),
        ("memory.swap.max", "max", [("MemorySwapMax", ("t", 2**64 - 1))]),
        ("pids.max", "7", [("TasksMax", ("t", 7))]),
        ("cpu.weight", "100", [("CPUWeight", ("t", 100))]),
        ("cpuset.cpus", "0-2,9", [("AllowedCPUs", ("ay", b"\x07\x02"))]),
        (
            "cpu.max",
            "12345 100000",
            [("CPUQuotaPerSecUSec", ("t", 130_000)), ("CPUQuotaPeriodUSec", ("t", 100_000))],
        ),
        (
            "cpu.max",
            "max 50000",
            [("CPUQuotaPerSecUSec", ("t", 2**64 - 1)), ("CPUQuotaPeriodUSec", ("t", 50_000))],
        ),
        ("io.max", "8:0 rbps=1", []),
    ],
)
def test_limits_as_properties(file: str, value: str, expected: list[Any]) -> None:
    assert properties.of_limits([Write(file.partition(".")[0], file, value)]) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CollectMode", "'inactive'", ("CollectMode", ("s", "inactive"))),
        ("TimeoutStopUSec", "uint64 123456789", ("TimeoutStopUSec", ("t", 123456789))),
        ("TimeoutStopSec", "1.5", ("TimeoutStopUSec", ("t", 1_500_000))),
        ("TimeoutStopSec", "uint32 2", ("TimeoutStopUSec", ("t", 2_000_000))),
        ("SendSIGHUP", "true", ("SendSIGHUP", ("b", True))),
        ("CPUWeight", "-3", ("CPUWeight", ("i", -3))),
        ("After", "['a.service', \"b.service\"]", ("After", ("as", ["a.service", "b.service"]))),
    ],
)
def test_annotations_as_properties(name: str, text: str, expected: Any) -> None:
    annotations = {f"org.systemd.property.{name}": text, "other": "text"}
    assert properties.of_annotations(annotations) == [expected]


@pytest.mark.parametrize(
    ("name", "text"),
    [("A", "1"), ("Xy.z", "1"), ("Name", "'a"), ("Name", "2.5"), ("Name", "uint32 -1"),
     ("Name", "byte 256"), ("StopSec", "'1'"), ("Name", "words"), ("Name", "['a', 3]")],
)  # fmt: skip
def test_annotations_that_are_no_properties(name: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match="annotation"):
        properties.of_annotations({f"org.systemd.property.{name}": text})


def test_a_call_as_the_specification_lays_it_out() -> None:
    message = wire.call(1, {wire.PATH: "/a", wire.MEMBER: "M"}, "u", [5])
    assert message == (
        b"l\1\0\1" + b"\4\0\0\0" + b"\1\0\0\0" + b"\x27\0\0\0"
        b"\1\1o\0\2\0\0\0/a\0\0\0\0\0\0"
        b"\3\1s\0\1\0\0\0M\0\0\0\0\0\0\0"
        b"\x08\1g\0\1u\0\0"
        b"\5\0\0\0"
    )
    assert wire.size_of(message[:16]) == len(message)


def test_types_are_parted() -> None:
    assert wire.split("ssa(sv)a(sa(sv))aayu") == ["s", "s", "a(sv)", "a(sa(sv))", "aay", "u"]


@given(st.lists(st.tuples(st.text("ab/ü", max_size=9), st.integers(0, 2**64 - 1))), st.text("xy"))
def test_what_is_put_is_taken_again(pairs: list[tuple[str, int]], text: str) -> None:
    values = [text, [(name, ("t", number)) for name, number in pairs], True]
    fields = {wire.PATH: f"/{text}", wire.MEMBER: "M"}
    message = wire.Message(wire.call(7, fields, "sa(sv)b", values))
    assert message.kind == wire.CALL
    assert message.fields == {**fields, wire.SIGNATURE: "sa(sv)b"}
    assert message.values == [text, [[name, number] for name, number in pairs], 1]
