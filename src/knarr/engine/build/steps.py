"""The directory of a build under way, and what recovery needs to know of its steps.

    <root>/builds/<build>/<step>/     upper, work, hosts, …: gone when the step has ended
    <root>/builds/<build>/context     an archive from standard input, unpacked
    <root>/builds/contexts/           what is remembered of the files of contexts
    <run>/builds/<key>                a claim: the lock on the work of a cache key

A build has a journal entry of the kind `build` from its begin to its end. Its detail names the
steps under way with their processes, before these do anything: so whoever finds the entry of a
build that was killed can end what is left of it.
"""

from __future__ import annotations

import os

from knarr.engine.build.workplace import Workplace
from knarr.linux.process import start_time
from knarr.linux.tree import remove_path
from knarr.runtime import cgroups, members
from knarr.store.journal import EVERYTHING
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from knarr.engine.engine import Engine
    from knarr.engine.options.values import Resources
    from knarr.engine.paths import Paths

KIND = "build"


def control_group(paths: Paths, build_id: str, parent: str = "") -> str:
    """Return the control group below which those of a build's steps are.

    `parent` is one that the user chose.
    """
    return f"/{parent.strip('/') or paths.realm}/{build_id}"


class Limits(Value):
    """What a step may use; `shm_size` is 0 for what every container has."""

    resources: Resources
    shm_size: int = 0


class Steps(Workplace):
    """A build under way, for a `with` statement; `limits` are those of each of its steps."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        # Everything is spared from collection: what a build comes to need is not known before.
        super().__init__(engine, KIND, needs=(EVERYTHING,))
        self.limits = limits
        self._paths = engine.paths
        self._running: dict[str, list[int]] = {}
        self._ran = False

    def begin(self, step_id: str) -> str:
        """Make the directory of a step and return it."""
        directory = f"{self.directory}/{step_id[:12]}"
        os.mkdir(directory, 0o700)
        self._running[step_id] = []
        self._note()
        return directory

    def note(self, step_id: str, pid: int) -> None:
        """Write down which process a step is, before it is let go."""
        self._running[step_id] = [pid, start_time(pid)]
        self._note()

    def end(self, step_id: str) -> None:
        """Remove the directory of a step."""
        remove_path(f"{self.directory}/{step_id[:12]}")
        self._running.pop(step_id, None)
        self._note()

    def cgroup(self, step_id: str) -> str:
        """Return the control group of a step, which is about to be made."""
        self._ran = True
        return f"{self._group}/{step_id[:12]}"

    @property
    def _group(self) -> str:
        parent = self.limits.resources.cgroup_parent if self.limits else ""
        return control_group(self._paths, self.id, parent)

    def _note(self) -> None:
        self._operation.note(jsontext.dumps({"group": self._group, "steps": self._running}))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the build: its control group goes, its directory and its journal entry."""
        if self._ran:
            members.delete(cgroups.locate(self._group, self.id))
        super().__exit__(kind, error, trace)
