"""The graph of a build: what has to be done, on what, in values.

A vertex is an operation on the results of other vertices. Every vertex results in a file system: a
stack of layers, to which a `Run` or `Files` adds one. Two vertices with equal digests do the same
work, wherever in the Dockerfile they stand, and are one to the solver.

    Image ──▶ Run ──▶ Files ──▶ …            the first input is what the operation changes
    Image ──▶ Run ──────┘ copy                further inputs are only read
    Fetch ──────────────┘

A digest names what is asked for. What the answer depends on beyond that (contents of files) is
known only when the inputs are there: see `cache`.
"""

from __future__ import annotations

from knarr.oci.digest import digest_of
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from knarr.oci.digest import Digest

    Stack = tuple[Digest, ...]

CONTEXT = -1
"""In place of the number of an input: the files of the build context."""


class Image(Value):
    """The file system of the image `id`; without a reference `scratch`, which is empty."""

    reference: str
    stack: Stack
    id: str = ""


class RunMount(Value):
    """A mount of a Run; `kind` is bind, cache, tmpfs, secret or ssh.

    `origin` is the input that has what is mounted, 0 for none; `id` names a cache, secret or agent,
    `env` the variable that has a secret.
    """

    kind: str
    target: str
    origin: int = 0
    readonly: bool = True
    id: str = ""
    sharing: str = "shared"
    size: int = 0
    required: bool = False
    env: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0


class Run(Value):
    """A command. `env` is all of its environment but `hidden`, on which nothing may depend.

    `declared` are the names of build arguments among `env`, for who explains. The
    archive of its layer has no time after `epoch` (see `times`), in seconds; None for the clock.

    `script` is the text of a file at `script_path` that exists while the command runs. `insecure`
    is what `--privileged` is to containers; `devices` are names of CDI.
    """

    arguments: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    network: str = "default"
    hosts: tuple[str, ...] = ()
    hostname: str = "buildkitsandbox"
    script_path: str = ""
    script: str = ""
    mounts: tuple[RunMount, ...] = ()
    hidden: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    epoch: int | None = None
    insecure: bool = False
    devices: tuple[str, ...] = ()


class MakeDirectory(Value):
    """A directory and its missing parents; `owner` as USER takes it."""

    path: str
    owner: str
    mode: int = 0o755


class Copy(Value):
    """Files of `origin` (an input, or CONTEXT) to `destination`, which keeps a trailing slash.

    `source` is a path or a glob; `content` is the text of a single file of that name instead.
    `earliest` is the time of files that are older, in seconds; None if these keep theirs. `several`
    says that other copies of the same instruction go to the same place.
    """

    origin: int
    source: str
    destination: str
    chown: str = ""
    chmod: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    unpack: bool = False
    several: bool = False
    content: str | None = None
    earliest: int | None = None


class Files(Value):
    """Changes to files, in order, that make one layer; its archive has no time after `epoch`."""

    actions: tuple[MakeDirectory | Copy, ...]
    epoch: int | None = None


class Fetch(Value):
    """Files from elsewhere: `kind` is http (one file, `name`), git, or local (a directory).

    `ref` and `subdir` say what of a repository; `checksum` is what it has to be, with `by_commit`
    what is asked for, whatever the ref is at. `mtime` is `commit` for files as old as the commit.
    """

    kind: str
    url: str
    name: str = ""
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    mtime: str = ""
    by_commit: bool = False


class Vertex(Value):
    """An operation and its inputs. Its name, place and caching do not enter the digest."""

    operation: Image | Run | Files | Fetch
    inputs: tuple[Vertex, ...]
    digest: str
    name: str
    first: int = 0
    last: int = 0
    no_cache: bool = False

    def __hash__(self) -> int:
        return hash(self.digest)


def make_vertex(
    operation: Image | Run | Files | Fetch,
    inputs: Sequence[Vertex] = (),
    *,
    name: str,
    lines: tuple[int, int] = (0, 0),
    no_cache: bool = False,
) -> Vertex:
    """Return the vertex that does `operation` on `inputs`."""
    text = "\n".join((repr(operation), str(no_cache), *(each.digest for each in inputs)))
    digest = digest_of(text.encode("utf-8", "surrogateescape")).hex
    return Vertex(operation, tuple(inputs), digest, name, *lines, no_cache)


def in_order(target: Vertex) -> Iterator[Vertex]:
    """Yield every vertex that `target` needs once, inputs first, then `target`."""
    seen: set[str] = set()
    path = [(target, iter(target.inputs))]
    while path:
        vertex, rest = path[-1]
        following = next((each for each in rest if each.digest not in seen), None)
        if following is not None:
            path.append((following, iter(following.inputs)))
            continue
        path.pop()
        if vertex.digest not in seen:
            seen.add(vertex.digest)
            yield vertex
