"""knarr system check."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.cli.output import FORMAT, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.cli.output import Row
    from knarr.engine.checking.findings import Finding

COMMAND = Command(
    short="Look for what is not as it should be",
    long=(
        "Compare what is recorded with what is there: containers and their directories, tasks "
        "and processes, supervisors, control groups, mounts, interfaces, firewall rules, ports, "
        "volumes, images and layers, operations that were interrupted. Nothing is changed without "
        "--repair. The status is 1 if anything is, or remains, wrong."
    ),
    options=(FORMAT, Option("repair", "Mend what can be mended")),
)
LISTING = Listing(
    headers={"Kind": "KIND", "Object": "OBJECT", "Problem": "PROBLEM", "Repair": "REPAIR"},
    table=("Kind", "Object", "Problem", "Repair"),
)
REPAIRED = Listing(
    headers={**LISTING.headers, "Repaired": "REPAIRED"},
    table=("Repaired", "Kind", "Object", "Problem"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.cli.output import show  # noqa: PLC0415 - not for --help
    from knarr.engine.checking import findings  # noqa: PLC0415 - as above
    from knarr.engine.engine import Engine  # noqa: PLC0415 - as above

    form = options.text("format")
    # Without recovery, which would mend half of it before anybody has looked.
    with Engine(context.root, context.run_dir, recover=False) as engine:
        if options.flag("repair"):
            found, left = findings.repair(engine)
            everything = [*found, *(finding for finding in left if finding not in found)]
            rows: list[Row] = [
                {**_row(one), "Repaired": _word(one not in left)} for one in everything
            ]
            listing = REPAIRED
        else:
            left = findings.examine(engine)
            rows, listing = [_row(finding) for finding in left], LISTING
        for notice in engine.notices:
            context.warn(notice)
    if rows or form:
        show(context, listing, rows, form)
    else:
        context.print("Everything is as it should be.")
    return 1 if left else 0


def _row(finding: Finding) -> Row:
    return {
        "Kind": finding.kind,
        "Object": finding.object,
        "Problem": finding.problem,
        "Repair": finding.repair,
    }


def _word(value: bool) -> str:  # noqa: FBT001 - a word for it
    return "yes" if value else "no"
