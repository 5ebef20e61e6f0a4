"""Space on the disk by kind, and the records of the build cache."""

from __future__ import annotations

from knarr.util.times import render_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.engine.build.usage import Usage
    from knarr.engine.space.diskusage import Share

    Document = dict[str, Any]


def usage(share: Share, items: list[Document] | None) -> Document:
    """Return the sums of one kind, and its things unless that is None."""
    found: Document = {
        "ActiveCount": share.active,
        "TotalCount": share.total,
        "Reclaimable": share.reclaimable,
        "TotalSize": share.size,
    }
    if items is not None:
        found["Items"] = items
    return found


def cache_record(record: Usage) -> Document:
    """Return one record of the build cache."""
    return {
        "ID": record.id,
        "Parents": [record.parent] if record.parent else None,
        "Type": record.type,
        "Description": record.description,
        "InUse": False,
        "Shared": record.shared,
        "Size": record.size,
        "CreatedAt": render_rfc3339(record.row.created_ns),
        "LastUsedAt": render_rfc3339(record.row.used_ns),
        "UsageCount": record.row.uses,
    }
