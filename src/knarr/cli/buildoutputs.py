"""`build --output`: from the command line to outputs, and the metadata of what was built.

Docker: `-o DIR` is type=local, `-o -` is type=tar to standard output
"""

from __future__ import annotations

import os

from knarr.engine.build.export.outputs import DOCKER, IMAGE, LOCAL, OCI, TAR, Output
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from knarr.cli.command import Context
    from knarr.engine.build.export.outputs import Built
    from knarr.util.compression import Writer

_KINDS = (LOCAL, TAR, OCI, DOCKER, IMAGE)
_KEYS = ("type", "dest", "name", "tar")
_STDOUT = "-"


def parse_outputs(context: Context, texts: list[str], *, load: bool = False) -> tuple[Output, ...]:
    """Read each `type=TYPE[,dest=PATH][,name=NAME][,tar=BOOL]`, or a path.

    With `load` the store is one of the outputs, which it is without any, too.

    Raises: InvalidArgument
    """
    outputs = tuple(_parse(context, text) for text in texts)
    if sum(_fields(text).get("dest") == _STDOUT for text in texts) > 1:
        message = "only one output can go to standard output"
        raise InvalidArgument(message)
    return (*outputs, Output()) if outputs and load else outputs


def _fields(text: str) -> dict[str, str]:
    """Return what a text says, with its destination for archives that have none."""
    if "=" not in text and "," not in text:
        kind = TAR if text == _STDOUT else LOCAL
        return {"type": kind, "dest": text}
    fields = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = key.strip().lower()
        if not equals:
            message = f"invalid value {part}"
            raise InvalidArgument(message, hint="An output is type=TYPE,dest=PATH, or a path.")
        fields[key] = value
    unknown = sorted(fields.keys() - set(_KEYS))
    if unknown:
        message = f"invalid output {text}: there is no {unknown[0]}"
        raise InvalidArgument(message, hint=f"It takes {', '.join(_KEYS)}.")
    if fields.get("type") in (TAR, OCI):
        fields["dest"] = fields.get("dest") or _STDOUT
    return fields


def _parse(context: Context, text: str) -> Output:
    from knarr.engine.images import parse_tag  # noqa: PLC0415 - for builds alone

    fields = _fields(text)
    kind, dest = fields.get("type", ""), fields.get("dest", "")
    if not kind:
        message = f"type is required for output {text}"
        raise InvalidArgument(message)
    if kind not in _KINDS:
        message = f"unknown output type {kind}"
        raise InvalidArgument(message, hint=f"It is one of {', '.join(_KINDS)}.")
    names = tuple(parse_tag(name) for name in fields.get("name", "").split(",") if name)
    as_directory = kind == LOCAL or fields.get("tar", "true") in ("0", "f", "false", "False")
    if kind == IMAGE or (kind == DOCKER and not dest):
        if dest:
            message = f"output {kind} has no destination"
            raise InvalidArgument(message, hint="The image goes to the local store.")
        return Output(kind, names=names)
    if as_directory:
        return _to_directory(kind, dest).replace(names=names)
    _check_file(context, kind, dest)
    return Output(kind, open=lambda: _open(context, dest), names=names)


def _to_directory(kind: str, dest: str) -> Output:
    if kind not in (LOCAL, OCI):
        message = f"output {kind} is an archive: tar=false is for oci"
        raise InvalidArgument(message)
    if dest in ("", _STDOUT):
        message = f"dest is required for {kind} output"
        raise InvalidArgument(message)
    if os.path.lexists(dest) and not os.path.isdir(dest):
        message = f"destination {dest} is not a directory"
        raise InvalidArgument(message)
    return Output(kind, os.path.abspath(dest))


def _check_file(context: Context, kind: str, dest: str) -> None:
    if dest == _STDOUT and context.interactive:
        message = f"dest file is required for {kind} output: refusing to write to a terminal"
        raise InvalidArgument(message)
    if os.path.isdir(dest):
        message = f"destination {dest} is a directory"
        raise InvalidArgument(message)


def _open(context: Context, dest: str) -> AbstractContextManager[Writer]:
    from knarr.cli.streams import Output as File  # noqa: PLC0415 - when there is a result

    return File(context, dest)


def write_metadata(path: str, built: Built) -> None:
    """Write what buildx writes of an image."""
    import json  # noqa: PLC0415 - for who asks for it

    from knarr.util.files import write_atomically  # noqa: PLC0415 - as above

    about: dict[str, object] = {}
    if built.image_id:
        about["containerimage.config.digest"] = built.image_id
        about["containerimage.descriptor"] = dict(built.manifest)
        about["containerimage.digest"] = built.manifest["digest"]
        if built.names:
            about["image.name"] = ",".join(built.names)
    write_atomically(path, f"{json.dumps(about, indent=2)}\n".encode())
