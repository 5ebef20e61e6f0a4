"""Power cuts, replayed: what a disk may hold if the power fails between any two system calls.

    log = record(command, root)            strace(1) of a command, and the directory before it
    for cut in log.cuts(): cut.make(path)  a directory as it may be found after the cut

What is lost is what nothing has synced. A file's contents are on the disk after fsync(2) of the
file, a directory's names after fsync(2) of the directory, everything after syncfs(2); a rename is
there as a whole or not at all. What was not synced may be there or not: of each moment three disks
are made.

    bare     nothing but what was synced
    names    all names, as a journal of metadata alone keeps them: what was not synced is empty
    mixed    of each directory the names now or those synced, of each file what was written or what
             was synced, by chance

SQLite's files are treated like all others, write by write. Its shared memory (`-shm`) is left out:
no power cut leaves memory.
"""

from __future__ import annotations

import os
import random
import re
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    View = Callable[["Node"], tuple[dict[str, "Node"], bytes | None]]

_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_HALF = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$")
_REST = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")
_WORD = re.compile(
    r'"(?P<text>(?:\\x\w\w)*)"(?:\.\.\.)?|(?:-?\d+|AT_FDCWD)<(?P<fd>(?:\\x\w\w)*)>'
    r'|(?P<other>\{[^}]*\}|[^\s,{"]+)'
)


class Node:
    """A file, directory or anything else that has had a name."""

    def __init__(self, kind: str, source: Path | None = None, target: str = "") -> None:
        """`source` is where its like is found: contents that were not traced, and attributes."""
        self.kind = kind
        self.source = source
        self.target = target
        self.names: dict[str, Node] = {}  # of a directory, now
        self.synced: dict[str, Node] = {}  # and on the disk
        self.data = bytearray()
        self.kept: bytes | None = None  # on the disk; None stands for what `source` has
        self.whole = source is not None  # its contents are those of `source`
        self.traced = False  # it was made by a call, and not there before

    def settle(self) -> None:
        """Let everything of it be on the disk."""
        self.synced = dict(self.names)
        self.kept = None if self.whole else bytes(self.data)


class Log:
    """A command's calls, and the directory it worked on: `before` it, and at its end, `root`."""

    def __init__(self, root: Path, before: Path, lines: Sequence[str]) -> None:
        self.root = root
        self.before = before
        self._calls = [call for line in _joined(lines) if (call := _parse(line))]
        self._final: dict[int, Path] = {}

    def cuts(self, chance: random.Random) -> Iterator[Cut]:
        """Yield the disks that there may be, each different one once."""
        disk = Disk(self.root, self.before, {})
        for call in self._calls:
            disk.do(*call)
        final = disk.places()
        disk = Disk(self.root, self.before, final)
        seen: set[object] = set()
        for number, call in enumerate(self._calls):
            if not disk.do(*call):
                continue
            for cut in disk.variants(f"after call {number}: {call[0]}", chance):
                if cut.signature not in seen:
                    seen.add(cut.signature)
                    yield cut


