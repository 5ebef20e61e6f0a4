"""Layers as overlayfs takes them: the implementation of the contract in `snapshotter`.

What opens a container (`prepare`, `overlay_options`) loads little; what unpacks, packs and compares
is loaded by the method that needs it.
"""

from __future__ import annotations

import errno
import os

from knarr.errors import Corrupt, Unsupported
from knarr.linux import whiteout, xattr
from knarr.snapshot.faults import storage
from knarr.snapshot.snapshotter import Applied, Limits, Usage
from knarr.snapshot.trees import Trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from knarr.oci.digest import Digest
    from knarr.snapshot.contents import Contents
    from knarr.snapshot.lowers import Directory
    from knarr.snapshot.snapshotter import Change, Stack
    from knarr.snapshot.trees import Incoming
    from knarr.util.tarreader import Source
    from knarr.util.tarwriter import Sink

_POINTS = "points"
_BASE = "base"  # a link to a directory of the host, in the place of layers
# With mount points, and changes that are only looked at, it makes as many as overlay mounts (500).
_MOST_BELOW = 498
_PLAIN = [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")]


class Layers:
    """The trees of layers in one directory."""

    def __init__(self, layers_dir: str) -> None:
        """Take the directory; it is made when something is first put there."""
        self.layers_dir = layers_dir
        self._trees = Trees(layers_dir)

    def has(self, chain_id: Digest) -> bool:
        """Tell whether there is a tree that can be relied on."""
        return self._trees.has(chain_id.hex)

    def path(self, chain_id: Digest) -> str:
        """Return where the tree is, or would be."""
        return self._trees.path(chain_id.hex)

    def lowers(self, stack: Stack) -> list[str]:
        """Return the directories of `stack` as overlay orders them: the top first, never none."""
        return [self.path(chain_id) for chain_id in reversed(stack)] or [self._trees.empty()]

    def _lowers(self, stack: Stack, active: str | None) -> list[str]:
        """Return the lower directories of a mount, with the mount points of `active` if it has.

        An `active` with a base of its own stands on that instead of `stack`. The points of one on
        a very high stack are its topmost layers, too.
        """
        points = f"{active}/{_POINTS}"
        base = _base(active) if active and not stack else ""
        lowers = [base] if base else self.lowers(stack)
        if active and os.path.isdir(points):
            return [points, *lowers[-_MOST_BELOW:]]
        return lowers

    def view(self, stack: Stack, *, active: str | None = None) -> Directory:
        """Return the root of `stack`, to be looked at without mounting.

        With `active` there are its mount points too, but not the changes.
        """
        from knarr.snapshot.lowers import Directory  # noqa: PLC0415 - not for running containers

        return Directory(self._lowers(stack, active))

    def apply(
        self,
        tar: Source,
        *,
        parents: Stack = (),
        diff_id: Digest | None = None,
        progress: Callable[[int], object] | None = None,
        limits: Limits | None = None,
    ) -> Applied:
        """Unpack an uncompressed layer onto `parents` and make it a tree.

        With `diff_id` the bytes are verified before the tree gets its name; if there is such a tree
        already, `tar` is not even read. `progress` is called with the number of bytes of each read.

        Raises: Corrupt, InvalidArgument
        """
        from knarr.oci.config import chain_id as chain  # noqa: PLC0415 - not for running containers
        from knarr.snapshot import apply  # noqa: PLC0415

        parent = parents[-1] if parents else None
        if diff_id and self.has(expected := chain(parent, diff_id)):
            return Applied(diff_id, expected, self.usage(self.path(expected)).size, kept=True)
        with storage("unpacking the layer"), self._trees.incoming() as incoming:
            source = apply.HashingReader(tar, progress)
            size = apply.unpack_layer(
                source, incoming.descriptor, parents=self.view(parents), limits=limits or Limits()
            )
            found = source.digest()
            if diff_id not in (None, found):
                message = f"layer {diff_id} is what was promised, {found} came"
                raise Corrupt(message)
            result = chain(parent, found)
            kept = not incoming.publish(result.hex)
        return Applied(found, result, size, kept=kept, tar_size=source.size)

    def adopt(
        self,
        upper_dir: str,
        *,
        parents: Stack = (),
        latest_ns: int | None = None,
        contents: Contents | None = None,
    ) -> Applied:
        """Make an upper directory a tree by moving it; it must not be mounted any more.

        Its diff ID is that of the tar that `write_layer` would write, from now on without any time
        after `latest_ns`. What `contents` has of the files is not read again, or copied only now.
        """
        from knarr.oci.config import chain_id as chain  # noqa: PLC0415 - not for running containers
        from knarr.snapshot import diff  # noqa: PLC0415

        with storage("making a layer of the changes"), diff.HashingSink() as sink:
            parent = self.view(parents)
            size = diff.write_upper(upper_dir, sink, parent, latest_ns=latest_ns, contents=contents)
            diff_id = sink.digest()
            result = chain(parents[-1] if parents else None, diff_id)
            kept = not self._trees.publish(upper_dir, result.hex)
            if kept:
                from knarr.linux.tree import remove_path  # noqa: PLC0415 - rare

                remove_path(upper_dir)
        return Applied(diff_id, result, size, kept=kept, tar_size=sink.size)

    def latest_ns(self, stack: Stack) -> int | None:
        """Return the last time that the tars of these layers have, if all were held to one."""
        from knarr.snapshot import diff  # noqa: PLC0415 - not for running containers

        found = [diff.latest_of(self._existing(chain_id)) for chain_id in stack]
        known = [latest for latest in found if latest is not None]
        return max(known) if known and len(known) == len(found) else None

    def incoming(self) -> Incoming:
        """Return a place beside the trees for a tree to be made in, for a `with` statement."""
        return self._trees.incoming()

    def capture(self, upper_dir: str, target_dir: str) -> None:
        """Copy an upper directory into the empty `target_dir`, which can then be adopted.

        The upper directory may be in use; nobody should write there meanwhile.
        """
        from knarr.snapshot import copy  # noqa: PLC0415 - not for running containers

        with storage("copying the changes"):
            copy.copy_upper(upper_dir, target_dir)
            copy_attributes(upper_dir, target_dir)

    def merge(self, stack: Stack, count: int, target_dir: str) -> None:
        """Make the empty `target_dir` what can be adopted in place of all but `count` layers.

        Raises: Corrupt, Unsupported
        """
        from knarr.snapshot import merge  # noqa: PLC0415 - not for running containers

        root_fd = self.mount(stack, readonly=True)
        try:
            with storage("merging layers"):
                bottom = self.view(stack[:count])
                merge.merge(root_fd, target_dir, stack=self.view(stack), bottom=bottom)
                copy_attributes(f"/proc/self/fd/{root_fd}/.", target_dir)
        finally:
            os.close(root_fd)

    def write_layer(self, chain_id: Digest, out: Sink) -> Digest:
        """Write the tar of a tree and return its diff ID. Equal trees give equal bytes."""
        from knarr.snapshot import diff  # noqa: PLC0415 - not for running containers

        with storage("packing the layer"), diff.HashingSink(out) as sink:
            diff.write_layer(self._existing(chain_id), sink)
            return sink.digest()

    def prepare(
        self,
        directory: str,
        stack: Stack = (),
        *,
        points: Iterable[tuple[str, str]] = (),
        base: str = "",
    ) -> None:
        """Make `upper` and `work` in `directory`, for changes to `stack`.

        `base` is a directory of the host to stand on, with an empty stack; nothing changes it.

        The root directory of a mount is the upper one: it begins as that of the stack. `points` are
        what will be mounted on: those that the stack lacks are made, and are no changes to it.
        """
        upper = f"{directory}/upper"
        with storage("preparing the container's file system"):
            os.makedirs(f"{directory}/work", 0o700, exist_ok=True)
            try:
                os.mkdir(upper, 0o755)
            except FileExistsError:
                return
            if base:
                os.symlink(base, f"{directory}/{_BASE}")
            root = self.view(stack, active=directory)
            if len(stack) > _MOST_BELOW:
                os.mkdir(f"{directory}/{_POINTS}", 0o755)
                self.merge(stack, _MOST_BELOW, f"{directory}/{_POINTS}")
            copy_attributes(self._lowers(stack, directory)[0], upper)
            if points:
                from knarr.snapshot.points import make_points  # noqa: PLC0415 - once a container

                make_points(f"{directory}/{_POINTS}", root, points)

    def overlay_options(
        self, stack: Stack, active: str | None = None, *, volatile: bool = False
    ) -> list[tuple[str, str]]:
        """Return what `linux.overlay` mounts: `stack`, with the changes in `active` on top.

        `volatile` mounts are not flushed when unmounted: for what need not survive a power cut.
        """
        options = [("lowerdir+", path) for path in self._lowers(stack, active)]
        if not active and len(options) == 1:
            options.append(("lowerdir+", self._trees.empty()))  # overlay wants two directories
        if active:
            options += [("upperdir", f"{active}/upper"), ("workdir", f"{active}/work")]
            if volatile:
                _forget_volatile(active)
                options.append(("volatile", ""))
        return options + _PLAIN

    def mount(
        self,
        stack: Stack,
        *,
        active: str | None = None,
        readonly: bool = False,
        volatile: bool = False,
    ) -> int:
        """Mount `stack` nowhere and return the descriptor (O_PATH); closing it unmounts.

        With `active` the changes there are shown, and made there unless `readonly`: then they are
        only looked at, which is allowed also while a container runs on them.

        Raises: Corrupt, Unsupported
        """
        if active and not readonly:
            options = self.overlay_options(stack, active, volatile=volatile)
        else:
            lowers = [f"{active}/upper"] if active else []
            if stack or not active or _base(active):
                lowers += self._lowers(stack, active)
            if len(lowers) == 1:
                return self._clone(stack, lowers[0])
            options = [*(("lowerdir+", path) for path in lowers), *_PLAIN]
        from knarr.linux import overlay  # noqa: PLC0415 - a start needs no mount of ours

        try:
            return overlay.open_mount(options)
        except OSError as error:
            self._explain(stack, error)
            raise

    def show(self, stack: Stack, *, source: str) -> int:
        """Mount `stack` nowhere, for people to look at, and return the descriptor (O_PATH).

        Read-only, without devices and set-user-ID. The mount table calls it `source`.

        Raises: Corrupt, Unsupported
        """
        from knarr.linux import mount, overlay  # noqa: PLC0415 - for who asks for it

        attributes = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV
        options = [("source", source), *self.overlay_options(stack)]
        try:
            return overlay.open_mount(options, attributes=attributes)
        except OSError as error:
            self._explain(stack, error)
            raise

    def usage(self, directory: str) -> Usage:
        """Return what a tree or an upper directory takes."""
        from knarr.snapshot import usage  # noqa: PLC0415 - not for running containers

        return usage.of(directory)

    def changes(self, active: str, stack: Stack) -> Iterator[Change]:
        """Yield what was changed in `active`, directories before what is in them.

        Docker: "docker diff"
        """
        from knarr.snapshot import changes  # noqa: PLC0415 - not for running containers

        return changes.between(f"{active}/upper", self.view(stack, active=active))

    def remove(self, chain_id: Digest) -> None:
        """Remove a tree. Nothing may be mounted on it."""
        self._trees.remove(chain_id.hex)

    def detach(self, chain_id: Digest) -> str:
        """Take its name from a tree at once, and return what `discard` deletes in its own time."""
        return self._trees.detach(chain_id.hex)

    def discard(self, detached: str) -> None:
        """Delete what `detach` left of a tree."""
        self._trees.discard(detached)

    def sync(self) -> None:
        """Make all trees survive a power cut: to be called before the first record of them."""
        with storage("writing layers to disk"):
            self._trees.sync()

    def sweep(self) -> list[str]:
        """Remove what ended processes left unfinished; return names of what was found."""
        return self._trees.sweep()

    def list(self) -> list[str]:
        """Return the chain IDs of all trees, in hexadecimal digits."""
        return self._trees.names()

    def _existing(self, chain_id: Digest) -> str:
        path = self.path(chain_id)
        if not os.path.isdir(path):
            message = f"the tree of layer {chain_id} is missing"
            raise Corrupt(message, hint="Pull, load or build the image again.")
        return path

    def _clone(self, stack: Stack, directory: str) -> int:
        from knarr.linux import overlay  # noqa: PLC0415 - as above

        try:
            return overlay.open_clone(directory, readonly=True)
        except OSError as error:
            self._explain(stack, error)
            raise

    def _explain(self, stack: Stack, error: OSError) -> None:
        """Raise what a failure to mount means, if it means anything to a user."""
        from knarr.linux.overlay import MAX_LOWERS  # noqa: PLC0415 - loaded by now

        if len(stack) > MAX_LOWERS:
            message = f"a stack of {len(stack)} layers is more than overlayfs can mount"
            hint = f"It takes {MAX_LOWERS}: join RUN instructions, or squash the image."
            raise Unsupported(message, hint=hint) from error
        if error.errno == errno.ENOENT:
            for chain_id in stack:
                self._existing(chain_id)


def _base(active: str) -> str:
    """Return the directory of the host that `active` stands on, empty if it stands on layers."""
    try:
        return os.readlink(f"{active}/{_BASE}")
    except FileNotFoundError:
        return ""


def copy_attributes(source: str, target: str) -> None:
    """Give the directory `target` owner, mode, attributes and times of the directory `source`."""
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, status.st_mode & 0o7777)
    for name, value in xattr.read_all(source).items():
        if not name.startswith(whiteout.XATTRS):
            xattr.write(target, name, value)
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _forget_volatile(active: str) -> None:
    """Allow a further volatile mount of `active`.

    Overlay leaves a mark and refuses what has it, since after a power cut data may be lacking. That
    the changes may be used again is for the caller to know, who asked for `volatile` again.
    """
    mark = f"{active}/work/work/incompat"
    if os.path.isdir(mark):
        from knarr.linux.tree import remove_path  # noqa: PLC0415 - at the second start alone

        remove_path(mark)
