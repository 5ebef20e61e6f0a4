"""The tar codec against itself, Python's tarfile, GNU tar and damaged bytes."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr.errors import Corrupt
from knarr.util import tar, tarpax, tarsparse
from knarr.util.tarreader import Reader
from knarr.util.tarwriter import Writer, render_header


def write(entries: list[tuple[tar.Entry, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out)
    for entry, content in entries:
        writer.add(entry, content)
    writer.close()
    return out.getvalue()


def read(data: bytes) -> list[tuple[tar.Entry, bytes]]:
    reader = Reader(io.BytesIO(data))
    return [(entry, b"".join(reader.pieces())) for entry in reader]


def fields(entry: tar.Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in tar.Entry.__slots__}


names = st.binary(min_size=1, max_size=400).map(lambda name: name.replace(b"\0", b"/") + b"x")
entries = st.builds(
    lambda name, mode, uid, gid, mtime, content: (
        tar.Entry(name, tar.REGULAR, mode, uid, gid, len(content), mtime),
        content,
    ),
    names,
    st.integers(0, 0o7777),
    st.integers(0, tar.LARGEST_ID),
    st.integers(0, tar.LARGEST_ID),
    st.integers(-(10**19), 10**19),
    st.binary(max_size=2000),
)


@given(st.lists(entries, max_size=5))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(given_entries: list[tuple[tar.Entry, bytes]]) -> None:
    data = write(given_entries)
    assert len(data) % tar.BLOCK == 0
    found = read(data)
    assert [(fields(entry), content) for entry, content in found] == [
        (fields(entry), content) for entry, content in given_entries
    ]


@given(st.binary(max_size=3000), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255))))
@settings(max_examples=200, deadline=None)
def test_damaged_archives_are_refused_and_nothing_else_happens(
    content: bytes, damage: list[tuple[int, int]]
) -> None:
    entry = tar.Entry(b"a/" * 60 + b"name", size=len(content), mtime_ns=5)
    entry.xattrs = {b"user.a": b"b"}
    data = bytearray(write([(entry, content)]))
    for position, value in damage:
        data[position % len(data)] = value
    try:
        read(bytes(data))
    except Corrupt:
        pass


@given(st.binary(max_size=2048))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read(data)
    except Corrupt:
        pass


def every_kind() -> list[tarfile.TarInfo]:
    members = []
    for name, kind, link in [
        ("d" * 90 + "/" + "e" * 90 + "/file", tarfile.REGTYPE, ""),
        ("short", tarfile.REGTYPE, ""),
        ("n" * 300, tarfile.REGTYPE, ""),
        ("directory", tarfile.DIRTYPE, ""),
        ("soft", tarfile.SYMTYPE, "t" * 250),
        ("hard", tarfile.LNKTYPE, "short"),
        ("null", tarfile.CHRTYPE, ""),
        ("disk", tarfile.BLKTYPE, ""),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("ümläut", tarfile.REGTYPE, ""),
    ]:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.mode = kind, link, 0o4711
        member.mtime, member.uid, member.gid = 1_700_000_000, 1000, 0o7777777
        member.devmajor, member.devminor = (7, 300) if name in ("null", "disk") else (0, 0)
        members.append(member)
    return members


@pytest.mark.parametrize("dialect", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reading_what_tarfile_writes(dialect: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect) as archive:
        for member in every_kind():
            member.uid = 4_000_000_000  # base 256 or a PAX record
            archive.addfile(member)
    found = [entry for entry, _ in read(out.getvalue())]
    for entry, member in zip(found, every_kind(), strict=True):
        slash = "/" if member.isdir() else ""
        assert entry.name.decode() == member.name + slash
        assert (entry.kind, entry.link.decode()) == (member.type, member.linkname)
        assert (entry.mode, entry.uid, entry.gid) == (0o4711, 4_000_000_000, 0o7777777)
        assert entry.mtime_ns == 1_700_000_000 * 10**9
        assert (entry.major, entry.minor) == (member.devmajor, member.devminor)


def test_tarfile_reads_what_is_written() -> None:
    entries = []
    for member in every_kind():
        entry = tar.Entry(
            os.fsencode(member.name), member.type, member.mode, 4_000_000_000, 7,
            mtime_ns=1_700_000_000_250_000_000, link=os.fsencode(member.linkname),
            major=member.devmajor, minor=member.devminor,
        )  # fmt: skip
        entry.xattrs = {b"user.x": b"value"}
        entries.append((entry, b""))
    with tarfile.open(fileobj=io.BytesIO(write(entries))) as archive:
        for found, member in zip(archive.getmembers(), every_kind(), strict=True):
            assert (found.name, found.type, found.linkname) == (
                member.name, member.type, member.linkname,
            )  # fmt: skip
            assert (found.mode, found.uid, found.gid) == (0o4711, 4_000_000_000, 7)
            assert found.mtime == 1_700_000_000.25
            assert (found.devmajor, found.devminor) == (member.devmajor, member.devminor)
            assert found.pax_headers["SCHILY.xattr.user.x"] == "value"


def test_plain_entries_have_no_pax_records() -> None:
    assert len(render_header(tar.Entry(b"usr/bin/true", mtime_ns=10**18))) == tar.BLOCK
    nested = b"/".join([b"n" * 50] * 4)
    assert len(render_header(tar.Entry(nested))) == tar.BLOCK


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, b"0"), (1, b"0.000000001"), (-1_500_000_000, b"-1.5"), (10**18 + 10**8, b"1000000000.1")],
)
def test_times(nanoseconds: int, text: bytes) -> None:
    assert tarpax.render_time(nanoseconds) == text
    assert tarpax.parse_time(text) == nanoseconds


def test_times_are_cut_to_nanoseconds() -> None:
    assert tarpax.parse_time(b"1.0000000019") == 1_000_000_001
    with pytest.raises(Corrupt):
        tarpax.parse_time(b"1.5e3")


@pytest.mark.parametrize("size", [1, 87, 88, 89, 90, 986, 987, 988, 990, 9985, 9986, 9987])
def test_the_length_of_a_record_counts_itself(size: int) -> None:
    records = [(b"comment", b"x" * size)]
    assert tarpax.parse(tarpax.render(records)) == records


@pytest.mark.parametrize(
    "record",
    [
        b"5 a=b",
        b"x a=b\n",
        b"6 ab\n\n",
        b"99 a=b\n",
        b"-6 a=b\n",
        b"0 a=b\n",
        b"5 =b\n",
        b"6 a=b\0",
    ],
)
def test_malformed_records(record: bytes) -> None:
    with pytest.raises(Corrupt):
        tarpax.parse(record)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"  644 \0\0", 0o644),
        (b"00000000", 0),
        (bytes(8), 0),
        (b"\x80" + bytes(6) + b"\x07", 7),
        (b"\xff" * 8, -1),
        (b"\xff" * 7 + b"\xfe", -2),
        (b"\x80" + (10**15).to_bytes(7, "big"), 10**15),
        (b"644\0junk", 0o644),
    ],
)
def test_numbers(field: bytes, value: int) -> None:
    assert tar.number(field) == value


@pytest.mark.parametrize("field", [b"-1\0", b"0_7\0", b"8\0", b"+7\0", b"abc\0"])
def test_what_is_no_number(field: bytes) -> None:
    with pytest.raises(Corrupt):
        tar.number(field)


def header(**changes: object) -> bytes:
    entry = tar.Entry(b"name")
    for key, value in changes.items():
        setattr(entry, key, value)
    return tar.render_block(entry)


def resum(block: bytearray) -> bytes:
    """Return a header with the right sum for what was changed in it."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x" * 512, "number"),
        (b"\x01" + header()[1:], "checksum is wrong"),
        (header(size=5, stored=5), "ends too early"),
        (header()[:300], "ends too early"),
        (header(kind=b"x", stored=2 << 20, size=2 << 20), "bytes of header"),
        (header(kind=b"x", stored=0), "ends before the file"),
        (header(kind=b"Z"), "unknown type b'Z'"),
        (header(name=b""), "no name"),
        (header(kind=b"L", stored=4) + b"a\0b\0".ljust(512, b"\0") + header(), "NUL"),
        (header(kind=b"x", stored=11) + b"11 uid=-12\n".ljust(512, b"\0") + header(), "number"),
        (
            header(kind=b"x", stored=18) + b"18 uid=4294967295\n".ljust(512, b"\0") + header(),
            "user",
        ),
    ],
)
def test_what_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(Corrupt, match=words):
        read(data)


