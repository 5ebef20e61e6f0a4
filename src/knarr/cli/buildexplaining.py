"""What `knarr explain build` prints: why the steps of a build were done again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.cli.command import Context
    from knarr.engine.build.history.finding import Build


def explain_build(context: Context, form: str, name: str = "") -> None:
    """Explain a build, the last one without a name. Raises: NotFound, InvalidArgument"""
    import time  # noqa: PLC0415 - not for --help

    from knarr.engine.build.history.finding import get_build  # noqa: PLC0415
    from knarr.engine.build.history.telling import explain  # noqa: PLC0415

    build = get_build(context.engine, name)
    if form:
        from knarr.cli.output import show_object  # noqa: PLC0415 - for who gives a template

        show_object(context, _document(build), form)
        return
    for line in explain(build.steps, time.time_ns()):
        context.print(line)


def _document(build: Build) -> dict[str, Any]:
    return {
        "ID": build.run.id,
        "Name": build.run.name,
        "Context": build.about["context"],
        "Dockerfile": build.about["dockerfile"],
        "Target": build.about["target"],
        "Status": build.status,
        "Steps": [_step(step) for step in build.steps],
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    from knarr.build.reasons.values import decode_causes  # noqa: PLC0415 - for who asks for it
    from knarr.build.reasons.wording import sentence  # noqa: PLC0415

    return {
        "Name": step["name"],
        "Line": step["line"],
        "State": "image" if "image" in step else step["state"],
        "Causes": [
            {
                "Kind": cause.kind,
                "Subject": cause.subject,
                "Before": cause.before,
                "After": cause.after,
                "Sentence": sentence(cause),
            }
            for cause in decode_causes(step.get("causes", ()))
        ],
    }
