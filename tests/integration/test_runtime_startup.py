"""What the runtime loads to run a container: no more than it needs, and nothing dear."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.runtimes import SOURCE
from support.startup import dear, rooms

if TYPE_CHECKING:
    from support.runtimes import Bundle, Runtime

pytestmark = pytest.mark.root

CODE = f"""
import os, sys
sys.path.insert(0, {SOURCE!r})
leave = os._exit
def tell(status):
    if os.getpid() == own:
        os.write(2, ("MODULES " + " ".join(sys.modules)).encode())
    leave(status)
own, os._exit = os.getpid(), tell
from knarr.runtime.main import main
main()
"""


def test_run_loads_little(runtime: Runtime, bundle: Bundle) -> None:
    words = ["--root", str(runtime.root), "run", "--bundle", str(bundle.write()), runtime.new_id()]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CODE, *words],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    modules = set(done.stderr.partition("MODULES ")[2].split())
    assert "knarr.runtime.create" in modules
    assert dear(modules) == []
    assert rooms(modules) == {"errors", "linux", "runtime", "util"}
    # Filters, hooks and programs for devices are loaded by those who have them.
    unused = {"knarr.runtime.hooks", "knarr.linux.bpf", "knarr.runtime.filtering.compiler"}
    assert not modules & unused
    assert len([module for module in modules if module.startswith("knarr.")]) < 56
