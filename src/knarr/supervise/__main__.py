"""Where a supervisor begins. Run as a script by `control.spawn`, so that nothing else is loaded.

The process that the engine started forks and ends at once: the supervisor is nobody's child whom
anybody would have to wait for. That comes before the imports, when a fork copies least. A command
that ends before its supervisor, or at the same time, needs no such care, and saves the fork.
"""

from __future__ import annotations

import gc
import os
import sys

gc.disable()  # what is loaded now stays: looking for garbage in it costs 1.2 ms
if sys.argv[1:] != ["child"] and os.fork():
    os._exit(0)
os.setsid()
os.chdir("/")
os.closerange(4, 1 << 20)
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from knarr.supervise import boot  # noqa: E402 - nothing to find it by before

boot.main()
