"""knarr secret inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command, Option
from knarr.cli.commands.inspect import inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display detailed information on one or more secrets",
    usage="[OPTIONS] SECRET [SECRET...]",
    options=(OBJECT_FORMAT, Option("showsecret", "Show the data, too")),
    minimum=1,
    maximum=None,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.secrets import DRIVER, Secrets  # noqa: PLC0415 - not for --help
    from knarr.util.times import render_rfc3339  # noqa: PLC0415

    secrets = Secrets(context.engine)

    def look(name: str) -> dict[str, Any]:
        secret = secrets.get(name)
        document: dict[str, Any] = {
            "ID": secret.id,
            "CreatedAt": render_rfc3339(secret.created_ns),
            "UpdatedAt": render_rfc3339(secret.updated_ns),
            "Spec": {
                "Name": secret.name,
                "Driver": {"Name": DRIVER, "Options": {}},
                "Labels": dict(secret.labels),
            },
        }
        if options.flag("showsecret"):
            document["SecretData"] = secrets.read(secret).decode("utf-8", "replace")
        return document

    return inspect_each(context, arguments, look, options.text("format"))
