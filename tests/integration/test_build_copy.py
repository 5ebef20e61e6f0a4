"""COPY, ADD and WORKDIR on real file systems."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.root


def archive(files: dict[str, str], form: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{form}" if form else "w") as made:  # type: ignore[call-overload]
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            entry.uid = entry.gid = 7
            entry.mode = 0o640
            made.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_owners_and_modes(shop: Workshop) -> None:
    shop.write("f", "f")
    shop.write("d/x", "x", mode=0o4711)
    os.chown(shop.directory / "f", 12, 34)
    shop.build(
        "FROM busybox\n"
        "COPY f /plain/f\nCOPY --chown=nobody f /named\nCOPY --chown=nobody:root d /dir\n"
        "COPY --chown=55 f /number\nCOPY --chown=1:2 --chmod=750 d/ /both/\n"
        "COPY d/x /setuid\nCOPY --chmod=u=rwX,go=r d /symbolic\n"
        "ARG WHO=nobody\nCOPY --chown=$WHO f /variable\n"
    )
    listed = shop.read("stat -c '%n %u:%g %a' /plain /plain/f /named /dir /dir/x /number /both "
                       "/both/x /setuid /symbolic/x /variable")  # fmt: skip
    assert listed.splitlines() == [
        "/plain 0:0 755",
        "/plain/f 0:0 644",
        "/named 65534:65534 644",
        "/dir 65534:0 755",
        "/dir/x 65534:0 4711",
        "/number 55:55 644",
        "/both 1:2 750",
        "/both/x 1:2 750",
        "/setuid 0:0 4711",
        "/symbolic/x 0:0 744",
        "/variable 65534:65534 644",
    ]


def test_from_a_stage_owners_links_and_attributes_stay(shop: Workshop) -> None:
    shop.build(
        "FROM busybox AS made\n"
        "RUN mkdir -p /out/sub && echo x > /out/a && ln /out/a /out/b && ln -s a /out/c && "
        "chown 3:4 /out/a && mkfifo /out/sub/p && chmod 2755 /out/sub\n"
        "FROM busybox\nCOPY --from=made /out /out\nCOPY --from=0 /out/c /followed\n"
    )
    assert shop.read("stat -c '%n %F %u:%g %a %h' /out/*; readlink /out/c; stat -c %F /out/sub/p"
                     " /followed").splitlines() == [
        "/out/a regular file 3:4 644 2",
        "/out/b regular file 3:4 644 2",
        "/out/c symbolic link 0:0 777 1",
        "/out/sub directory 0:0 2755 2",
        "a",
        "fifo",
        "regular file",
    ]  # fmt: skip


def test_replacing_and_merging(shop: Workshop) -> None:
    shop.write("new", "new")
    shop.write("d/keep/new", "new")
    shop.build(
        "FROM busybox\n"
        "RUN mkdir -p /d/keep && echo old > /d/keep/old && echo old > /file && "
        "ln -s /file /link && ln -s /d /dirlink\n"
        "COPY new /file\nCOPY d /d\nCOPY new /dirlink/\nCOPY new /link\n"
    )
    assert shop.read("cat /file; ls /d /d/keep; readlink /link").split() == [
        "new/d:", "keep", "new", "/d/keep:", "new", "old", "/file",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["", "gz", "bz2", "xz"])
def test_archives_are_unpacked_by_add_alone(shop: Workshop, form: str) -> None:
    shop.write("a.tar", archive({"dir/x": "inside"}, form))
    shop.write("text", "text")
    shop.build(
        "FROM busybox\nADD a.tar /add/\nCOPY a.tar /copy/\nADD --unpack=false a.tar /kept/\n"
        "ADD --chown=5:6 a.tar text /mixed/\n"
    )
    listed = shop.read("cat /add/dir/x; ls /copy /kept /mixed; stat -c '%u:%g %a' /add/dir/x "
                       "/mixed/dir/x")  # fmt: skip
    assert listed.split() == [
        "inside/copy:", "a.tar", "/kept:", "a.tar", "/mixed:", "dir", "text", "7:7", "640", "5:6",
        "640",
    ]  # fmt: skip


def test_hostile_archive_is_refused_and_touches_nothing(shop: Workshop, tmp_path: Path) -> None:
    shop.write("a.tar", archive({"../../../../escaped": "x"}))
    said = shop.fail("FROM busybox\nADD a.tar /x/")
    assert "escaped" in said
    assert ">>> ADD a.tar /x/" in said
    assert not (tmp_path / "escaped").exists()


def test_links_of_context_and_image_lead_nowhere_outside(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", shop.directory / "link")
    os.symlink("../../secret", shop.directory / "up")
    assert '"/link": not found' in shop.fail("FROM busybox\nCOPY link /x")
    assert '"/up": not found' in shop.fail("FROM busybox\nCOPY up /x")
    shop.write("f", "f")
    shop.build(f"FROM busybox\nRUN ln -s {tmp_path} /out\nCOPY f /out/f")
    assert not (tmp_path / "f").exists()
    assert shop.read(f"cat {tmp_path}/f") == "f"


def test_ignored_files_are_neither_copied_nor_counted(shop: Workshop) -> None:
    shop.write("a", "a")
    shop.write("b.log", "1")
    shop.write("d/c.log", "1")
    shop.write("d/keep.log", "1")
    shop.write(".dockerignore", "**/*.log\n!d/keep.log\n.dockerignore\nDockerfile\n")
    shop.build("FROM busybox\nCOPY . /x")
    assert shop.read("cd /x; find . -type f").split() == ["./a", "./d/keep.log"]
    shop.write("b.log", "2")
    assert shop.build().done == []
    assert '"/b.log": not found' in shop.fail("FROM busybox\nCOPY b.log /x")
    shop.write("Dockerfile.dockerignore", "a\n")
    shop.build("FROM busybox\nCOPY . /x")
    assert "./a" not in shop.read("cd /x; find . -type f").split()
    assert "./b.log" in shop.read("cd /x; find . -type f").split()


def test_workdir_is_made_once_and_belongs_to_the_user(shop: Workshop) -> None:
    shop.build(
        "FROM busybox\nRUN mkdir -m 700 /there\nUSER nobody\nWORKDIR /there\nWORKDIR made/deep\n"
        "WORKDIR ..\nRUN pwd > /tmp/p\n"
    )
    assert shop.config()["WorkingDir"] == "/there/made"
    assert shop.read(
        "cat /tmp/p; stat -c '%U %a' /there /there/made/deep", user="root"
    ).split() == ["/there/made", "root", "700", "nobody", "755"]


def test_several_sources_want_a_directory(shop: Workshop) -> None:
    shop.write("a", "a")
    shop.write("b", "b")
    said = shop.fail("FROM busybox\nCOPY a b /file")
    assert "the destination must be a directory and end with a /" in said
    shop.build("FROM busybox\nWORKDIR /app\nCOPY a b /app\nCOPY a b .\nCOPY [ab] x/\nCOPY none* y/")
    assert shop.read("ls /app /app/x").split() == ["/app:", "a", "b", "x", "/app/x:", "a", "b"]


def test_a_link_that_has_a_files_name_is_replaced_and_one_that_is_the_destination_followed(
    shop: Workshop,
) -> None:
    shop.write("file", "new")
    step = "RUN mkdir /in && echo old > /target && ln -s ../target /in/file && ln -s target /link"
    shop.build(f"FROM busybox\n{step}\nCOPY file file /in/\nCOPY file /link")
    assert shop.read("cat /in/file; test ! -L /in/file && test -L /link && cat /target") == "newnew"


def test_parents_begin_below_every_directory_that_fits(shop: Workshop) -> None:
    for name in ("one/a/x/f", "two/b/x/g", "two/f", "three"):
        shop.write(f"top/{name}", name)
    shop.build("FROM busybox\nCOPY --parents top/t*/./**/g top/*/./a /out/")
    assert shop.read("cd /out && find . -type f | sort") == "./a/x/f\n./b/x/g"
