"""The contract of this package: what a snapshot is, and what happens to one.

Terms
-----
* A *layer* is a set of changes. It comes as a tar (what registries carry; its digest, uncompressed,
  is the *diff ID*) or as a *tree*: a directory that overlayfs can use as a lower directory. Each
  can be made from the other.
* A *stack* is what a root file system is made of: the chain IDs of its layers, bottom first. The
  empty stack is the empty root of `FROM scratch`.
* A *chain ID* names a layer together with all layers below it (image-spec, "Layer ChainID"). Trees
  are kept under their chain ID, since what a tree holds may depend on what is below: attributes of
  directories that its tar does not name, hard links to files of lower layers.
* An *active* directory is where changes to a stack go: `upper` and `work`, in a directory of the
  caller's (a container's, a build step's). Mount points that the stack lacks are in `points`
  beside them, shown below the changes and not among them.

On disk
-------
    layers/<hex>/              a tree; complete and never changed from when it has this name
    layers/.incoming-<random>/ a tree on its way; its maker holds a flock(2) on it
    layers/.removed-<random>/  a tree on its way out
    layers/.unsynced/<hex>     a link that says in which boot the tree was made; gone after `sync`
    layers/.empty/             the lower directory of the empty stack

In a tree, a file of a lower layer that is gone is overlay's whiteout (a character device 0:0), and
a directory that hides the lower one of its name has trusted.overlay.opaque "y". It has no other
trusted.overlay attribute: those of an upper directory are taken off before it becomes a tree.

Importing layers, bottom first
------------------------------
    stack = ()
    for each tar:
        applied = layers.apply(tar, parents=stack, diff_id=promised)
        stack += (applied.chain_id,)
    layers.sync()
    record the image in the database

`sync` is one syncfs(2) for all of them, and comes before the first record that names them. What was
applied and not synced serves this boot; after a power cut `has` denies it, and `sweep` removes it.

Running a container
-------------------
    layers.prepare(directory, stack)
    options = layers.overlay_options(stack, directory)      for the init, which mounts them

Building a step
---------------
    layers.prepare(directory, stack)
    run in a mount of overlay_options(stack, directory)
    applied = layers.adopt(f"{directory}/upper", parents=stack)     the changes become a tree
    stack += (applied.chain_id,)

Reading and writing without running
-----------------------------------
    root_fd = layers.mount(stack, active=directory)         attached nowhere
    ... knarr.linux.path and knarr.snapshot.copy with root_fd ...
    os.close(root_fd)                                       unmounted

Everything here may be done by several processes at once. Two that make the same tree both do the
work, and the second finds the name taken and throws its own away.

Mount options, and why
----------------------
`redirect_dir=nofollow`, `metacopy=off` and `index=off` keep an upper directory plain: every file is
whole, every directory in its own place, so that it can be moved and used as a lower directory, and
so that nothing an image brings can make overlay look elsewhere. The price is Docker's too: a
directory of a lower layer cannot be renamed in one call (EXDEV; mv(1) copies), and a hard link
to a lower file is broken when the file is first written.
"""

from __future__ import annotations

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.digest import Digest

    Stack = tuple[Digest, ...]


class Applied(Value):
    """A layer that is now a tree. `size` is that of its regular files in bytes, as Docker counts.

    `kept` says that the tree was there before, made by this or another process. `tar_size` is the
    number of bytes of the uncompressed tar, -1 if it was not read.
    """

    diff_id: Digest
    chain_id: Digest
    size: int
    kept: bool = False
    tar_size: int = -1


class Usage(Value):
    """What a tree takes. Hard links count once, directories and what they hide do not count.

    `size` is the sum of the files' lengths, which Docker shows; `disk` what they occupy; `inodes`
    counts everything, directories too.
    """

    size: int
    disk: int
    inodes: int


class Change(Value):
    """A line of `knarr diff`: `kind` A, C or D (added, changed, deleted) and an absolute `path`."""

    kind: str
    path: str


class Limits(Value):
    """What one archive may ask for. The defaults are beyond any image that is meant well.

    `entries` counts headers, `size` the bytes stored for all files (a hole is none), `depth` the
    names in a path, `name` the bytes of one path.
    """

    entries: int = 4_000_000
    size: int = 1 << 40
    depth: int = 256
    name: int = 4095
