"""Stacks mounted by overlayfs, and upper directories that become layers."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr.errors import Corrupt, Failed, Unsupported
from knarr.linux import mount, overlay
from knarr.oci.digest import Digest, digest_of
from knarr.snapshot.overlay import Layers
from knarr.util import tar
from support.archives import archive
from support.trees import fill, listing

if TYPE_CHECKING:
    from knarr.snapshot.snapshotter import Stack

pytestmark = pytest.mark.root


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(str(tmp_path / "layers"))


@pytest.fixture
def active(tmp_path: Path) -> str:
    path = tmp_path / "active"
    path.mkdir()
    return str(path)


def stack_of(layers: Layers, *texts: str) -> Stack:
    stack: Stack = ()
    for text in texts:
        stack += (layers.apply(archive(text), parents=stack).chain_id,)
    return stack


@contextmanager
def mounted(descriptor: int) -> Iterator[Path]:
    """Give a detached mount a path for this process."""
    before = len(Path("/proc/self/mounts").read_text().splitlines())
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    assert len(Path("/proc/self/mounts").read_text().splitlines()) == before


def many(layers: Layers, count: int) -> Stack:
    texts = (f"file common data={number}\nfile f{number} data=x" for number in range(count))
    return stack_of(layers, *texts)


@pytest.mark.parametrize("count", [1, 2, 128, 200])
def test_stacks_of_many_layers(layers: Layers, active: str, count: int) -> None:
    stack = many(layers, count)
    with mounted(layers.mount(stack)) as root:
        assert (root / "common").read_text() == str(count - 1)
        assert len(os.listdir(root)) == count + 1
        with pytest.raises(OSError, match="Read-only"):
            (root / "new").touch()
    layers.prepare(active, stack)
    with mounted(layers.mount(stack, active=active)) as root:
        (root / "common").write_text("changed")
        (root / "f0").unlink()
        assert len(os.listdir(root)) == count
    assert sorted(os.listdir(f"{active}/upper")) == ["common", "f0"]


@pytest.mark.parametrize("count", [1, 20, 200])
def test_older_kernels_mount_through_a_helper(layers: Layers, active: str, count: int) -> None:
    stack = many(layers, count)
    layers.prepare(active, stack)
    options = layers.overlay_options(stack, active)
    with mounted(overlay.open_mount_by_helper(options)) as root:
        (root / "new").write_text("new")
        assert len(os.listdir(root)) == count + 2
    assert os.listdir(f"{active}/upper") == ["new"]
    options = layers.overlay_options(stack)
    readonly = overlay.open_mount_by_helper(options, attributes=mount.MOUNT_ATTR_RDONLY)
    with mounted(readonly) as root, pytest.raises(OSError, match="Read-only"):
        (root / "new").touch()


def test_what_the_helper_meets_is_told(layers: Layers) -> None:
    with pytest.raises(FileNotFoundError):
        overlay.open_mount_by_helper([("lowerdir+", f"{layers.layers_dir}/nothing")])


def test_paths_longer_than_fsconfig_takes(tmp_path: Path) -> None:
    deep = Layers(str(tmp_path / ("d" * 200) / "layers"))
    with mounted(deep.mount(stack_of(deep, "file a data=1", "file b data=2"))) as root:
        assert sorted(os.listdir(root)) == ["a", "b"]


def test_the_empty_stack(layers: Layers, active: str) -> None:
    with mounted(layers.mount(())) as root:
        assert os.listdir(root) == []
    layers.prepare(active)
    with mounted(layers.mount((), active=active)) as root:
        (root / "directory").mkdir()
        (root / "directory/file").write_text("first")
    adopted = layers.adopt(f"{active}/upper")
    assert listing(Path(layers.path(adopted.chain_id)), times=False) == [
        "d 0755 0:0 directory", "- 0644 0:0 directory/file 5 'first'",
    ]  # fmt: skip


def test_too_many_layers(layers: Layers) -> None:
    stack = tuple(digest_of(b"%d" % number) for number in range(501))
    for chain_id in stack:
        os.makedirs(layers.path(chain_id))
    with pytest.raises(Unsupported, match="501 layers"):
        layers.mount(stack)
    with mounted(layers.mount(stack[:500])) as root:
        assert os.listdir(root) == []


def test_a_layer_that_is_missing(layers: Layers) -> None:
    stack = stack_of(layers, "file a data=1", "file b data=2")
    layers.remove(stack[0])
    with pytest.raises(Corrupt, match=stack[0]):
        layers.mount(stack)


def test_the_root_directory_is_that_of_the_stack(layers: Layers, active: str) -> None:
    stack = stack_of(layers, "dir ./ mode=1770 uid=5 gid=6 mtime=7 xattr=user.root=yes")
    layers.prepare(active, stack)
    with mounted(layers.mount(stack, active=active)) as root:
        status = root.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1770, 5, 6)
        assert os.getxattr(root, "user.root") == b"yes"


def test_an_upper_directory_stays_plain(layers: Layers, active: str) -> None:
    """It can be moved and be a lower directory, whatever was done in the mount."""
    stack = stack_of(
        layers, "dir d/\nfile d/big data=content\nfile d/other data=2\nlink hard to=d/big"
    )
    layers.prepare(active, stack)
    with mounted(layers.mount(stack, active=active)) as root:
        with pytest.raises(OSError, match="cross-device"):
            (root / "d").rename(root / "renamed")
        (root / "d/big").chmod(0o600)
        (root / "d/other").rename(root / "d/moved")
        (root / "new/below").mkdir(parents=True)
        (root / "new/below/file").write_text("x")
        expected = listing(root)
    upper = Path(active, "upper")
    assert (upper / "d/big").read_text() == "content"
    adopted = layers.adopt(str(upper), parents=stack)
    assert not upper.exists()
    tree = Path(layers.path(adopted.chain_id))
    assert not [line for line in listing(tree, root_too=True) if "trusted.overlay" in line]
    with mounted(layers.mount((*stack, adopted.chain_id))) as root:
        assert listing(root) == expected


def test_what_was_replaced_hides_the_lower_one(layers: Layers, active: str) -> None:
    stack = stack_of(
        layers, "dir d/\nfile d/lower data=1\nfile gone data=2\ndir tree/\nfile tree/x"
    )
    layers.prepare(active, stack)
    with mounted(layers.mount(stack, active=active)) as root:
        (root / "d/lower").unlink()
        (root / "d").rmdir()
        (root / "d").mkdir()
        (root / "d/upper").write_text("3")
        (root / "gone").unlink()
        (root / "tree/x").unlink()
        (root / "tree").rmdir()
        expected = listing(root)
    adopted = layers.adopt(f"{active}/upper", parents=stack)
    out = io.BytesIO()
    assert layers.write_layer(adopted.chain_id, out) == adopted.diff_id
    other = Layers(f"{active}/other")
    below = stack_of(other, "dir d/\nfile d/lower data=1\nfile gone data=2\ndir tree/\nfile tree/x")
    again = other.apply(io.BytesIO(out.getvalue()), parents=below, diff_id=adopted.diff_id)
    with mounted(other.mount((*below, again.chain_id))) as root:
        assert listing(root) == expected


def test_adopting_is_applying(layers: Layers, active: str, tmp_path: Path) -> None:
    """A tree that was moved and one made from its tar are the same in every respect."""
    stack = stack_of(layers, "dir var/\nfile var/lower data=1")
    layers.prepare(active, stack)
    with mounted(layers.mount(stack, active=active)) as root:
        fill(root)
        os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
        os.utime(root, ns=(10**18, 10**18))
    adopted = layers.adopt(f"{active}/upper", parents=stack)
    out = io.BytesIO()
    layers.write_layer(adopted.chain_id, out)
    other = Layers(str(tmp_path / "other"))
    again = other.apply(
        io.BytesIO(out.getvalue()), parents=stack_of(other, "dir var/\nfile var/lower data=1")
    )
    assert again.replace(kept=adopted.kept) == adopted
    assert listing(Path(other.path(again.chain_id)), root_too=True) == listing(
        Path(layers.path(adopted.chain_id)), root_too=True
    )


def test_two_make_the_same_layer(layers: Layers, tmp_path: Path) -> None:
    text = "dir d/ mtime=5\nfile d/a data=1"
    first = layers.apply(archive(text))
    second = layers.apply(archive(text))
    assert (first.kept, second.kept) == (False, True)
    assert second.replace(kept=False) == first
    out = io.BytesIO()
    layers.write_layer(first.chain_id, out)
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in (tree / "d", tree):
        name.mkdir(exist_ok=True)
    (tree / "d/a").write_text("1")
    for path, when in ((tree / "d/a", 0), (tree / "d", 5), (tree, 0)):
        os.utime(path, (when, when))
    assert layers.adopt(str(tree)).diff_id == digest_of(out.getvalue())


def test_a_promise_is_kept_or_nothing_is(layers: Layers) -> None:
    promised = digest_of(b"something else")
    with pytest.raises(Corrupt, match=promised):
        layers.apply(archive("file a data=1"), diff_id=promised)
    assert layers.list() == []


def test_what_is_there_is_not_read_again(layers: Layers) -> None:
    applied = layers.apply(archive("file a data=1"))
    again = layers.apply(io.BytesIO(b"nothing"), diff_id=applied.diff_id)
    assert (again.chain_id, again.size, again.kept) == (applied.chain_id, 1, True)


def test_equal_layers_on_different_ones_are_two_trees(layers: Layers) -> None:
    one = stack_of(layers, "file a data=1", "file b data=2")
    other = stack_of(layers, "file c data=3", "file b data=2")
    assert one[1] != other[1]
    assert len(layers.list()) == 4


def test_a_volatile_mount_can_be_made_again(layers: Layers, active: str) -> None:
    stack = stack_of(layers, "file a data=1")
    layers.prepare(active, stack)
    for number in range(2):
        with mounted(layers.mount(stack, active=active, volatile=True)) as root:
            (root / f"{number}").touch()
    assert sorted(os.listdir(f"{active}/upper")) == ["0", "1"]


def test_looking_at_changes_while_they_are_made(layers: Layers, active: str) -> None:
    stack = stack_of(layers, "file a data=1\nfile b data=2")
    layers.prepare(active, stack)
    with mounted(layers.mount(stack, active=active)) as root:
        (root / "a").write_text("changed")
        (root / "b").unlink()
        with mounted(layers.mount(stack, active=active, readonly=True)) as view:
            assert (view / "a").read_text() == "changed"
            assert os.listdir(view) == ["a"]
            with pytest.raises(OSError, match="Read-only"):
                (view / "a").write_text("x")


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    fs_fd = mount.fsopen("tmpfs")
    mount.fsconfig_string(fs_fd, "size", "1m")
    mount.fsconfig_create(fs_fd)
    small = mount.fsmount(fs_fd)
    os.close(fs_fd)
    with mounted(small) as root:
        layers = Layers(str(root / "layers"))
        header = tar.render_block(tar.Entry(b"big", size=2 << 20))
        with pytest.raises(Failed, match="no space left") as caught:
            layers.apply(io.BytesIO(header + b"x" * (2 << 20)))
        assert "big" in caught.value.message
        assert caught.value.hint
        assert layers.list() == []
        assert os.listdir(layers.layers_dir) == [".empty"]


def test_names_that_a_layer_cannot_hold(layers: Layers, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".wh.file").touch()
    with pytest.raises(Corrupt, match=r"/\.wh\.file cannot be in a layer"):
        layers.adopt(str(tree))


def test_a_bomb_of_holes_costs_nothing(layers: Layers, tmp_path: Path) -> None:
    """As /var/log/lastlog is, for a user with a large number."""
    tree = tmp_path / "tree"
    tree.mkdir()
    with open(tree / "lastlog", "wb") as file:
        file.seek(1 << 40)
        file.write(b"last")
    adopted = layers.adopt(str(tree))
    assert adopted.size == (1 << 40) + 4
    out = io.BytesIO()
    assert layers.write_layer(adopted.chain_id, out) == adopted.diff_id
    assert len(out.getvalue()) < 1 << 20
    other = Layers(str(tmp_path / "other"))
    again = other.apply(io.BytesIO(out.getvalue()))
    lastlog = Path(other.path(again.chain_id), "lastlog")
    assert lastlog.stat().st_size == (1 << 40) + 4
    with open(lastlog, "rb") as file:
        file.seek(1 << 40)
        assert file.read() == b"last"


def test_digests_are_of_the_whole_stream(layers: Layers) -> None:
    data = archive("file a data=1").getvalue() + b"and something after the end"
    applied = layers.apply(io.BytesIO(data))
    assert applied.diff_id == digest_of(data)
    assert isinstance(applied.chain_id, Digest)
