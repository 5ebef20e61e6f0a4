"""`build --output`: from the command line to outputs, and the metadata of what was built.

Docker: `-o DIR` is type=local, `-o -` is type=tar to standard output, type=registry an image that
is pushed
"""

from __future__ import annotations

import os

from knarr.engine.build.export.outputs import DOCKER, IMAGE, LOCAL, OCI, TAR, Output
from knarr.engine.build.words.attestations import PREFIX, parse_prefix
from knarr.engine.build.words.fields import parse_fields, parse_flag
from knarr.engine.build.words.packaging import PACKAGING, read_packaging
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from knarr.cli.command import Context
    from knarr.engine.build.export.outputs import Built
    from knarr.util.compression import Writer

_REGISTRY = "registry"
_KINDS = (LOCAL, TAR, OCI, DOCKER, IMAGE, _REGISTRY)
_PLACING = {
    LOCAL: ("dest", "platform-split", PREFIX),
    TAR: ("dest", "platform-split", PREFIX),
    OCI: ("dest", "name", "tar", *PACKAGING),
    DOCKER: ("dest", "name", "tar", *PACKAGING),
    IMAGE: ("name", "push", "push-by-digest", "store", "unpack", *PACKAGING),
}
_REWRITE = "rewrite-timestamp"
_STDOUT = "-"


def parse_outputs(
    context: Context,
    texts: list[str],
    *,
    load: bool = False,
    push: bool = False,
    annotations: Iterable[str] = (),
) -> tuple[Output, ...]:
    """Read each `type=TYPE[,KEY=VALUE…]`, or a path.

    With `load` the store is one of the outputs, which it is without any, too; with `push` the
    registry, unless an image among the outputs can go there. All images get the `annotations`.

    Raises: InvalidArgument
    """
    noted = _annotations(annotations)
    if noted and not texts:
        texts = [f"type={IMAGE}"]
    outputs = [_parse(context, text, noted) for text in texts]
    if sum(_fields(text).get("dest") == _STDOUT for text in texts) > 1:
        message = "only one output can go to standard output"
        raise InvalidArgument(message)
    if push:
        images = [each for each in outputs if each.kind == IMAGE]
        if images:
            outputs = [each.replace(push=each.push or each in images) for each in outputs]
        else:
            outputs.append(Output(push=True))
    if outputs and load and not any(each.is_store for each in outputs):
        outputs.append(Output())
    return tuple(outputs)


def _fields(text: str) -> dict[str, str]:
    """Return what a text says, with its destination for archives that have none."""
    if "=" not in text and "," not in text:
        kind = TAR if text == _STDOUT else LOCAL
        return {"type": kind, "dest": text}
    fields = parse_fields(text)
    if fields.get("type") in (TAR, OCI):
        fields["dest"] = fields.get("dest") or _STDOUT
    if fields.get("type") == _REGISTRY:
        fields = {**fields, "type": IMAGE, "push": fields.get("push", "true")}
    return fields


def _annotations(texts: Iterable[str]) -> dict[str, str]:
    """Return what `[LEVEL[PLATFORM],…:]KEY=VALUE` is as fields of an output.

    Raises: InvalidArgument
    """
    fields = {}
    for text in texts:
        name, equals, value = text.partition("=")
        levels, colon, key = name.rpartition(":")
        if not equals or not key:
            message = f"invalid annotation {text}"
            raise InvalidArgument(message, hint="It is [LEVEL[PLATFORM]:]KEY=VALUE.")
        for level in levels.split(",") if colon else [""]:
            fields[f"annotation-{level}.{key}" if level else f"annotation.{key}"] = value
    return fields


def _parse(context: Context, text: str, annotations: Mapping[str, str]) -> Output:
    from knarr.engine.images import parse_tag  # noqa: PLC0415 - for builds alone

    fields = _fields(text)
    kind, dest = fields.get("type", ""), fields.get("dest", "")
    if not kind:
        message = f"type is required for output {text}"
        raise InvalidArgument(message)
    if kind not in _KINDS:
        message = f"unknown output type {kind}"
        raise InvalidArgument(message, hint=f"It is one of {', '.join(_KINDS)}.")
    if kind in (OCI, DOCKER, IMAGE):
        fields |= annotations
    packaging = read_packaging(fields, archive=kind != IMAGE and bool(dest))
    _refuse_unknown(text, kind, fields)
    names = tuple(parse_tag(name) for name in fields.get("name", "").split(",") if name)
    rewrite = parse_flag(fields, _REWRITE, default=False)
    output = Output(kind, names=names, packaging=packaging, rewrite_timestamp=rewrite)
    if kind == IMAGE or (kind == DOCKER and not dest):
        parse_flag(fields, "unpack", default=True)  # what is in the store is unpacked
        by_digest = parse_flag(fields, "push-by-digest", default=False)
        return output.replace(
            push=parse_flag(fields, "push", default=by_digest),
            by_digest=by_digest,
            kept=parse_flag(fields, "store", default=True),
        )
    split = (
        parse_flag(fields, "platform-split", default=True) if "platform-split" in fields else None
    )
    output = output.replace(split=split, prefix=parse_prefix(fields))
    if kind == LOCAL or not parse_flag(fields, "tar", default=True):
        return output.replace(directory=_directory(kind, dest))
    _check_file(context, kind, dest)
    return output.replace(open=lambda: _open(context, dest))


def _refuse_unknown(text: str, kind: str, fields: Mapping[str, str]) -> None:
    known = _PLACING[kind]
    annotated = kind in (OCI, DOCKER, IMAGE)
    for key in fields:
        if key in (*known, "type", _REWRITE) or (annotated and key.startswith("annotation")):
            continue
        if key == "dest":
            message = f"output {kind} has no destination"
            raise InvalidArgument(message, hint="The image goes to the local store.")
        message = f"invalid output {text}: there is no {key}"
        known = (*known, _REWRITE)
        hint = f"It takes {', '.join(known)}{' and annotation.KEY' if annotated else ''}."
        raise InvalidArgument(message, hint=hint)


def _directory(kind: str, dest: str) -> str:
    if kind not in (LOCAL, OCI):
        message = f"output {kind} is an archive: tar=false is for oci"
        raise InvalidArgument(message)
    if dest in ("", _STDOUT):
        message = f"dest is required for {kind} output"
        raise InvalidArgument(message)
    if os.path.lexists(dest) and not os.path.isdir(dest):
        message = f"destination {dest} is not a directory"
        raise InvalidArgument(message)
    return os.path.abspath(dest)


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
    from knarr.util import jsontext  # noqa: PLC0415 - for who asks for it
    from knarr.util.files import write_atomically  # noqa: PLC0415 - as above

    about: dict[str, object] = {}
    if built.image_id:
        about["containerimage.config.digest"] = built.image_id
        about["containerimage.descriptor"] = dict(built.manifest)
        about["containerimage.digest"] = built.manifest["digest"]
        if built.names:
            about["image.name"] = ",".join(built.names)
    write_atomically(path, f"{jsontext.pretty(about, '  ')}\n".encode())
