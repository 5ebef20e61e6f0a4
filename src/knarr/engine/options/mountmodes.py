"""What stands behind the second colon of `-v`: the words of a mode.

Docker: volume/mounts of moby; Podman's are `idmap`, `O` with `upperdir=` and `workdir=`, and `U`
"""

from __future__ import annotations

from knarr.engine.options.idmaps import check_idmap
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
# The words by their sort. SELinux labels are taken, and without effect where there is no SELinux;
# the consistency words are Docker Desktop's, without effect on Linux.
_MODES = {
    "access": frozenset(("ro", "readonly", "rw")),
    "propagation": PROPAGATIONS,
    "users": frozenset(("idmap",)),
    "copying": frozenset(("nocopy",)),
    "label": frozenset(("z", "Z")),
    "consistency": frozenset(("consistent", "cached", "delegated", "default")),
    "overlay": frozenset(("O",)),
    "owner": frozenset(("U",)),
}
_KEYS = {"idmap": "users", "upperdir": "upper", "workdir": "work"}


def parse_mode(mode: str, text: str, *, bind: bool) -> dict[str, Any]:
    """Return the fields that the words of `mode` ask for, one of each sort at most.

    Raises: InvalidArgument
    """
    fields: dict[str, Any] = {}
    sorts = []
    for word in mode.split(",") if mode else ():
        sort = _sort(word)
        if not sort or sort in sorts:
            message = f"invalid mode: {mode}"
            raise InvalidArgument(message)
        sorts.append(sort)
        fields |= _fields(word, sort)
    if ("upper" in sorts) != ("work" in sorts) or ("upper" in sorts and "overlay" not in sorts):
        message = f"invalid mode: {mode}"
        raise InvalidArgument(message, hint="upperdir= and workdir= go together, with O.")
    wrong = "copying" if bind else "propagation"
    if wrong in sorts:
        kind, field = ("bind", "VolumeOptions") if bind else ("volume", "BindOptions")
        message = (
            f"invalid volume specification: '{text}': invalid mount config for type \"{kind}\": "
            f"field {field} must not be specified"
        )
        raise InvalidArgument(message)
    return fields


def _sort(word: str) -> str:
    key, equals, value = word.partition("=")
    if equals:
        return _KEYS.get(key, "") if value else ""
    return next((sort for sort, words in _MODES.items() if word in words), "")


def _fields(word: str, sort: str) -> dict[str, Any]:
    value = word.partition("=")[2]
    if sort == "users":
        return {"mapped": True, "idmap": check_idmap(value)}
    if sort == "access":
        return {"readonly": True} if word != "rw" else {}
    name, text = _FIELDS.get(sort, ("", ""))
    if not name:
        return {}
    return {name: {"word": word, "value": value}.get(text, True)}


# The field of a sort, and what it is: the word, what is behind its `=`, or true.
_FIELDS = {
    "propagation": ("propagation", "word"),
    "upper": ("upper_dir", "value"),
    "work": ("work_dir", "value"),
    "copying": ("nocopy", ""),
    "overlay": ("overlay", ""),
    "owner": ("chown", ""),
}
