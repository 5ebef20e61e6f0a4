"""knarr builder history inspect."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.cli.command import Context, Options
    from knarr.engine.build.history.finding import Build

COMMAND = Command(
    short="Show what is remembered of a build",
    usage="[OPTIONS] [BUILD]",
    options=(OBJECT_FORMAT.replace(short=""),),
    minimum=0,
    maximum=1,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from knarr.engine.build.history.finding import get_build  # noqa: PLC0415 - not for --help

    build = get_build(context.engine, *arguments)
    document = _document(build)
    if options.text("format"):
        from knarr.cli.output import show_object  # noqa: PLC0415 - for who gives a template

        show_object(context, document, options.text("format"))
        return 0
    _show(context, document)
    return 0


def _document(build: Build) -> dict[str, Any]:
    from knarr.util.times import render_rfc3339  # noqa: PLC0415 - not for --help

    about, run = build.about, build.run
    return {
        "ID": run.id,
        "Name": run.name,
        "Status": build.status,
        "Error": about.get("error", ""),
        "Context": about["context"],
        "Dockerfile": about["dockerfile"],
        "Target": about["target"],
        "Platform": about["platform"],
        "Tags": about["tags"],
        "BuildArgs": about["arguments"],
        "Image": about.get("image", ""),
        "CreatedAt": render_rfc3339(run.started_ns),
        "CompletedAt": render_rfc3339(run.ended_ns) if run.ended_ns else "",
        "Duration": round(build.seconds, 3),
        "NumCompletedSteps": sum(each["state"] in ("cached", "done") for each in build.steps),
        "NumCachedSteps": sum(each["state"] == "cached" for each in build.steps),
        "NumTotalSteps": len(build.steps),
        "Steps": [_step(each) for each in build.steps],
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    seconds = (step.get("ended_ns", 0) - step.get("started_ns", 0)) / 1e9
    return {
        "Number": step.get("number", 0),
        "Name": step["name"],
        "Line": step["line"],
        "State": step["state"],
        "Duration": round(seconds, 3),
        "Key": step["key"],
    }


def _show(context: Context, document: dict[str, Any]) -> None:
    cached, total = document["NumCachedSteps"], document["NumTotalSteps"]
    lines = {
        **{name: document[name] for name in ("ID", "Name", "Context", "Dockerfile", "Target")},
        "Platform": document["Platform"],
        "Tags": ", ".join(document["Tags"]),
        "Image": document["Image"],
        "Started": document["CreatedAt"],
        "Duration": f"{document['Duration']:.1f}s",
        "Status": document["Status"].capitalize(),
        "Error": document["Error"],
        "Build steps": f"{document['NumCompletedSteps']}/{total} ({cached} cached)",
    }
    for name, text in lines.items():
        if text:
            context.print(f"{name + ':':<16}{text}")
    if document["BuildArgs"]:
        context.print("Build args:")
        for name, value in document["BuildArgs"].items():
            context.print(f"    {name}={value}")
    context.print()
    for step in document["Steps"]:
        state = "" if step["State"] == "done" else f" {step['State'].upper()}"
        number = f"#{step['Number']}" if step["Number"] else "-"
        context.print(f"{number:<5}{step['Duration']:>7.1f}s{state} {step['Name']}")
