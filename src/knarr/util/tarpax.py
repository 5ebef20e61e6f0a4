"""PAX records: what a ustar header has no room for.

A record is `length key=value` and a line feed, where the length counts itself. Known keys are the
standard's (path, linkpath, size, uid, gid, mtime), extended attributes as star writes them
(SCHILY.xattr.name=value) and as libarchive does (name and value encoded), and GNU's description of
sparse files, which `tarsparse` understands. Others are ignored: access and change times cannot be
restored, names of users mean nothing elsewhere.

Records for a whole archive (type g) are checked and ignored, as Docker does: git archive puts the
commit there, nobody anything else.
"""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64

from knarr.errors import Corrupt
from knarr.util import tar, tarsparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

XATTR = b"SCHILY.xattr."
_LIBARCHIVE_XATTR = b"LIBARCHIVE.xattr."
_SECOND = 1_000_000_000

Records = list[tuple[bytes, bytes]]


def parse(data: bytes) -> Records:
    """Return keys and values in their order; a key may come more than once.

    Raises: Corrupt
    """
    records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        equals = data.find(b"=", space, end)
        if equals <= space + 1 or end > len(data) or data[end - 1] != 0x0A:
            message = "a PAX record is malformed"
            raise Corrupt(message)
        records.append((data[space + 1 : equals], data[equals + 1 : end - 1]))
        at = end
    return records


def amend(entry: tar.Entry, records: Records) -> None:
    """Override what the header of `entry` says by what `records` say.

    Raises: Corrupt
    """
    for key, value in records:
        setter = _SETTERS.get(key)
        if setter:
            # "If the value is a zero-length string, it shall delete any header block value": there
            # is no file without a name, size or owner, so the block's value stays.
            if value:
                setter(entry, value)
        elif key.startswith(XATTR):
            entry.xattrs[key[len(XATTR) :]] = value
        elif key.startswith(_LIBARCHIVE_XATTR):
            name = _unquote(key[len(_LIBARCHIVE_XATTR) :])
            # star's form of the same attribute, which is exact, may have come first.
            entry.xattrs.setdefault(name, _decode(value))
    tarsparse.amend(entry, records)


def _set_name(entry: tar.Entry, value: bytes) -> None:
    entry.name = _text(value)


def _set_link(entry: tar.Entry, value: bytes) -> None:
    entry.link = _text(value)


def _set_size(entry: tar.Entry, value: bytes) -> None:
    if entry.kind not in tar.WITHOUT_DATA:
        entry.size = entry.stored = tar.length(integer(value))


def _set_uid(entry: tar.Entry, value: bytes) -> None:
    entry.uid = tar.identifier(integer(value))


def _set_gid(entry: tar.Entry, value: bytes) -> None:
    entry.gid = tar.identifier(integer(value))


def _set_mtime(entry: tar.Entry, value: bytes) -> None:
    entry.mtime_ns = parse_time(value)


_SETTERS: dict[bytes, Callable[[tar.Entry, bytes], None]] = {
    b"path": _set_name,
    b"linkpath": _set_link,
    b"size": _set_size,
    b"uid": _set_uid,
    b"gid": _set_gid,
    b"mtime": _set_mtime,
}


def integer(value: bytes) -> int:
    """Return a decimal number without sign.

    Raises: Corrupt
    """
    if not value.isdigit() or len(value) > 20:
        message = f"a PAX record has {value[:40]!r} for a number"
        raise Corrupt(message)
    return int(value)


def parse_time(value: bytes) -> int:
    """Return seconds with a fraction, as nanoseconds; what is finer is cut off, as POSIX says.

    Raises: Corrupt
    """
    negative = value.startswith(b"-")
    whole, _, fraction = value[negative:].partition(b".")
    if fraction and not fraction.isdigit():
        message = f"a PAX record has {value[:40]!r} for a time"
        raise Corrupt(message)
    nanoseconds = integer(whole) * _SECOND + int(fraction[:9].ljust(9, b"0") or b"0")
    return -nanoseconds if negative else nanoseconds


def render_time(mtime_ns: int) -> bytes:
    """Return nanoseconds as seconds with a fraction."""
    seconds, nanoseconds = divmod(abs(mtime_ns), _SECOND)
    sign = b"-" if mtime_ns < 0 else b""
    fraction = (b".%09d" % nanoseconds).rstrip(b"0") if nanoseconds else b""
    return b"%b%d%b" % (sign, seconds, fraction)


def _text(value: bytes) -> bytes:
    if b"\0" in value:
        message = f"a PAX record has the name {value[:100]!r}"
        raise Corrupt(message)
    return value


def _unquote(name: bytes) -> bytes:
    """Resolve %XX."""
    first, *rest = name.split(b"%")
    try:
        return first + b"".join(bytes((int(part[:2], 16),)) + part[2:] for part in rest)
    except ValueError:
        message = f"a PAX record has the name {name[:100]!r}"
        raise Corrupt(message) from None


def _decode(value: bytes) -> bytes:
    try:
        return a2b_base64(value + b"=" * (-len(value) % 4))
    except NotBase64:
        message = "a PAX record has a value that is not base 64"
        raise Corrupt(message) from None


def records_of(entry: tar.Entry) -> Records:
    """Return what has to be said about `entry` beyond its header, sorted by key."""
    records: Records = []
    seconds, fraction = divmod(entry.mtime_ns, _SECOND)
    if fraction or not 0 <= seconds <= 0o77777777777:
        records.append((b"mtime", render_time(entry.mtime_ns)))
    if entry.segments is not None:
        records += tarsparse.records_of(entry)
    elif tar.split_name(entry.name) is None:
        records.append((b"path", entry.name))
    if not tar.fits_link(entry.link):
        records.append((b"linkpath", entry.link))
    if entry.uid > 0o7777777:
        records.append((b"uid", b"%d" % entry.uid))
    if entry.gid > 0o7777777:
        records.append((b"gid", b"%d" % entry.gid))
    if entry.stored > 0o77777777777:
        records.append((b"size", b"%d" % entry.stored))
    for name, value in entry.xattrs.items():
        if b"=" in name:  # which a key cannot contain
            quoted = name.replace(b"%", b"%25").replace(b"=", b"%3D")
            records.append((_LIBARCHIVE_XATTR + quoted, b2a_base64(value, newline=False)))
        else:
            records.append((XATTR + name, value))
    records.sort()
    return records


def render(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return `records` as the data of an entry of type x."""
    return b"".join(_render_record(key, value) for key, value in records)


def _render_record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3  # space, equals sign, line feed
    total = size + len(b"%d" % size)
    if size + len(b"%d" % total) != total:
        total += 1
    return b"%d %b=%b\n" % (total, key, value)
