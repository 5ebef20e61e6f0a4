"""The tar format: one header at a time, bytes in and entries out, and back. No I/O.

Four dialects are read, whose headers all are blocks of 512 bytes with the same first half:

* v7: names of 100 bytes, no devices;
* ustar (POSIX 1988): a prefix of 155 bytes for the name, devices, FIFOs;
* GNU: numbers in base 256 where octal digits do not suffice, names of any length in an entry of
  their own (types L and K) before the one they belong to, sparse files (type S);
* PAX (POSIX 2001): a ustar entry of type x before another one, whose data are `length key=value`
  records that override it: see `tarpax`.

One is written: ustar, with PAX records where an entry does not fit into it. What is written depends
on nothing but the entry: equal entries, equal bytes.

`tarreader` and `tarwriter` read and write whole archives with this; `tarsparse` knows how files
with holes are stored. Names are bytes, as in the file system.

Man: tar(5)
Spec: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Interchange Format"
"""

from __future__ import annotations

import struct
from zlib import adler32

from knarr.errors import Corrupt

BLOCK = 512
ZEROS = bytes(BLOCK)

REGULAR = b"0"
HARD_LINK = b"1"
SYMLINK = b"2"
CHARACTER_DEVICE = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"

LARGEST_ID = 0xFFFF_FFFE  # one more means "leave as it is" to chown(2)

_OLD_REGULAR = (b"\0", b"7")  # v7's, and POSIX's contiguous files, which nobody makes
_GNU_DIRECTORY = b"D"  # of incremental archives; its data are a list of names
WITHOUT_DATA = (HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO)

# name mode uid gid size mtime checksum type link magic uname gname major minor prefix rest
_fields = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12s")
_USTAR = b"ustar\x0000"
_ADLER = 65521

# All after the link's name, of entries that are no devices and have no prefix.
_TAIL = _USTAR + bytes(64) + b"0000000\0" * 2 + bytes(155 + 12)


class Entry:
    """What an archive says about one file.

    `link` is the target of hard and symbolic links. `size` is that of the file; `stored` what the
    archive holds of it, less if `segments`, (offset, length) of what is not a hole, are given.
    """

    __slots__ = (
        "gid", "kind", "link", "major", "minor", "mode", "mtime_ns", "name", "segments", "size",
        "stored", "uid", "xattrs",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - a record that is made a hundred thousand times a second
        self,
        name: bytes,
        kind: bytes = REGULAR,
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime_ns: int = 0,
        link: bytes = b"",
        major: int = 0,
        minor: int = 0,
    ) -> None:
        """Make an entry without extended attributes and holes."""
        self.name = name
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.stored = size
        self.mtime_ns = mtime_ns
        self.link = link
        self.major = major
        self.minor = minor
        self.xattrs: dict[bytes, bytes] = {}
        self.segments: list[tuple[int, int]] | None = None

    def __repr__(self) -> str:
        """Show name, type and size."""
        return f"<Entry {self.kind.decode('latin-1')} {shown(self.name)} {self.size}>"


def shown(name: bytes) -> str:
    """Return a name for messages: UTF-8 as it is, other bytes and control characters escaped."""
    text = name.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def parse_header(block: bytes) -> Entry:
    """Return the entry of a header, of any type; the block is not all zeros.

    Raises: Corrupt
    """
    (
        name, mode, uid, gid, size, mtime, checksum, kind, link, magic, major, minor, prefix, rest,
    ) = _fields.unpack(block)  # fmt: skip
    _check(block, number(checksum))
    name = name.partition(b"\0")[0]
    if magic == _USTAR and prefix[0]:
        # star's dialect keeps times in the last bytes of the prefix.
        upper = prefix[:131] if rest[8:] == b"tar\0" else prefix
        name = upper.partition(b"\0")[0] + b"/" + name
    if kind in _OLD_REGULAR:
        kind = DIRECTORY if name.endswith(b"/") else REGULAR
    entry = Entry(
        name,
        kind,
        number(mode) & 0o7777,
        identifier(number(uid)),
        identifier(number(gid)),
        0 if kind in WITHOUT_DATA else length(number(size)),
        number(mtime) * 1_000_000_000,
        link.partition(b"\0")[0],
    )
    if kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
        entry.major = number(major)
        entry.minor = number(minor)
    elif kind == _GNU_DIRECTORY:
        entry.kind = DIRECTORY
    return entry