def test_an_end_within_an_entry_names_it() -> None:
    reader = Reader(io.BytesIO(header(name=b"usr/bin/true", size=5, stored=5)))
    with pytest.raises(Corrupt, match=r"ends too early \(within usr/bin/true\)"):
        [list(reader.pieces()) for _ in reader]


def test_errors_name_the_entry_before() -> None:
    good = header(name=b"usr/bin/true")
    with pytest.raises(Corrupt, match=r"after usr/bin/true"):
        read(good + b"x" * 512)


def test_ends() -> None:
    """An archive may end without padding or zeros; what comes after zeros is not part of it."""
    assert [entry.name for entry, _ in read(header())] == [b"name"]
    for missing in (1, 500, 507):
        whole = header(size=5, stored=5) + b"words".ljust(512, b"\0")
        assert [content for _, content in read(whole[:-missing])] == [b"words"]
    assert [entry.name for entry, _ in read(header() + bytes(1024) + header())] == [b"name"]
    assert read(b"") == []


def test_signed_checksums_of_old() -> None:
    block = bytearray(header(name=b"caf"))
    block[3] = 0xE9
    block[148:156] = b" " * 8
    total = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    assert read(bytes(block))[0][0].name == b"caf\xe9"


def test_a_number_of_entries_is_enough() -> None:
    with pytest.raises(Corrupt, match="too many entries"):
        list(Reader(io.BytesIO(header() * 5), max_headers=4))


