"""Trees of files over a session, in both directions.

The sender tells all files first, in the order of a walk, then sends the contents that the receiver
asks for, by their number in that order, several at once:

    STAT* STAT(nothing)   REQ(number)…   DATA(number, bytes)… DATA(number, nothing)   FIN

What is received becomes an archive, so that it is unpacked with the same care as any other. An
archive wants one file after the other: so a few small ones are asked for ahead, as many as fit into
`AHEAD`, and wait here for their turn. A large one is passed on while it comes.

Names and modes are those of Go: `/` between names, and the bits of its FileMode.

Spec: fsutil, the protocol of its packages send and receive; Go, package io/fs, FileMode
"""

from __future__ import annotations

import asyncio
import os
import stat
from urllib.parse import quote_plus

from knarr.api.buildkit.schema import TREE, message
from knarr.engine.build.sent import Unpacking
from knarr.errors import Corrupt, Failed, InvalidArgument
from knarr.util import tar
from knarr.util.tarwriter import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from typing import Any

    from knarr.api.buildkit.sessions import Session

PACKET = message(f"{TREE}.Packet")
STAT, REQ, DATA, FIN, ERR = range(5)
AHEAD = 8 << 20  # bytes of small files that are asked for ahead
SMALL = 1 << 20
CHUNK = 32 << 10  # of a content that is sent
MOST_FILES = 1_000_000
MOST_TOLD = 256 << 20  # bytes of what is told of all files
_BATCH = 1 << 20  # of the archive, before it is handed on

# Go's FileMode: what a file is, and three bits that are elsewhere in Unix.
_KINDS = {
    1 << 31: tar.DIRECTORY,
    1 << 27: tar.SYMLINK,
    1 << 26 | 1 << 21: tar.CHARACTER_DEVICE,
    1 << 26: tar.BLOCK_DEVICE,
    1 << 25: tar.FIFO,
    0: tar.REGULAR,
}
_KIND_BITS = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19
_BITS = ((1 << 23, stat.S_ISUID), (1 << 22, stat.S_ISGID), (1 << 20, stat.S_ISVTX))
_SOCKET = 1 << 24


class Wanted:
    """What of a client's directory is wanted: all, or what patterns and paths say."""

    def __init__(
        self, name: str, *, excludes: Sequence[str] = (), follow: Sequence[str] = ()
    ) -> None:
        """Take the directory that the client calls `name`; `follow` is paths with their links."""
        self.name = name
        self._lists = {"exclude-patterns": excludes, "followpaths": follow, "dir-name": [name]}

    def metadata(self) -> list[tuple[str, str]]:
        """Return the headers that say so; what is not ASCII is escaped, and that is said too."""
        found = []
        for key, values in self._lists.items():
            escaped = not all(value.isascii() and value.isprintable() for value in values)
            if escaped:
                found.append((f"{key}-encoded", "1"))
            found += [(key, quote_plus(value) if escaped else value) for value in values]
        return found


async def receive(session: Session, wanted: Wanted, directory: str) -> int:
    """Get a tree into a new directory; return how many bytes its files have.

    Raises: Corrupt, InvalidArgument, Failed
    """
    unpacking = await asyncio.to_thread(Unpacking, directory)
    try:
        async with session.trees().open(metadata=wanted.metadata()) as stream:
            receiver = _Receiver(stream, unpacking)
            await receiver.receive()
    finally:
        await asyncio.to_thread(unpacking.close)
    return receiver.total


