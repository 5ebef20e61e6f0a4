"""What the user wants mounted becomes mounts of the runtime spec.

At create, volumes get names and exist from then on (`settle_volumes`); at start, every request is
turned into a mount, and directories of the host that `-v` names are made if they are missing.

Docker: volume/mounts of moby; a bind's missing source is an error with `--mount` alone
"""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.engine.container.users import Identity
    from knarr.engine.engine import Engine
    from knarr.engine.options.values import MountRequest, Options
    from knarr.oci.runtime import FileSystem, IDMapping, Mount

# Files that the engine writes for each container, and where they are seen in it.
FILES = {"resolv.conf": "/etc/resolv.conf", "hostname": "/etc/hostname", "hosts": "/etc/hosts"}

# What else may be mounted anew, and how if the user says nothing.
FILE_SYSTEMS = {
    "devpts": ("noexec", "nosuid", "rprivate", "ptmxmode=0666", "mode=0620"),
    "ramfs": ("noexec", "nosuid", "nodev", "rprivate"),
}
TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev", "rprivate")
# Options that take each other's place.
OPPOSITES = (
    ("rw", "ro"), ("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"), ("sync", "async"),
    ("atime", "noatime"), ("relatime", "norelatime"), ("diratime", "nodiratime"),
)  # fmt: skip


class Source(Value):
    """What is mounted: `path` of the host, or a file system that the mount brings with it.

    `file_system` is the object that `runtime.steps.carried` takes; `words` come before the mount's
    own options. The maps are ranges of first ID on the disk, first ID of the host in the mount, and
    how many.
    """

    path: str
    words: tuple[str, ...] = ()
    file_system: FileSystem | None = None
    uid_map: tuple[tuple[int, int, int], ...] = ()
    gid_map: tuple[tuple[int, int, int], ...] = ()


def named_source(request: MountRequest) -> Source:
    """Return the source of a mount of the host's files."""
    return Source(request.source)


def source_finder(
    engine: Engine, container_id: str, options: Options, identity: Identity | None = None
) -> Callable[[MountRequest], Source]:
    """Return what knows the sources of a container's mounts; `identity` is whose files they are."""
    if all(map(_is_named, options.mounts)):
        return named_source
    from knarr.engine.volume.sources import Sources  # noqa: PLC0415 - for few containers

    return Sources(engine, container_id, options, identity)


def _is_named(request: MountRequest) -> bool:
    """Tell whether a mount shows files of the host as they are, or none."""
    plain = not (request.mapped or request.overlay)
    if request.kind == "bind":
        return plain
    return request.kind == "tmpfs" or request.kind in FILE_SYSTEMS


def plan_mounts(
    options: Options,
    *,
    bundle_dir: str,
    files: Iterable[str],
    source_of: Callable[[MountRequest], Source] = named_source,
) -> list[Mount]:
    """Return the mounts of the user and, where the user mounts nothing, of the engine's `files`.

    `source_of` is asked for what is mounted, but not for what is made anew, as a tmpfs.
    """
    mapped = ["idmap"] if options.namespaces.remapped else []
    mounts = [plan_mount(request, source_of, mapped) for request in options.mounts]
    targets = {mount["destination"] for mount in mounts}
    mode = "ro" if options.readonly else "rw"
    mounts += [
        {
            "destination": FILES[name],
            "type": "bind",
            "source": f"{bundle_dir}/{name}",
            "options": ["rbind", "rprivate", mode, *mapped],
        }
        for name in files
        if FILES[name] not in targets
    ]
    return mounts


