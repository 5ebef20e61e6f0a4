"""The database in itself, and the directories of volumes beside their records."""

from __future__ import annotations

import os

from knarr.engine.checking.findings import Check, Finding
from knarr.engine.volume.directories import DATA_MODE
from knarr.store.volumes import VolumeRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.engine.engine import Engine

VOLUME, DIRECTORY = "volume", "directory"
_SHOWN = 10  # of a damaged database: it has no end of complaints


def find_damage(engine: Engine) -> Iterable[Finding]:
    """Yield what SQLite finds wrong with the database's file."""
    database, path = engine.database, engine.paths.database_path
    said = [str(row[0]) for row in database.rows("PRAGMA integrity_check", ())]
    for text in said[:_SHOWN]:
        if text != "ok":
            yield Finding("database", path, text)
    broken = {(row[0], row[2]) for row in database.rows("PRAGMA foreign_key_check", ())}
    for table, parent in sorted(broken):
        yield Finding("database", path, f"records of {table} refer to missing ones of {parent}")


def find_volumes(engine: Engine) -> Iterable[Finding]:
    """Yield volumes without a directory, and directories that are no volume's."""
    directory = engine.paths.volumes_dir
    with engine.database.transaction(durable=False):  # a volume's directory is made in one, too
        known = {row.name for row in VolumeRecords(engine.database).all()}
        strays = engine.volumes.directories.strays(known)
    for name in sorted(known):
        if not os.path.isdir(f"{directory}/{name}/_data"):
            problem = "its directory is missing, with all that was in it"
            yield Finding(VOLUME, name, problem, "make an empty one")
    for name in sorted(strays):
        path = f"{directory}/{name}"
        yield Finding(DIRECTORY, path, "no volume is recorded for it", "remove it")


def restore_volumes(engine: Engine, found: Sequence[Finding]) -> None:
    """Make missing directories, and remove those of no volume."""
    for finding in found:
        if finding.kind == VOLUME:
            path = engine.volumes.path(finding.object)
            os.makedirs(os.path.dirname(path), 0o711, exist_ok=True)
            os.makedirs(path, DATA_MODE, exist_ok=True)
            os.chmod(path, DATA_MODE)  # whatever the umask is
    engine.volumes.sweep()


CHECKS = (Check(find_damage), Check(find_volumes, restore_volumes))