class Disk:
    """A directory as calls change it."""

    def __init__(self, root: Path, before: Path, final: dict[int, Path]) -> None:
        """Begin with what is in `before`; `final` are the last places of nodes, by their number."""
        self._root = str(root)
        self._final = final
        self._made: list[Node] = []
        self.top = self._load(before)
        self._pending: list[Callable[[], object]] = []

    def _load(self, path: Path) -> Node:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            node = Node("link", path, os.readlink(path))
        elif stat.S_ISDIR(status.st_mode):
            node = Node("directory", path)
            node.names = {name: self._load(path / name) for name in sorted(os.listdir(path))}
        else:
            node = Node("file" if stat.S_ISREG(status.st_mode) else "device", path)
        if node.kind == "file" and status.st_size < 1 << 20:
            node.data, node.whole = bytearray(path.read_bytes()), False
        node.settle()
        return node

    def _new(self, kind: str, target: str = "") -> Node:
        number = len(self._made)
        node = Node(kind, self._final.get(number), target)
        node.whole, node.kept, node.traced = False, b"", True
        self._made.append(node)
        return node

    def places(self) -> dict[int, Path]:
        """Return where the nodes that were made are now."""
        numbers = {id(node): number for number, node in enumerate(self._made)}
        found: dict[int, Path] = {}

        def walk(node: Node, path: Path) -> None:
            if id(node) in numbers:
                found[numbers[id(node)]] = path
            for name, below in node.names.items():
                walk(below, path / name)

        walk(self.top, Path(self._root))
        return found

    # calls

    def do(self, name: str, words: list[tuple[str, str]], result: int) -> bool:
        """Do a call; tell whether it changed anything below the root."""
        if result < 0:
            return False
        name = _ALIKE[name]
        if name == "syncfs":
            self._settle(self.top)
            return True
        places = self._places(words[1:] if name == "symlink" else words)
        if not places:
            return False
        return bool(getattr(self, f"_{name}")(places, words, result))

    def _places(self, words: list[tuple[str, str]]) -> list[list[str]]:
        """Return the paths of a call as parts below the root, all of them or none."""
        found, base = [], ""
        for kind, word in words:
            if kind == "fd":
                base = word
            elif kind == "text":
                path = os.path.normpath(os.path.join(base or "/", word))
                found.append(path)
        if not found and base:
            found = [base]
        inside = [p for p in found if p.startswith(f"{self._root}/") or p == self._root]
        if len(inside) != len(found):
            return []
        return [[part for part in p[len(self._root) :].split("/") if part] for p in inside]

    def _find(self, parts: list[str]) -> Node | None:
        node: Node | None = self.top
        for part in parts:
            node = node.names.get(part) if node else None
        return node

    def _set(self, parts: list[str], node: Node) -> bool:
        parent = self._find(parts[:-1])
        if parent is None:
            return False
        parent.names[parts[-1]] = node
        return True

    def _open(self, places: list[list[str]], words: list[tuple[str, str]], _: int) -> bool:
        flags = "".join(word for kind, word in words if kind == "other")
        node = self._find(places[0])
        if node is None:
            return "O_CREAT" in flags and self._set(places[0], self._new("file"))
        if "O_TRUNC" in flags and node.kind == "file":
            node.data, node.whole = bytearray(), False
            return True
        return False

    def _mkdir(self, places: list[list[str]], *_: object) -> bool:
        return self._set(places[0], self._new("directory"))

    def _mknod(self, places: list[list[str]], *_: object) -> bool:
        return self._set(places[0], self._new("device"))

    def _symlink(self, places: list[list[str]], words: list[tuple[str, str]], _: int) -> bool:
        return self._set(places[0], self._new("link", words[0][1]))

    def _link(self, places: list[list[str]], *_: object) -> bool:
        node = self._find(places[0]) if len(places) == 2 else None
        return node is not None and self._set(places[1], node)

    def _rename(self, places: list[list[str]], words: list[tuple[str, str]], _: int) -> bool:
        source, target = (self._find(place[:-1]) for place in places)
        if source is None or target is None:
            return False
        old, new = places[0][-1], places[1][-1]
        node = source.names.pop(old, None) or self._new("directory")  # made out of our sight
        if any("RENAME_EXCHANGE" in word for _, word in words):
            source.names[old] = target.names[new]
        target.names[new] = node
        return True

    def _unlink(self, places: list[list[str]], *_: object) -> bool:
        parent = self._find(places[0][:-1])
        return parent is not None and parent.names.pop(places[0][-1], None) is not None

    def _write(self, places: list[list[str]], words: list[tuple[str, str]], count: int) -> bool:
        node = self._find(places[-1])
        if node is None or node.kind != "file":
            return False
        texts = [bytes.fromhex(word.replace("\\x", "")) for kind, word in words if kind == "hex"]
        if not texts:
            node.whole = node.source is not None  # copied by the kernel: as in the end
            return True
        offset = int(words[-1][1]) if words[-1][1].isdigit() and len(words) == 4 else len(node.data)
        data = texts[0][:count]
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data
        return True

    def _ftruncate(self, places: list[list[str]], words: list[tuple[str, str]], _: int) -> bool:
        node, size = self._find(places[0]), int(words[-1][1])
        if node is None or node.kind != "file":
            return False
        del node.data[size:]
        node.data.extend(bytes(size - len(node.data)))
        node.whole = False
        return True

    def _fsync(self, places: list[list[str]], *_: object) -> bool:
        node = self._find(places[0])
        if node is None:
            return False
        if node.kind == "directory":
            self._settle_names(node)
        else:
            node.settle()
        return True

    def _settle_names(self, node: Node) -> None:
        """Let a directory's names be on the disk, and renames to and from it as a whole."""
        moved = [n for n in node.names.values() if n not in node.synced.values()]
        node.synced = dict(node.names)
        for directory in self._directories(self.top):
            if directory is not node:
                for name, below in list(directory.synced.items()):
                    if below in moved and directory.names.get(name) is not below:
                        del directory.synced[name]

    def _directories(self, node: Node) -> Iterator[Node]:
        if node.kind == "directory":
            yield node
            for below in {*node.names.values(), *node.synced.values()}:
                yield from self._directories(below)

    def _settle(self, node: Node) -> None:
        node.settle()
        for below in node.names.values():
            self._settle(below)

    # what may be found

    def variants(self, moment: str, chance: random.Random) -> Iterator[Cut]:
        """Yield the disks that there may be at this moment."""
        yield Cut(moment, "bare", self.top, lambda node: (node.synced, node.kept))
        yield Cut(moment, "names", self.top, lambda node: (node.names, node.kept))
        choices: dict[int, tuple[dict[str, Node], bytes | None]] = {}

        def mixed(node: Node) -> tuple[dict[str, Node], bytes | None]:
            if id(node) not in choices:
                now = None if node.whole else bytes(node.data)
                names = chance.choice((node.names, node.synced))
                choices[id(node)] = names, chance.choice((now, node.kept))
            return choices[id(node)]

        yield Cut(moment, "mixed", self.top, mixed)


