"""Where and when a process runs: processors, scheduling, priority at disks, nodes of memory.

Spec: runtime-spec config.md, "Linux Process" (scheduler, ioPriority, execCPUAffinity);
config-linux.md, "Memory policy"
"""

from __future__ import annotations

import errno
import os

from knarr.errors import PermissionDenied
from knarr.linux import scheduling
from knarr.runtime.steps.outside import OutsideStep
from knarr.runtime.steps.room import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.runtime.document import Node
    from knarr.runtime.steps.room import Room

_LAST = 8191  # the greatest number of a processor that kernels are built for


class Scheduling(OutsideStep):
    """A policy with its parameters."""

    __slots__ = ("fields", "flags", "policy")

    def __init__(self, node: Node) -> None:
        """Read `process.scheduler`."""
        self.policy = node.choice("policy", scheduling.POLICIES)
        self.flags = node.texts("flags")
        for flag in self.flags:
            if flag not in scheduling.SCHED_FLAGS:
                node.refuse("flags", f'"{flag}" is no flag of a scheduler')
        most = (1 << 64) - 1
        self.fields = {
            "nice": node.integer("nice") or 0,
            "priority": node.natural("priority"),
            "runtime": node.natural("runtime", limit=most),
            "deadline": node.natural("deadline", limit=most),
            "period": node.natural("period", limit=most),
        }
        if not -20 <= self.fields["nice"] <= 19:
            node.refuse("nice", f"must be from -20 to 19, not {self.fields['nice']}")

    def __str__(self) -> str:
        """Show what is given."""
        words = [self.policy, *self.flags]
        words += [f"{key} {value}" for key, value in self.fields.items() if value]
        return f"scheduler {' '.join(words)}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting the {self}"

    def run(self, pid: int) -> None:
        """Set it; say what the kernel means by EPERM for a deadline."""
        flags = sum(scheduling.SCHED_FLAGS[name] for name in self.flags)
        policy = scheduling.POLICIES[self.policy]
        try:
            scheduling.sched_setattr(pid, policy, flags=flags, **self.fields)
        except PermissionError:
            every = os.sysconf("SC_NPROCESSORS_ONLN")
            if self.policy != "SCHED_DEADLINE" or len(os.sched_getaffinity(pid)) >= every:
                raise
            message = (
                "process scheduler can't be used together with AllowedCPUs:"
                " SCHED_DEADLINE needs all processors"
            )
            raise PermissionDenied(message) from None


class IoPriority(OutsideStep):
    """A class and a priority for getting at disks."""

    __slots__ = ("io_class", "priority")

    def __init__(self, node: Node) -> None:
        """Read `process.ioPriority`."""
        self.io_class = node.choice("class", scheduling.IO_CLASSES)
        self.priority = node.natural("priority", limit=7)

    def __str__(self) -> str:
        """Show both."""
        return f"io priority {self.io_class} {self.priority}"

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting the {self}"

    def run(self, pid: int) -> None:
        """Set it."""
        scheduling.ioprio_set(pid, scheduling.IO_CLASSES[self.io_class], self.priority)


class Processors(OutsideStep):
    """The processors to run on."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        """Run on the processors with these numbers."""
        self.numbers = numbers

    def __str__(self) -> str:
        """Show the set as a mask."""
        return f"affinity: {sum(1 << number for number in self.numbers):#x}"

    def doing(self) -> str:
        """Say what is being done."""
        return "setting the CPU affinity"

    def run(self, pid: int) -> None:
        """Set them."""
        os.sched_setaffinity(pid, self.numbers)


class AllProcessors(OutsideStep):
    """All processors that the cpuset allows, wherever the caller was told to stay."""

    __slots__ = ()

    def __str__(self) -> str:
        """Show it."""
        return "affinity: all processors"

    def run(self, pid: int) -> None:
        """Set them."""
        scheduling.use_all_processors(pid)


class MemoryPolicy(Step):
    """The nodes from which the program gets memory."""

    __slots__ = ("flags", "mode", "nodes")

    def __init__(self, node: Node) -> None:
        """Read `linux.memoryPolicy`."""
        self.mode = node.text("mode")
        if self.mode not in scheduling.MEMORY_MODES:
            node.refuse("mode", f'invalid memory policy mode "{self.mode}"')
        self.flags = node.texts("flags")
        for flag in self.flags:
            if flag not in scheduling.MEMORY_FLAGS:
                node.refuse("flags", f'invalid memory policy flag "{flag}"')
        text = node.text("nodes")
        numbers = parse_list(text, scheduling.MAX_NODES - 1)
        if numbers is None:
            node.refuse("nodes", f'invalid memory policy nodes "{text}"')
        self.nodes = list(numbers)
        if self.mode in ("MPOL_DEFAULT", "MPOL_LOCAL") and self.nodes:
            why = f"{self.mode}: mode requires 0 nodes but got {len(self.nodes)}"
            node.refuse("nodes", why)

    def __str__(self) -> str:
        """Show mode, flags and nodes."""
        nodes = ",".join(map(str, self.nodes))
        return f"memory policy {' '.join((self.mode, *self.flags, nodes))}".rstrip()

    def doing(self) -> str:
        """Say what is being done."""
        return f"setting the {self}"

    def run(self, _: Room) -> None:
        """Set it."""
        mode = scheduling.MEMORY_MODES[self.mode]
        mode |= sum(scheduling.MEMORY_FLAGS[name] for name in self.flags)
        try:
            scheduling.set_mempolicy(mode, self.nodes)
        except OSError as error:
            # A kernel without NUMA has the default policy and no call to set it.
            if error.errno != errno.ENOSYS or self.mode != "MPOL_DEFAULT":
                raise


def parse_list(text: str, last: int) -> Iterable[int] | None:
    """Return the numbers of a list such as `0-3,7`, None if it is none or passes `last`."""
    numbers: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            return None
        first, final = int(low), int(high if dash else low)
        if first > final or final > last:
            return None
        numbers.update(range(first, final + 1))
    return sorted(numbers)


class Affinity:
    """The processors of an exec: `initial` before it joins the cgroups, `final` after."""

    __slots__ = ("final", "initial")

    def __init__(self, node: Node) -> None:
        """Read `process.execCPUAffinity`; without it the caller's own affinity is forgotten."""
        self.initial: list[OutsideStep] = _plan_processors(node, "initial")
        self.final: list[OutsideStep] = _plan_processors(node, "final")
        if not self.initial and not self.final:
            self.initial.append(AllProcessors())


def _plan_processors(node: Node, key: str) -> list[OutsideStep]:
    text = node.text(key)
    numbers = parse_list(text, _LAST)
    if numbers is None:
        node.refuse(key, f'"{text}" is no list of processors')
    found = list(numbers)
    return [Processors(found)] if found else []