def test_v7_directories_end_in_a_slash() -> None:
    block = bytearray(header(name=b"old/"))
    block[156:157] = b"\0"
    block[257:345] = bytes(88)
    assert read(resum(block))[0][0].kind == tar.DIRECTORY


def test_unread_data_is_skipped() -> None:
    data = write([(tar.Entry(b"a", size=600_000), b"x" * 600_000), (tar.Entry(b"b"), b"")])
    assert [entry.name for entry in Reader(io.BytesIO(data))] == [b"a", b"b"]


def test_short_reads_make_no_difference() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 7))

    data = write([(tar.Entry(b"a" * 200, size=700), b"x" * 700), (tar.Entry(b"b"), b"")])
    reader = Reader(Slow(data))
    assert [len(b"".join(reader.pieces())) for _ in reader] == [700, 0]


def test_libarchive_attributes() -> None:
    records = tarpax.render(
        [(b"LIBARCHIVE.xattr.user.a%3Db%25", b"aGVsbG8"), (b"SCHILY.xattr.user.c", b"d")]
    )
    data = header(kind=b"x", stored=len(records)) + records.ljust(512, b"\0") + header()
    assert read(data)[0][0].xattrs == {b"user.a=b%": b"hello", b"user.c": b"d"}


SEGMENTS = [(0, 5), (1 << 20, 3), (2 << 20, 0)]


def test_sparse_files_written_are_read() -> None:
    out = io.BytesIO()
    writer = Writer(out)
    entry = tar.Entry(b"sparse", size=2 << 20)
    entry.segments, entry.stored = SEGMENTS[:2], 8
    writer.begin(entry)
    writer.write(b"beginend")
    writer.end()
    writer.add(tar.Entry(b"next"))
    writer.close()
    (found, content), (following, _) = read(out.getvalue())
    assert (found.name, found.size, found.segments) == (b"sparse", 2 << 20, SEGMENTS[:2])
    assert (content, following.name) == (b"beginend", b"next")