class _Receiver:
    """One tree that comes."""

    def __init__(self, stream: Any, unpacking: Unpacking) -> None:
        self.total = 0
        self._stream = stream
        self._unpacking = unpacking
        self._archive = Writer(self)
        self._batch = bytearray()
        self._waiting: dict[int, bytearray] = {}
        self._complete: set[int] = set()
        self._held = 0  # bytes that wait

    def write(self, data: bytes, /) -> None:
        """Take what the writer of the archive makes."""
        self._batch += data

    async def receive(self) -> None:
        """Get everything."""
        stats = await self._stats()
        contents = [i for i, each in enumerate(stats) if _has_content(each)]
        asked, ahead = 0, 0
        for number, each in enumerate(stats):
            entry = _entry(each)
            if entry is None:
                continue
            if not _has_content(each):
                self._archive.add(entry)
                continue
            while asked < len(contents) and (
                contents[asked] <= number or ahead + stats[contents[asked]].size <= AHEAD
            ):
                ahead += stats[contents[asked]].size
                await self._send(type=REQ, ID=contents[asked])
                self._waiting[contents[asked]] = bytearray()
                asked += 1
            await self._content(number, entry)
            ahead -= each.size
        self._archive.close()
        await self._flush()
        await self._stream.send_message(PACKET(type=FIN), end=True)
        while (await self._next()).type != FIN:
            pass

    async def _stats(self) -> list[Any]:
        found: list[Any] = []
        told = 0
        await self._stream.send_request()
        while True:
            packet = await self._next()
            if packet.type != STAT:
                words = f"a client sent packet {packet.type} before its files were told"
                raise Corrupt(words)
            if not packet.HasField("stat"):
                return found
            found.append(packet.stat)
            told += packet.ByteSize()
            if packet.stat.size < 0:
                words = f"the file {packet.stat.path!r} has {packet.stat.size} bytes"
                raise Corrupt(words)
            if len(found) > MOST_FILES or told > MOST_TOLD:
                words = f"the directory has more than {MOST_FILES} files, or names without end"
                raise InvalidArgument(words, hint="Exclude some by a .dockerignore file.")

    async def _content(self, number: int, entry: tar.Entry) -> None:
        """Put a file into the archive: whole if it is small, else as it comes."""
        large = entry.size > SMALL
        if large:
            self._archive.begin(entry)
        sent = 0
        while True:
            content = self._waiting[number]
            if large and content:
                sent += len(content)
                if sent > entry.size:
                    break
                self._archive.write(bytes(content))
                self._held -= len(content)
                content.clear()
                await self._flush(_BATCH)
            if number in self._complete:
                break
            await self._take()
        if large:
            if sent != entry.size:
                words = f"the file {tar.shown(entry.name)} changed while it was sent"
                raise Failed(words, hint="Build again when nobody writes to it.")
            self._archive.end()
        else:
            content = self._waiting[number]
            entry.size = entry.stored = len(content)
            self._archive.add(entry, bytes(content))
        self.total += entry.size
        self._held -= len(self._waiting.pop(number))
        self._complete.discard(number)
        await self._flush(_BATCH)

    async def _take(self) -> None:
        """Take the next piece of a content that was asked for."""
        packet = await self._next()
        if packet.type != DATA or packet.ID not in self._waiting:
            words = f"a client sent packet {packet.type} for file {packet.ID}"
            raise Corrupt(words)
        if packet.data:
            self._waiting[packet.ID] += packet.data
            self._held += len(packet.data)
            if self._held > 2 * AHEAD:
                words = "the client sends files that are larger than it told"
                raise Failed(words, hint="Build again when nobody writes to them.")
        else:
            self._complete.add(packet.ID)

    async def _next(self) -> Any:
        packet = await self._stream.recv_message()
        if packet is None:
            words = "the client stopped sending its files"
            raise Failed(words)
        if packet.type == ERR:
            words = f"the client cannot send its files: {packet.data.decode(errors='replace')}"
            raise Failed(words)
        return packet

    async def _send(self, **fields: Any) -> None:
        await self._stream.send_message(PACKET(**fields))

    async def _flush(self, least: int = 0) -> None:
        """Hand on what there is of the archive, if it is more than `least`."""
        if len(self._batch) > least:
            batch = bytes(self._batch)
            self._batch.clear()
            await asyncio.to_thread(self._unpacking.write, batch)


def _has_content(told: Any) -> bool:
    return not told.mode & _KIND_BITS and not told.linkname