def _check(block: bytes, promised: int) -> None:
    """Raise if the sum of the header's bytes is not the promised one.

    Adler-32 has the sum of all bytes, plus one, modulo 65521 in its lower half: ten times faster
    than `sum`. Archivers of old took bytes for signed.
    """
    view = memoryview(block)
    others = (adler32(view[156:], adler32(view[:148])) & 0xFFFF) - 1
    if (others + 8 * 0x20 - promised) % _ADLER == 0:
        return
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:])
    if signed + 8 * 0x20 != promised:
        message = "a header's checksum is wrong"
        raise Corrupt(message)


def number(field: bytes) -> int:
    """Return a header's number: octal digits, or GNU's base 256 if the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        # The first bit is the mark, the second the sign.
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << bits - 1)
    text = field.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit():
        text = text.partition(b"\0")[0].strip()
    try:
        # int() would take signs and underscores too.
        return int(text, 8) if text.isdigit() else _not_a_number(field)
    except ValueError:
        return _not_a_number(field)


def _not_a_number(field: bytes) -> int:
    message = f"a header has {field!r} for a number"
    raise Corrupt(message)


def identifier(value: int) -> int:
    """Return a user's or group's number if it is one.

    Raises: Corrupt
    """
    if not 0 <= value <= LARGEST_ID:
        message = f"{value} is not the number of a user or group"
        raise Corrupt(message)
    return value


def length(value: int) -> int:
    """Return the size of a file if it is one.

    Raises: Corrupt
    """
    if not 0 <= value < 1 << 63:
        message = f"{value} is not the size of a file"
        raise Corrupt(message)
    return value


def render_block(entry: Entry) -> bytes:
    """Return the header of an entry; what does not fit is cut or 0, and is for PAX records."""
    name, prefix = split_name(entry.name) or (ascii_of(entry.name)[:100], b"")
    seconds = entry.mtime_ns // 1_000_000_000
    tail = _TAIL
    if prefix or entry.major or entry.minor:
        tail = b"%b%b%07o\0%07o\0%b%b" % (
            _USTAR, bytes(64), entry.major, entry.minor, prefix.ljust(155, b"\0"), bytes(12),
        )  # fmt: skip
    block = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%b%b" % (
        name.ljust(100, b"\0"),
        entry.mode,
        entry.uid if entry.uid <= 0o7777777 else 0,
        entry.gid if entry.gid <= 0o7777777 else 0,
        entry.stored if entry.stored <= 0o77777777777 else 0,
        seconds if 0 <= seconds <= 0o77777777777 else 0,
        entry.kind,
        (entry.link if fits_link(entry.link) else ascii_of(entry.link)[:100]).ljust(100, b"\0"),
        tail,
    )
    # All text is ASCII, so the sum is below Adler's modulus and the lower half is exact.
    total = (adler32(block) & 0xFFFF) - 1
    return b"%b%06o\0 %b" % (block[:148], total, block[156:])


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """Return (name, prefix) as ustar keeps a name, None if it cannot."""
    if not name.isascii():
        return None
    if len(name) <= 100:
        return name, b""
    cut = name.find(b"/", len(name) - 101, min(len(name) - 1, 156))
    return (name[cut + 1 :], name[:cut]) if 0 < cut <= 155 else None


def fits_link(link: bytes) -> bool:
    """Tell whether ustar can keep the target of a link."""
    return len(link) <= 100 and link.isascii()


def ascii_of(name: bytes) -> bytes:
    """Return `name` with an underscore for every other byte."""
    return bytes(byte if byte < 128 else 0x5F for byte in name)
