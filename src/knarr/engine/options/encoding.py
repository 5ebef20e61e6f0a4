"""Options in the database: JSON objects with the fields' own names, defaults left out.

Leaving defaults out keeps records small and lets a later version add fields.
"""

from __future__ import annotations

from knarr.engine.options import values
from knarr.errors import Corrupt
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.options.values import Options

_CLASSES = {name: item for name, item in vars(values).items() if isinstance(item, type)}


def encode(options: Options) -> str:
    """Return `options` as they are kept in the database."""
    return jsontext.dumps(_plain(options))


def decode(text: str) -> Options:
    """Return the options kept as `text`.

    Raises: Corrupt
    """
    try:
        decoded: Options = _build(values.Options, jsontext.loads(text))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        message = f"options of a container cannot be read: {error}"
        raise Corrupt(message) from error
    return decoded


def _plain(item: object) -> object:
    if isinstance(item, Value):
        kind = type(item)
        return {
            field: _plain(getattr(item, field))
            for field in kind._fields
            if getattr(item, field) != kind._defaults.get(field)  # noqa: SLF001
        }
    if isinstance(item, (tuple, list)):
        return [_plain(each) for each in item]
    return item


def _build(kind: type, document: dict[str, Any]) -> Any:
    annotations = kind.__annotations__
    return kind(**{field: _field(annotations[field], item) for field, item in document.items()})


def _field(annotation: str, item: Any) -> Any:
    """Return `item` as `annotation` says: a value of ours, a tuple of them, or as it is."""
    name = annotation.removeprefix("tuple[").split(",")[0].split(" ")[0]
    kind = _healthcheck() if name == "Healthcheck" and item else _CLASSES.get(name)
    if isinstance(item, list):
        return tuple(_build(kind, each) if kind else each for each in item)
    return _build(kind, item) if kind and isinstance(item, dict) else item


def _healthcheck() -> type:
    from knarr.oci.config import Healthcheck  # noqa: PLC0415 - few containers have one

    return Healthcheck