@pytest.mark.parametrize(
    "records",
    [
        # 0.0, 0.1 and 1.0; the last one's map is in the data
        [(b"GNU.sparse.size", b"2097152"), (b"GNU.sparse.numblocks", b"3")]
        + [
            pair
            for offset, length in SEGMENTS
            for pair in [
                (b"GNU.sparse.offset", b"%d" % offset),
                (b"GNU.sparse.numbytes", b"%d" % length),
            ]
        ],
        [
            (b"GNU.sparse.size", b"2097152"),
            (b"GNU.sparse.map", b"0,5,1048576,3,2097152,0"),
            (b"GNU.sparse.name", b"name"),
        ],
    ],
)
def test_older_sparse_files(records: list[tuple[bytes, bytes]]) -> None:
    text = tarpax.render(records)
    data = (
        header(kind=b"x", stored=len(text))
        + text.ljust(-(-len(text) // 512) * 512, b"\0")
        + header(stored=8)
        + b"beginend".ljust(512, b"\0")
    )
    [(entry, content)] = read(data)
    assert (entry.size, entry.segments, content) == (2 << 20, SEGMENTS[:2], b"beginend")


@pytest.mark.parametrize(
    "text",
    [b"9,5,0,3", b"0,5,3,3", b"0,5,2097152,3", b"0,5", b"0,5,10", b"0,-5,10,13", b"0,5,,3"],
)
def test_sparse_maps_that_lie(text: bytes) -> None:
    records = tarpax.render([(b"GNU.sparse.size", b"2097152"), (b"GNU.sparse.map", text)])
    data = header(kind=b"x", stored=len(records)) + records.ljust(512, b"\0") + header(stored=8)
    with pytest.raises(Corrupt):
        read(data + bytes(512))


def test_a_map_that_is_too_long_is_not_read() -> None:
    with pytest.raises(Corrupt, match="too large"):
        tarsparse.read_map(lambda: b"99999999\n".ljust(512, b"\0"))


@pytest.mark.skipif(not shutil.which("tar"), reason="GNU tar is not installed")
@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=["old", "0.0", "0.1", "1.0"],
)
def test_sparse_files_of_gnu_tar(tmp_path: Path, options: list[str]) -> None:
    data = bytearray(8 << 20)
    with open(tmp_path / "sparse", "wb") as file:
        for number in range(30):  # more segments than a header has room for
            file.seek(number << 18)
            file.write(b"%d" % number)
            data[number << 18 : (number << 18) + len(b"%d" % number)] = b"%d" % number
        file.truncate(8 << 20)
    subprocess.run(
        ["tar", "-S", *options, "-cf", "archive.tar", "sparse"], cwd=tmp_path, check=True
    )
    [(entry, content)] = read((tmp_path / "archive.tar").read_bytes())
    assert (entry.name, entry.size) == (b"sparse", 8 << 20)
    assert entry.segments
    rebuilt = bytearray(8 << 20)
    at = 0
    for offset, length in entry.segments:
        rebuilt[offset : offset + length] = content[at : at + length]
        at += length
    assert rebuilt == data


@pytest.mark.skipif(not shutil.which("tar"), reason="GNU tar is not installed")
def test_gnu_tar_reads_what_is_written(tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = Writer(out)
    writer.add(tar.Entry(b"long/" * 60 + b"name", size=3), b"abc")
    sparse = tar.Entry(b"sparse", size=1 << 30)
    sparse.segments, sparse.stored = [(5 << 20, 3)], 3
    writer.begin(sparse)
    writer.write(b"xyz")
    writer.end()
    writer.close()
    (tmp_path / "archive.tar").write_bytes(out.getvalue())
    subprocess.run(["tar", "-xf", "archive.tar"], cwd=tmp_path, check=True)
    assert (tmp_path / ("long/" * 60 + "name")).read_bytes() == b"abc"
    with open(tmp_path / "sparse", "rb") as file:
        file.seek(5 << 20)
        assert file.read(4) == b"xyz\0"
        assert os.fstat(file.fileno()).st_size == 1 << 30
