"""A small process that runs commands one after the other and takes their time.

It reads a JSON document a line, `{"argv": […], "directory": …}`, and answers with
`{"status": …, "seconds": …, "cpu": …, "errors": …}`. It is a process of its own so that it can live
in another mount namespace than the benchmark, and so that starting a command costs the same
whatever the benchmark has in memory.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def take(argv: list[str], directory: str, errors_fd: int) -> dict[str, object]:
    """Run `argv` in `directory` and return how it went."""
    os.ftruncate(errors_fd, 0)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, errors_fd, 2),
    ]
    began = time.perf_counter()
    try:
        os.chdir(directory)
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    except OSError as error:
        return {"status": -1, "seconds": 0.0, "cpu": 0.0, "errors": str(error)}
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    return {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "errors": os.pread(errors_fd, 2000, 0).decode(errors="replace"),
    }


def main() -> None:
    # The benchmark hears it too, and says when to end; what is timed has not to inherit this.
    signal.signal(signal.SIGINT, lambda *_: None)
    errors_fd = os.memfd_create("errors")
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(take(task["argv"], task["directory"], errors_fd)), flush=True)


if __name__ == "__main__":
    main()