# Calls that are traced, by the one that is alike.
_ALIKE = {
    "open": "open",
    "openat": "open",
    "openat2": "open",
    "creat": "open",
    "mkdirat": "mkdir",
    "mknodat": "mknod",
    "symlinkat": "symlink",
    "linkat": "link",
    "renameat": "rename",
    "renameat2": "rename",
    "unlinkat": "unlink",
    "rmdir": "unlink",
    "pwrite64": "write",
    "writev": "write",
    "pwritev": "write",
    "copy_file_range": "write",
    "sendfile": "write",
    "fdatasync": "fsync",
    **{
        name: name
        for name in ("mkdir", "mknod", "symlink", "link", "rename", "unlink", "write", "fsync")
    },
    "ftruncate": "ftruncate",
    "syncfs": "syncfs",
    "sync": "syncfs",
}


class Cut:
    """One disk that may be found."""

    def __init__(self, moment: str, variant: str, top: Node, view: View) -> None:
        """Take what `view` shows of each node now: it changes later."""
        self.name = f"{variant}, {moment}"
        self._tree = _freeze(top, view)
        self.signature = _signature(self._tree)

    def make(self, path: Path) -> None:
        """Make the directory `path` of it."""
        _make(self._tree, path)


class Frozen:
    """A node as of one moment."""

    def __init__(self, node: Node, names: dict[str, Frozen], data: bytes | None) -> None:
        self.node = node
        self.names = names
        self.data = data


def _freeze(node: Node, view: View) -> Frozen:
    names, data = view(node)
    below = {n: _freeze(b, view) for n, b in sorted(names.items()) if not n.endswith("-shm")}
    return Frozen(node, below, data)


def _signature(tree: Frozen) -> object:
    below = tuple((name, _signature(node)) for name, node in tree.names.items())
    return id(tree.node), tree.data, below


def _make(tree: Frozen, path: Path) -> None:
    node = tree.node
    source = node.source if node.source is not None and os.path.lexists(node.source) else None
    if node.kind == "directory":
        path.mkdir(mode=0o700)
        for name, below in tree.names.items():
            _make(below, path / name)
        _add_unseen(node, source, path)
    elif node.kind == "link":
        path.symlink_to(node.target)
    elif node.kind == "device":
        if source is None:
            return
        os.mknod(path, source.stat().st_mode, source.stat().st_rdev)
    elif tree.data is None and source is not None:
        os.link(source, path)  # nobody writes to what is so big, nor to what is copied
        return
    else:
        path.write_bytes(tree.data or b"")
    if source is not None and node.kind != "link":
        _copy_attributes(source, path)


def _add_unseen(node: Node, source: Path | None, path: Path) -> None:
    """Add what processes in mounts of their own have put into a directory: it is not traced."""
    empty = not node.names and not node.synced
    if node.traced and empty and source is not None and os.listdir(source):
        subprocess.run(["cp", "-a", f"{source}/.", path], check=True)


def _copy_attributes(source: Path, path: Path) -> None:
    status = source.stat()
    os.chown(path, status.st_uid, status.st_gid)
    for name in os.listxattr(source):
        os.setxattr(path, name, os.getxattr(source, name))
    path.chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def record(command: Sequence[str], root: Path, scratch: Path) -> Log:
    """Run a command under strace(1) and return what it did below `root`."""
    before, trace = scratch / "before", scratch / "trace"
    subprocess.run(["cp", "-a", root, before], check=True)
    strace = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "10000000",
        "-e",
        f"trace={','.join(_ALIKE)}",
        "-o",
        str(trace),
    ]
    done = subprocess.run([*strace, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Log(root, before, trace.read_text().splitlines())


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Yield calls as one line each, when they end."""
    halves: dict[str, str] = {}
    for line in lines:
        if half := _HALF.match(line):
            halves[half[1]] = half[2]
        elif rest := _REST.match(line):
            yield f"{rest[1]} {halves.pop(rest[1], '')}{rest[2]}"
        else:
            yield line


def _parse(line: str) -> tuple[str, list[tuple[str, str]], int] | None:
    """Return the name, the words and the result of a call."""
    match = _LINE.match(line)
    if match is None:
        return None
    name, words = match[2], []
    for word in _WORD.finditer(match[3]):
        kind, text = str(word.lastgroup), word[str(word.lastgroup)]
        if kind == "text" and name in ("write", "pwrite64"):
            words.append(("hex", text))
        else:
            words.append((kind, text if kind == "other" else _decoded(text)))
    return name, words, int(match[4])


def _decoded(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode("utf-8", "surrogateescape")