def _entry(told: Any) -> tar.Entry | None:
    """Return the entry of an archive for what a client tells of a file; None for a socket."""
    if told.mode & _SOCKET:
        return None
    kind = _KINDS.get(told.mode & _KIND_BITS)
    if kind is None:
        words = f"the file {told.path!r} is of no kind that is known: {told.mode:#o}"
        raise Corrupt(words)
    if kind == tar.REGULAR and told.linkname:
        kind = tar.HARD_LINK
    mode = told.mode & 0o777
    for theirs, ours in _BITS:
        mode |= ours if told.mode & theirs else 0
    entry = tar.Entry(told.path.encode("utf-8", "surrogateescape"), kind)
    entry.mode, entry.uid, entry.gid = mode, told.uid, told.gid
    entry.mtime_ns = told.modTime
    entry.link = told.linkname.encode("utf-8", "surrogateescape")
    if kind == tar.REGULAR:
        entry.size = entry.stored = told.size
    if kind in (tar.CHARACTER_DEVICE, tar.BLOCK_DEVICE):
        entry.major, entry.minor = told.devmajor, told.devminor
    entry.xattrs = {name.encode(): value for name, value in told.xattrs.items()}
    return entry


async def send(session: Session, directory: str, metadata: list[tuple[str, str]]) -> None:
    """Give a client the tree in `directory`.

    Raises: Failed
    """
    method = session.outlet(f"{TREE}.Packet")
    async with method.open(metadata=metadata) as stream:
        paths: dict[int, str] = {}
        await stream.send_request()
        for number, (path, told) in enumerate(_walk(directory)):
            if _has_content(PACKET(stat=told).stat):
                paths[number] = path
            await stream.send_message(PACKET(type=STAT, stat=told))
        await stream.send_message(PACKET(type=STAT))
        while True:
            asked = await stream.recv_message()
            if asked is None or asked.type == ERR:
                reason = asked.data.decode(errors="replace") if asked else "it went away"
                words = f"the client cannot take the files: {reason}"
                raise Failed(words)
            if asked.type == FIN:
                break
            if asked.type == REQ:
                if asked.ID not in paths:
                    words = f"the client asks for file {asked.ID}, which is none"
                    raise Corrupt(words)
                await _send_content(stream, asked.ID, paths[asked.ID])
        await stream.send_message(PACKET(type=FIN), end=True)


async def _send_content(stream: Any, number: int, path: str) -> None:
    async for piece in pieces(path, CHUNK):
        await stream.send_message(PACKET(type=DATA, ID=number, data=piece))
    await stream.send_message(PACKET(type=DATA, ID=number))


async def pieces(path: str, size: int) -> AsyncIterator[bytes]:
    """Yield a file's content in pieces, read by a thread."""
    file = await asyncio.to_thread(open, path, "rb")
    with file:
        while piece := await asyncio.to_thread(file.read, size):
            yield piece


def _walk(
    directory: str, below: str = "", linked: dict[tuple[int, int], str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the files below a directory with what is told of each, in the protocol's order.

    Of a file with several names the first has the content, and the others are links to that one:
    `linked` has these by device and inode.
    """
    linked = {} if linked is None else linked
    for name in sorted(os.listdir(f"{directory}/{below}")):
        path = f"{directory}/{below}{name}"
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        mode = stat.S_IMODE(status.st_mode) & 0o777
        for theirs, ours in _BITS:
            mode |= theirs if status.st_mode & ours else 0
        told = {
            "path": f"{below}{name}", "uid": status.st_uid, "gid": status.st_gid,
            "size": status.st_size, "modTime": status.st_mtime_ns, "mode": mode,
        }  # fmt: skip
        if kind == stat.S_IFDIR:
            yield path, {**told, "mode": mode | 1 << 31, "size": 0}
            yield from _walk(directory, f"{below}{name}/", linked)
        elif kind == stat.S_IFLNK:
            yield path, {**told, "mode": mode | 1 << 27, "linkname": os.readlink(path)}
        elif kind == stat.S_IFREG:
            first = linked.setdefault((status.st_dev, status.st_ino), f"{below}{name}")
            yield path, told if first == told["path"] else {**told, "size": 0, "linkname": first}
