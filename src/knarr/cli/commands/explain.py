"""knarr explain."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options
    from knarr.engine.explaining.facts import Explanation, Facts

_BUILD = "build"
_BUILD_AT_MOST = 2
_NETWORK = "network"
_SHOWN = 5  # lines of the log, where nothing else is known

COMMAND = Command(
    short="Explain why a container ended, or why a build did steps again",
    long=(
        "Say in a sentence why a container ended, could not be started, is unhealthy or cannot be "
        "reached, and what to do about it. What facts do not prove is said to be most likely.\n"
        "After the word build: say why the steps of a build, the last one, were done again; a "
        "build is named by a directory, the beginning of its ID, or a tag.\n"
        "After the word network: say why a container does not reach another one, or a host and "
        "port, or is not reached at its ports."
    ),
    usage="[OPTIONS] CONTAINER | build [BUILD] | network CONTAINER [CONTAINER|HOST:PORT]",
    options=(OBJECT_FORMAT,),
    minimum=1,
    maximum=3,
    completes="containers",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if arguments[0] == _BUILD and len(arguments) <= _BUILD_AT_MOST:
        from knarr.cli.buildexplaining import explain_build  # noqa: PLC0415 - not for containers

        explain_build(context, options.text("format"), *arguments[1:])
        return 0
    if arguments[0] == _NETWORK and len(arguments) > 1:
        from knarr.cli.networkexplaining import explain_network  # noqa: PLC0415 - as above

        explain_network(context, options.text("format"), *arguments[1:])
        return 0
    if len(arguments) > 1:
        from knarr.errors import InvalidArgument  # noqa: PLC0415 - an error may take its time

        message = "one container at a time can be explained"
        raise InvalidArgument(message)
    from knarr.engine.explaining.explain import explain  # noqa: PLC0415 - not for --help
    from knarr.engine.explaining.gathering import gather  # noqa: PLC0415

    facts = gather(context.engine.containers.get(arguments[0]))
    found = explain(facts)
    if options.text("format"):
        from knarr.cli.output import show_object  # noqa: PLC0415 - for who gives a template

        show_object(context, _document(facts, found), options.text("format"))
        return 0
    context.print(found.text)
    if found.cause in ("own-status-saying", "restart-loop") and len(facts.log) > 1:
        context.print("Its log ends with:")
        for line in facts.log[-_SHOWN:]:
            context.print(f"    {line}")
    return 0


def _document(facts: Facts, found: Explanation) -> dict[str, Any]:
    return {
        "ID": facts.id,
        "Name": facts.name,
        "Status": facts.status,
        "ExitCode": facts.exit_code,
        "Cause": found.cause,
        "Certain": found.certain,
        "Sentence": found.sentence,
        "Fix": found.fix,
        "Log": list(facts.log),
    }
