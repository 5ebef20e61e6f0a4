"""`--gpus` as people write it: `all`, `2`, `device=0`, `"device=0,1",driver=nvidia`.

Docker: opts/gpus.go of its command line
"""

from __future__ import annotations

from knarr.engine.options.csvline import split_csv
from knarr.engine.options.values import GpuRequest
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_gpus(text: str) -> GpuRequest:
    """Return what one `--gpus` asks for.

    Raises: InvalidArgument
    """
    fields: dict[str, Any] = {}
    seen = set()
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key, value = (key, value) if equals else ("count", field)
        if key in seen:
            message = f"gpu request key '{key}' can be specified only once"
            raise InvalidArgument(message)
        seen.add(key)
        if key == "count":
            fields["count"] = _count(value)
        elif key == "device":
            fields["names"] = tuple(value.split(","))
        elif key == "driver":
            fields["driver"] = value
        elif key == "capabilities":
            fields["capabilities"] = tuple(dict.fromkeys((*value.split(","), "gpu")))
        elif key == "options":
            pairs = (option.partition("=") for option in value.split(","))
            fields["driver_options"] = {name: setting for name, _, setting in pairs}
        else:
            message = f"unexpected key '{key}' in '{field}'"
            raise InvalidArgument(message)
    if not fields.get("count") and not fields.get("names"):
        fields["count"] = 1
    return GpuRequest(**fields)


def _count(text: str) -> int:
    if text == "all":
        return -1
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        message = (
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        )
        raise InvalidArgument(message)
    return int(text)
