"""knarr: a container engine without a daemon.

    import knarr

    engine = knarr.Engine()
    container = engine.containers.run("busybox", ["echo", "hello"])

The names below are loaded when first used, so that importing knarr costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.engine import Engine
    from knarr.errors import KnarrError

__version__ = "0.1.0"
__all__ = ["Engine", "KnarrError", "__version__"]

_homes = {"Engine": "knarr.engine.engine", "KnarrError": "knarr.errors"}


def __getattr__(name: str) -> object:
    """Load a public name from its home.

    Raises: AttributeError
    """
    home = _homes.get(name)
    if home is None:
        message = f"module 'knarr' has no attribute {name!r}"
        raise AttributeError(message)
    import importlib  # noqa: PLC0415 - the point of this function

    return getattr(importlib.import_module(home), name)
