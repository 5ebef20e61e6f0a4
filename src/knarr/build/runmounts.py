"""`RUN --mount`, as parts of the graph.

What a bind mount shows is taken from the context, a stage or an image by a vertex of its own, which
copies it onto nothing: so a step depends on the contents of what it mounts, not on where that is,
and the same contents are there once. A cache may begin with such contents.
"""

from __future__ import annotations

from posixpath import basename, normpath

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.mounts import parse_mount
from knarr.build.graph import CONTEXT, Copy, Files, Image, RunMount, Vertex, make_vertex
from knarr.util.quoting import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.build.dockerfile.instructions import Run
    from knarr.build.dockerfile.mounts import Mount
    from knarr.build.stage import StageState

    Find = Callable[[str], "Vertex | None"]

CONTENT = "/content"
"""Where the vertex of a mount has what is mounted: a directory or another file."""

_SECRETS = "/run/secrets/"
_AGENTS = "/run/buildkit/ssh_agent."


def lower_mounts(
    state: StageState, instruction: Run, *, expand: Callable[[str], str], find: Find
) -> tuple[tuple[RunMount, ...], tuple[Vertex, ...]]:
    """Return the mounts of a RUN, and the vertices that they need as inputs from 1 on.

    `find` returns the vertex of a stage or image by its name, None for no name. Raises: Fault
    """
    mounts: list[RunMount] = []
    needed: list[Vertex] = []
    for text in instruction.mounts:
        mount = parse_mount(text, expand)
        if mount.type == "secret":
            mounts.append(_secret(state, mount))
            continue
        if mount.type == "ssh":
            number = sum(each.kind == "ssh" for each in mounts)
            mounts.append(_agent(state, mount, number))
            continue
        made = _common(state, mount, text)
        if mount.type == "bind" or (mount.type == "cache" and mount.origin):
            needed.append(_content(mount, find(mount.origin), instruction))
            made = made.replace(origin=len(needed))
        mounts.append(made)
    return tuple(mounts), tuple(needed)


def _agent(state: StageState, mount: Mount, number: int) -> RunMount:
    return RunMount(
        kind="ssh",
        target=state.place(mount.target or f"{_AGENTS}{number}"),
        id=mount.id or mount.source or "default",
        required=mount.required,
        mode=0o600 if mount.mode is None else mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
    )


def _common(state: StageState, mount: Mount, text: str) -> RunMount:
    target = state.place(mount.target)
    if target == "/":
        message = f"invalid mount target {quote(mount.target)}"
        raise Fault(message, word=text)
    return RunMount(
        kind=mount.type,
        target=target,
        readonly=mount.readonly,
        id=(mount.id or normpath(mount.target)) if mount.type == "cache" else "",
        sharing=mount.sharing or "shared",
        size=mount.size,
        mode=0o755 if mount.mode is None else mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
    )


def _secret(state: StageState, mount: Mount) -> RunMount:
    name = mount.source or mount.id or basename(mount.target)
    target = mount.target
    if not target and mount.env is None:
        target = _SECRETS + basename(name)
    return RunMount(
        kind="secret",
        target=state.place(target) if target else "",
        id=name,
        required=mount.required,
        env=mount.env or (name if mount.env is not None else ""),
        mode=0o400 if mount.mode is None else mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
    )


def _content(mount: Mount, origin: Vertex | None, instruction: Run) -> Vertex:
    """Return the vertex that has what a mount shows, and nothing else."""
    source = normpath(f"/{mount.source.lstrip('/')}")
    copy = Copy(CONTEXT if origin is None else 1, source, CONTENT)
    inputs = (make_vertex(Image("", ()), name="scratch"), *((origin,) if origin else ()))
    where = f" from {mount.origin}" if mount.origin else ""
    return make_vertex(
        Files((copy,)),
        inputs,
        name=f"[internal] preparing mount of {source}{where}",
        lines=(instruction.node.first, instruction.node.last),
    )
