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
    from collections.abc import Mapping
    from typing import Any

    from knarr.runtime.document import Node
else:
    import _signal

MOMENTS = (
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
)  # fmt: skip


class Hook:
    """One program to run."""

    __slots__ = ("arguments", "environment", "moment", "path", "timeout")

    def __init__(self, moment: str, node: Node) -> None:
        """Read a hook of the spec."""
        self.moment = moment
        self.path = node.required("path")
        if not self.path.startswith("/"):
            node.refuse("path", f'"{self.path}" is not an absolute path')
        self.arguments = node.texts("args") or [self.path]
        self.environment = dict(
            entry.partition("=")[::2] for entry in node.texts("env") if "=" in entry
        )
        self.timeout = node.integer("timeout")
        if self.timeout is not None and self.timeout <= 0:
            node.refuse("timeout", f"must be greater than 0, not {self.timeout}")

    def __str__(self) -> str:
        """Show the hook as a line of a plan."""
        return f"hook {self.moment} {' '.join(self.arguments)}"

    def run(self, state: Mapping[str, Any]) -> None:
        """Run it with `state` on its stdin, and wait for it.

        Raises: Failed
        """
        what = f"{self.moment} hook {self.path}"
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, reading, 0)]
            try:
                pid = os.posix_spawn(
                    self.path, self.arguments, self.environment, file_actions=actions
                )
            except OSError as error:
                message = f"{what}: {reason(error)}"
                raise Failed(message) from error
            os.close(reading)
            reading = -1
            self._tell(writing, state)
        finally:
            for descriptor in (reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)
        self._wait(pid, what)

    @staticmethod
    def _tell(writing: int, state: Mapping[str, Any]) -> None:
        """Write the state into the pipe, which is bigger than any; a hook need not read it."""
        os.set_blocking(writing, False)
        try:
            os.write(writing, jsontext.dumps(state).encode())
        except BrokenPipeError:
            pass

    def _wait(self, pid: int, what: str) -> None:
        if self.timeout is not None:
            pidfd = os.pidfd_open(pid)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            ended = poll.poll(self.timeout * 1000)
            os.close(pidfd)
            if not ended:
                os.kill(pid, _signal.SIGKILL)
                os.waitpid(pid, 0)
                message = f"{what} took longer than its timeout of {self.timeout} s"
                raise Failed(message)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            how = (
                f"exited with status {status}" if status > 0 else f"was killed by signal {-status}"
            )
            message = f"{what} {how}"
            raise Failed(message)


def plan_hooks(node: Node) -> dict[str, list[Hook]]:
    """Return the hooks of a spec by moment.

    Raises: InvalidArgument
    """
    return {moment: [Hook(moment, entry) for entry in node.nodes(moment)] for moment in MOMENTS}
