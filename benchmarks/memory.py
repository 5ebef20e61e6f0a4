"""What the process that looks after a container keeps in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.engines import IMAGE
from benchmarks.rows import QUIET

if TYPE_CHECKING:
    from benchmarks.engines import Engine


def helper_memory(engine: Engine) -> int:
    """Return the proportional set size of the parent of a container's process, in kB."""
    engine.call("run", "-d", *QUIET, "--name", "memory", IMAGE, "sleep", "600")
    try:
        pid = engine.call("inspect", "--format", "{{.State.Pid}}", "memory")
        status = Path(f"/proc/{pid}/stat").read_text()
        parent = status.rpartition(")")[2].split()[1]
        lines = Path(f"/proc/{parent}/smaps_rollup").read_text().splitlines()
    finally:
        engine.call("rm", "-f", "memory")
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
