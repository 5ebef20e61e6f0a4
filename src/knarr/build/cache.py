"""Cache keys: a digest of everything that decides what an operation results in.

That is the file system it works on (named by its top chain ID, so by content), the command with its
environment, and the contents of what is copied; never the time of a file, a path of the host or the
name of a stage. The ingredients are kept beside the digest: two of them, compared, say why there
was no hit.
"""

from __future__ import annotations

from knarr.build.graph import CONTEXT, Copy, Fetch, Files, Run
from knarr.oci.digest import digest_of
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.build.graph import MakeDirectory, Stack

    Fingerprint = Callable[[Copy | Fetch, "Stack | None"], str]

VERSION = 2
"""Raised when operations come to do something else than before with the same ingredients."""


def ingredients(
    operation: Run | Files | Fetch, inputs: Sequence[Stack], fingerprint: Fingerprint
) -> dict[str, object]:
    """Return what decides the result, in the order in which people look at it."""
    if isinstance(operation, Fetch):
        return {"version": VERSION, **_fetch(operation), "state": fingerprint(operation, None)}
    parent = str(inputs[0][-1]) if inputs[0] else ""
    if isinstance(operation, Run):
        about: dict[str, object] = {"version": VERSION, "kind": "run", "parent": parent}
        return {**about, **_run(operation), "mounts": _mounts(operation, inputs)}
    actions = [_action(action, inputs, fingerprint) for action in operation.actions]
    about = {"version": VERSION, "kind": "files", "parent": parent, "actions": actions}
    return {**about, "epoch": operation.epoch}


def key_of(about: dict[str, object]) -> str:
    """Return the key for ingredients."""
    text = jsontext.dumps(about, sort_keys=True)
    return str(digest_of(text.encode("utf-8", "surrogateescape")))


def _fetch(fetch: Fetch) -> dict[str, object]:
    about: dict[str, object] = {"kind": "fetch", "from": fetch.kind, "name": fetch.name}
    if fetch.kind != "local":  # where a directory lies does not matter
        about["url"] = fetch.url
    if fetch.kind == "git":
        about |= {"directory": fetch.subdir, "git": fetch.keep_git_dir}
        about["submodules"] = fetch.submodules
        if fetch.mtime == "commit":
            about["mtime"] = fetch.mtime
    return about


def _run(run: Run) -> dict[str, object]:
    more: dict[str, object] = {"devices": list(run.devices)} if run.devices else {}
    if run.insecure:
        more["insecure"] = True
    return {
        **more,
        "arguments": list(run.arguments),
        "environment": list(run.env),
        "directory": run.working_dir,
        "user": run.user,
        "network": run.network,
        "hosts": list(run.hosts),
        "hostname": run.hostname,
        "epoch": run.epoch,
        "script": [run.script_path, run.script],
    }


def _mounts(run: Run, inputs: Sequence[Stack]) -> list[dict[str, object]]:
    """Return what of the mounts decides the result: not what is in caches, nor any secret."""
    found = []
    for mount in run.mounts:
        about: dict[str, object] = {
            "kind": mount.kind,
            "target": mount.target,
            "readonly": mount.readonly,
            "id": mount.id,
            "env": mount.env,
        }
        if mount.kind == "bind":
            about["content"] = str(inputs[mount.origin][-1])
        found.append(about)
    return found


def _action(
    action: MakeDirectory | Copy, inputs: Sequence[Stack], fingerprint: Fingerprint
) -> dict[str, object]:
    if not isinstance(action, Copy):
        return {"directory": action.path, "owner": action.owner, "mode": action.mode}
    source = None if action.origin == CONTEXT else inputs[action.origin]
    return {
        "copy": action.content if action.content is not None else fingerprint(action, source),
        "name": action.source if action.content is not None else "",
        "destination": action.destination,
        "owner": action.chown,
        "mode": action.chmod,
        "unpack": action.unpack,
    }
