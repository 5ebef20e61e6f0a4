"""Hooks: programs that a spec wants run at moments of a container's life.

    prestart, createRuntime   by the parent, when namespaces and mounts are there, before the pivot
    createContainer           by init, in its namespaces, where host files are still to be seen
    startContainer            by init, just before the program
    poststart                 by the parent, when the program runs
    poststop                  by who deletes the container

Each gets the container's state on its stdin. One that fails, by its status or by taking longer
than its timeout, stops what is going on; only after the end (`poststop`) failures are collected
instead.

Spec: runtime-spec config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle"
"""

from __future__ import annotations

import os
import select

from knarr.errors import Failed
from knarr.runtime.failures import reason
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from knarr.runtime.document import Node
else:
    import _signal

_MOST_PRINTED = 4096  # bytes of a hook's output that an error shows

MOMENTS = (
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
)  # fmt: skip


class Hook:
    """One program to run."""

    __slots__ = ("arguments", "environment", "moment", "number", "path", "timeout")

    def __init__(self, moment: str, node: Node, number: int = 0) -> None:
        """Read a hook of the spec, the `number`th of its moment."""
        self.moment = moment
        self.number = number
        self.path = node.required("path")
        if not self.path.startswith("/"):
            node.refuse("path", f'"{self.path}" is not an absolute path')
        self.arguments = node.texts("args") or [self.path]
        self.environment = node.texts("env") if "env" in node else None
        self.timeout = node.integer("timeout")
        if self.timeout is not None and self.timeout <= 0:
            node.refuse("timeout", f"must be greater than 0, not {self.timeout}")

    def __str__(self) -> str:
        """Show the hook as a line of a plan."""
        return f"hook {self.moment} {' '.join(self.arguments)}"

    def run(self, state: Mapping[str, Any], environment: Sequence[str] = ()) -> None:
        """Run it with `state` on its stdin, and wait for it.

        `environment` is for hooks without one of their own. What it prints is kept, to be part of
        the error if it fails.

        Raises: Failed
        """
        output = os.memfd_create("hook")
        try:
            pid = self._spawn(state, environment, output)
            how = self._wait(pid)
            if how:
                printed = os.pread(output, _MOST_PRINTED, 0).decode(errors="replace").strip()
                self._fail(f"{how}: {printed}" if printed else how)
        finally:
            os.close(output)

    def _spawn(self, state: Mapping[str, Any], environment: Sequence[str], output: int) -> int:
        entries = environment if self.environment is None else self.environment
        variables = dict(entry.partition("=")[::2] for entry in entries if "=" in entry)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, source, to) for to, source in enumerate((reading, output))]
        actions.append((os.POSIX_SPAWN_DUP2, output, 2))
        try:
            pid = os.posix_spawn(self.path, self.arguments, variables, file_actions=actions)
            self._tell(writing, state)
        except OSError as error:
            self._fail(reason(error))
        finally:
            os.close(reading)
            os.close(writing)
        return pid

    def _fail(self, why: str) -> NoReturn:
        message = f"error running {self.moment} hook #{self.number}: {self.path} {why}"
        raise Failed(message)

    @staticmethod
    def _tell(writing: int, state: Mapping[str, Any]) -> None:
        """Write the state into the pipe, which is bigger than any; a hook need not read it."""
        os.set_blocking(writing, False)
        try:
            os.write(writing, jsontext.dumps(state).encode())
        except BrokenPipeError:
            pass

    def _wait(self, pid: int) -> str:
        """Return how it failed, nothing if it did not."""
        if self.timeout is not None:
            pidfd = os.pidfd_open(pid)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            ended = poll.poll(self.timeout * 1000)
            os.close(pidfd)
            if not ended:
                os.kill(pid, _signal.SIGKILL)
                os.waitpid(pid, 0)
                return f"took longer than its timeout of {self.timeout} s"
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status < 0:
            return f"was killed: {(_signal.strsignal(-status) or str(-status)).lower()}"
        return f"exited with status {status}" if status else ""


def plan_hooks(node: Node) -> dict[str, list[Hook]]:
    """Return the hooks of a spec by moment.

    Raises: InvalidArgument
    """
    return {
        moment: [Hook(moment, entry, number) for number, entry in enumerate(node.nodes(moment))]
        for moment in MOMENTS
    }