def plan_mount(
    request: MountRequest,
    source_of: Callable[[MountRequest], Source] = named_source,
    mapped: Iterable[str] = (),
) -> Mount:
    """Return the mount that `request` asks for.

    In volumes and images, containers with different users see the same owners (`mapped`). A
    directory of the host shows the owners it has, unless the user wants it otherwise.

    Podman: the mode "idmap" of -v
    """
    if request.kind == "tmpfs":
        return {
            "destination": request.target,
            "type": "tmpfs",
            "source": "tmpfs",
            "options": _tmpfs_options(request),
        }
    if request.kind in FILE_SYSTEMS:
        given = request.tmpfs_options.split(",") if request.tmpfs_options else []
        return {
            "destination": request.target,
            "type": request.kind,
            "source": request.kind,
            "options": [*FILE_SYSTEMS[request.kind], *given, *(["ro"] if request.readonly else [])],
        }
    source = source_of(request)
    words = ["rbind" if request.recursive else "bind", request.propagation or "rprivate"]
    words += source.words
    if request.readonly:
        words += ["ro", "rro"] if request.recursive and not request.writable_below else ["ro"]
    words += [f"subpath={request.subpath}"] if request.subpath else []
    words += mapped if request.kind != "bind" or request.mapped else ()
    mount: Mount = {
        "destination": request.target,
        "type": "bind",
        "source": source.path,
        "options": words,
    }
    if source.file_system is not None:
        mount["fileSystem"] = source.file_system
    if source.uid_map:
        mount["uidMappings"] = _mappings(source.uid_map)
        mount["gidMappings"] = _mappings(source.gid_map)
    return mount


def _mappings(ranges: Iterable[tuple[int, int, int]]) -> list[IDMapping]:
    return [{"containerID": disk, "hostID": seen, "size": size} for disk, seen, size in ranges]


def _tmpfs_options(request: MountRequest) -> list[str]:
    """Return Docker's defaults for a tmpfs, with what the user says in their place."""
    given = request.tmpfs_options.split(",") if request.tmpfs_options else []
    if request.tmpfs_mode is not None:
        given.append(f"mode={request.tmpfs_mode:o}")
    if request.tmpfs_size:
        given.append(f"size={request.tmpfs_size}")
    if request.readonly:
        given.append("ro")
    options = list(TMPFS_DEFAULTS)
    for word in given:
        for pair in OPPOSITES:
            if word in pair:
                options = [option for option in options if option not in pair]
        options.append(word)
    return options


def _check_propagation(request: MountRequest) -> None:
    """Raise if mounts cannot propagate to or from where the source is.

    Docker: ensureShared and ensureSharedOrSlave of moby

    Raises: InvalidArgument
    """
    wanted = request.propagation.removeprefix("r")
    if wanted not in ("shared", "slave"):
        return
    source = os.path.realpath(request.source)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.split(" ") for line in file]
    # Of several mounts on one place the last is the one that is seen.
    above = [fields for fields in lines if _holds(fields[4], source)]
    fields = max(reversed(above), key=lambda fields: len(fields[4]))
    words = " ".join(fields[6 : fields.index("-")])
    if "shared:" in words or (wanted == "slave" and "master:" in words):
        return
    kind = "a shared mount" if wanted == "shared" else "a shared or slave mount"
    message = f"path {request.source} is mounted on {fields[4]} but it is not {kind}"
    raise InvalidArgument(message)


def _holds(mount_point: str, path: str) -> bool:
    plain = mount_point.replace("\\040", " ").rstrip("/")
    return path == plain or path.startswith(f"{plain}/")


def make_sources(options: Options) -> None:
    """See to it that what is bound from the host exists and is fit for it; `-v` makes directories.

    Raises: InvalidArgument
    """
    for request in options.mounts:
        if request.kind != "bind":
            continue
        if os.path.exists(request.source):
            _check_propagation(request)
            continue
        if not request.creates_source:
            message = (
                'invalid mount config for type "bind": bind source path does not exist: '
                f"{request.source}"
            )
            raise InvalidArgument(message)
        try:
            os.makedirs(request.source, 0o755, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"error while creating mount source path '{request.source}': {reason}"
            raise InvalidArgument(message) from error
