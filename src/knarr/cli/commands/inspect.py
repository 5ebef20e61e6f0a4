"""knarr inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command, Option
from knarr.errors import InvalidArgument, NotFound
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.cli.command import Context, Options
    from knarr.engine.engine import Engine

SIZE = Option("size", "Display total file sizes if the type is container", short="s")
TYPES = ("container", "image", "network", "volume")
COMMAND = Command(
    short="Return low-level information on knarr objects",
    usage="[OPTIONS] NAME|ID [NAME|ID...]",
    options=(
        OBJECT_FORMAT,
        SIZE,
        Option(
            "type", "Only inspect objects of the given type", kind="string",
            completes=" ".join(TYPES),
        ),
    ),
    minimum=1,
    maximum=None,
    completes="containers",
)  # fmt: skip


def run(context: Context, options: Options, arguments: list[str]) -> int:
    wanted = options.text("type")
    if options.given("type") and wanted not in TYPES:
        message = f"type is {wanted or 'empty'}: it must be one of {', '.join(TYPES)}"
        raise InvalidArgument(message)
    look = _finder(context, wanted, size=options.flag("size"))
    return inspect_each(context, arguments, look, options.text("format"))


def inspect_each(context: Context, names: list[str], look: Callable[[str], Any], form: str) -> int:
    """Show what `look` finds under each of `names`; what is not found is said at the end.

    Docker: without a template all documents are in one list, which is printed whatever failed
    """
    documents, missing = [], []
    for name in names:
        try:
            documents.append(look(name))
        except NotFound as error:
            missing.append(error)
    if form:
        from knarr.cli.output import show_object  # noqa: PLC0415 - for who gives a template
        from knarr.cli.records import as_record  # noqa: PLC0415

        _check_template(form)
        for document in documents:
            show_object(context, as_record(document), form)
    else:
        context.print(jsontext.pretty(documents, "    "))
    for fault in missing:
        context.complain(fault)
    return 1 if missing else 0


def _check_template(form: str) -> None:
    """Raise for a template that is none; Docker's status for that is 64, with `inspect` alone.

    Raises: CommandFailed
    """
    from knarr.errors import CommandFailed, SyntaxFault  # noqa: PLC0415 - for who gives one
    from knarr.util.gotemplate.template import parse  # noqa: PLC0415

    try:
        parse(form)
    except SyntaxFault as error:
        raise CommandFailed(error.message, status=64) from None


def _finder(context: Context, wanted: str, *, size: bool) -> Callable[[str], Any]:
    def look(name: str) -> Any:
        for kind in [wanted] if wanted else TYPES:
            try:
                return _look(context.engine, kind, name, size=size)
            except (NotFound, InvalidArgument):  # a name of one kind may be none of another
                if wanted:
                    raise
        message = f"no such object: {name}"
        raise NotFound(message)

    return look


def _look(engine: Engine, kind: str, name: str, *, size: bool) -> Any:
    if kind == "container":
        return engine.containers.get(name).inspect(size=size)
    if kind == "image":
        return engine.images.inspect(name)
    if kind == "network":
        return engine.networks.inspect(name)
    return engine.volumes.inspect(name)
