"""A registry on loopback, for what is measured to be pulled from and pushed to."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = "127.0.0.1:5907"
CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "{address}"}}
"""


@contextlib.contextmanager
def serving(work: Path) -> Iterator[str]:
    """Run Debian's `docker-registry` with its files below `work`; yield its address."""
    config = work / "registry.yml"
    config.write_text(CONFIG.format(directory=work / "registry", address=ADDRESS))
    command = ["docker-registry", "serve", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait()
            yield ADDRESS
        finally:
            process.terminate()


def _wait() -> None:
    host, _, port = ADDRESS.partition(":")
    for _ in range(100):
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        time.sleep(0.1)
    message = "the registry does not answer"
    raise RuntimeError(message)
