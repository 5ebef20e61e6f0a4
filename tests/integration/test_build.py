"""Builds: from a Dockerfile to an image, and what the cache makes of the second time."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from support.startup import dear, loaded
from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

STORY = """\
FROM busybox
ENV GREETING=hello
RUN echo "$GREETING, world" > /greeting && \\
    id -u > /who
COPY app.sh /app/app.sh
RUN date +%s%N > /stamp
EXPOSE 80
CMD ["/app/app.sh"]
"""


def test_image_runs_what_was_built_into_it(shop: Workshop) -> None:
    shop.write("app.sh", "#!/bin/sh\ncat /greeting /who", mode=0o755)
    built = shop.build(STORY)
    assert built.cached == ["FROM docker.io/library/busybox:latest"]
    assert shop.knarr("run", "--rm", "--network", "none", "made") == "hello, world\n0\n"
    assert shop.config()["ExposedPorts"] == {"80/tcp": {}}
    assert shop.history()[:4] == [
        'CMD ["/app/app.sh"]',
        "EXPOSE [80/tcp]",
        "RUN /bin/sh -c date +%s%N > /stamp # buildkit",
        "COPY app.sh /app/app.sh # buildkit",
    ]


def test_second_build_is_all_cache_and_gives_the_same_image(shop: Workshop) -> None:
    shop.write("app.sh", "one")
    shop.build(STORY)
    first = shop.image_id()
    again = shop.build()
    assert (len(again.cached), again.done) == (4, [])
    assert shop.image_id() == first
    os.utime(shop.directory / "app.sh")
    assert shop.build().done == []
    shop.write("app.sh", "two")
    changed = shop.build()
    assert changed.done == ["COPY app.sh /app/app.sh", "RUN date +%s%N > /stamp"]
    assert shop.image_id() != first
    shop.write("app.sh", "one")
    assert shop.build().done == []
    assert shop.image_id() == first
    assert len(shop.build("", "--no-cache").done) == 3


def test_build_that_has_nothing_to_do_loads_little(shop: Workshop, tmp_path: Path) -> None:
    shop.write("app.sh", "one")
    shop.build(STORY)
    modules = loaded(tmp_path, "build", "-q", str(shop.directory))
    assert dear(modules) == []
    for name in ("runtime.create", "engine.networks", "engine.build.run", "engine.build.files"):
        assert f"knarr.{name}" not in modules


def test_step_is_a_container_with_network_and_a_name_of_its_own(shop: Workshop) -> None:
    shop.build(
        "FROM busybox\n"
        "RUN hostname > /name; cat /etc/resolv.conf > /dns; ip -4 addr show eth0 > /net\n"
        "RUN --network=none ip addr > /alone\n"
        "RUN grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status > /power; echo $$ > /pid\n"
        "USER nobody\nWORKDIR /work\nRUN id -un > /tmp/who; pwd >> /tmp/who; echo $HOME >> /tmp/who"
    )
    assert shop.read("cat /name") == "buildkitsandbox"
    assert "nameserver" in shop.read("cat /dns")
    assert "inet 10." in shop.read("cat /net")
    assert "eth0" not in shop.read("cat /alone")
    assert "CapEff:\t00000000a80425fb" in shop.read("cat /power")
    assert "Seccomp:\t2" in shop.read("cat /power")
    assert shop.read("cat /tmp/who").split() == ["nobody", "/work", "/"]
    assert shop.read("stat -c %U /work") == "nobody"


def test_layers_hold_what_the_command_did_and_no_mount_points(shop: Workshop) -> None:
    with open("/bin/busybox", "rb") as file:
        shop.write("busybox", file.read(), mode=0o755)
    shop.build('FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "true"]')
    layer = shop.knarr.engine.images.stack(shop.knarr.engine.images.get("made").id)[-1]
    assert os.listdir(shop.knarr.engine.layers.path(layer)) == []
    shop.build("FROM busybox\nRUN touch /etc/made && rm /etc/group && rmdir /var/tmp")
    layer = shop.knarr.engine.images.stack(shop.knarr.engine.images.get("made").id)[-1]
    path = shop.knarr.engine.layers.path(layer)
    assert sorted(os.listdir(path)) == ["etc", "var"]
    assert sorted(os.listdir(f"{path}/etc")) == ["group", "made"]
    assert shop.read("ls /etc/group /var/tmp 2>/dev/null || cat /etc/made && echo ok") == "ok"


def test_failing_step_says_where_and_what_it_printed(shop: Workshop) -> None:
    said = shop.fail(
        "FROM busybox\nRUN echo working && \\\n    echo oh no >&2 && exit 7\nRUN never"
    )
    assert ">>> RUN echo working && \\" in said
    assert ">>>     echo oh no >&2 && exit 7" in said
    assert " > [2/3] RUN echo working" in said
    assert "\nworking\noh no\n------" in said
    assert "did not complete successfully: exit code: 7" in said
    assert "[3/3]" not in said
    assert shop.knarr("images", "-q", "made") == ""


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        ("FROM nowhere", ["nowhere: failed to resolve source metadata", ">>> FROM nowhere"]),
        ("FROM busybox\nCOPY gone /", ['"/gone": not found', ">>> COPY gone /"]),
        ("FROM busybox\nFORM x", ["unknown instruction: FORM (did you mean FROM?)"]),
        ("FROM busybox\nRUN a\0b", ["NUL byte"]),
        ("FROM busybox\nCOPY --chown=nobdy:x . /", ["unable to find user nobdy", ">>> COPY"]),
        ('FROM busybox\nRUN ["/nope"]', ["exit code: 127", "/nope"]),
        ("FROM busybox\nUSER nobdy\nRUN x", ["unable to find user nobdy", ">>> RUN x"]),
        ("FROM busybox\nADD http://127.0.0.1:9/x /", ["127.0.0.1:9", ">>> ADD"]),
        ("FROM busybox\nRUN --device=a x", ["device=a is not allowed", ">>> RUN"]),
        ("", ["the Dockerfile cannot be empty"]),
    ],
)  # fmt: skip
def test_mistakes_are_explained_at_their_line(
    shop: Workshop, dockerfile: str, words: list[str]
) -> None:
    said = shop.fail(dockerfile)
    for word in words:
        assert word in said
    assert "knarr: failed to solve: " in said


def test_contexts_that_are_none(knarr: Knarr, tmp_path: Path) -> None:
    said = knarr.fails("build", str(tmp_path / "gone"))
    assert f'unable to prepare context: path "{tmp_path}/gone" not found' in said
    (tmp_path / "file").write_text("")
    assert "context must be a directory" in knarr.fails("build", str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    said = knarr.fails("build", str(tmp_path / "empty"))
    assert "failed to read dockerfile: open Dockerfile: no such file or directory" in said
    assert "invalid reference format" in knarr.fails("build", "-t", "UPPER", str(tmp_path))


def test_options(shop: Workshop, tmp_path: Path) -> None:
    shop.write("x", "x")
    shop.write(
        "other/My.Dockerfile",
        "ARG BASE\nFROM $BASE AS first\nARG V=0\nLABEL v=$V w=$W\nFROM first AS second\nRUN false",
    )
    words = ["-f", str(shop.directory / "other/My.Dockerfile"), "--target", "first", "-q"]
    words += ["--build-arg", "BASE=busybox", "--build-arg", "V=7", "--label", "w=8", "-t", "two:x"]
    words += ["--iidfile", str(tmp_path / "iid")]
    built = shop.try_build(*words)
    assert built.status == 0, built.output
    image = built.stdout.strip()
    assert built.output == ""
    assert (tmp_path / "iid").read_text() == image == shop.image_id() == shop.image_id("two:x")
    assert shop.config()["Labels"] == {"v": "7", "w": "8"}


def test_hosts_and_proxies_reach_steps_and_leave_no_trace(shop: Workshop) -> None:
    dockerfile = "FROM busybox\nRUN grep extra /etc/hosts > /seen; echo $http_proxy >> /seen"
    words = ("--add-host", "extra:192.0.2.7", "--build-arg", "HTTP_PROXY=http://secret")
    shop.build(dockerfile, *words)
    assert shop.read("cat /seen; grep extra /etc/hosts || true").split() == [
        "192.0.2.7", "extra", "http://secret",
    ]  # fmt: skip
    assert not any("secret" in line for line in shop.history())
    assert not any("PROXY" in entry.upper() for entry in shop.config()["Env"])
    assert shop.build("", "--add-host", "extra:192.0.2.7").done == []


def test_unneeded_stages_are_not_built_and_independent_ones_at_once(shop: Workshop) -> None:
    shop.build(
        "FROM busybox AS left\nRUN sleep 0.4; echo left > /l\n"
        "FROM busybox AS right\nRUN sleep 0.4; echo right > /r\n"
        "FROM nowhere AS unneeded\nRUN false\n"
        "FROM busybox\nCOPY --from=left /l /\nCOPY --from=right /r /\n"
        "COPY --from=busybox /etc/passwd /p"
    )
    assert shop.read("cat /l /r; tail -1 /p | cut -d: -f1").split() == ["left", "right", "nobody"]


def test_triggers_of_a_base_image_come_first(shop: Workshop) -> None:
    shop.write("x", "context")
    shop.build("FROM busybox\nONBUILD COPY x /x\nONBUILD RUN cat /x > /y", tag="base")
    assert shop.config("base")["OnBuild"] == ["COPY x /x", "RUN cat /x > /y"]
    built = shop.build("FROM base\nRUN cat /y > /z")
    assert [name for name in built.done if name.startswith("ONBUILD")] == [
        "ONBUILD COPY x /x", "ONBUILD RUN cat /x > /y",
    ]  # fmt: skip
    assert shop.read("cat /z") == "context"
    assert shop.config()["OnBuild"] is None


def test_heredocs(shop: Workshop) -> None:
    shop.build(
        "FROM busybox\nARG NAME=world\n"
        "RUN <<EOF\necho one > /a\necho $NAME >> /a\nEOF\n"
        "RUN <<-EOF\n\t#!/bin/cat\n\tfrom a script\nEOF\n"
        "COPY --chmod=600 <<x <<'y' /etc/conf/\nhello $NAME\nx\nraw $NAME\ny\n"
    )
    assert shop.read("cat /a /etc/conf/x /etc/conf/y; stat -c %a /etc/conf/x").splitlines() == [
        "one", "world", "hello world", "raw $NAME", "600",
    ]  # fmt: skip


def test_dockerfile_and_context_from_standard_input(shop: Workshop) -> None:
    shop.write("x", "file")
    built = shop.try_build("-f-", stdin=b"FROM busybox\nCOPY x /x")
    assert built.status == 0, built.output
    assert shop.read("cat /x") == "file"
    built = shop.try_build("-", stdin=b"FROM busybox\nRUN echo alone > /x")
    assert built.status == 0, built.output
    assert shop.read("cat /x") == "alone"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in (("Dockerfile", b"FROM busybox\nCOPY y /x"), ("y", b"archived")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    built = shop.try_build("-", stdin=stream.getvalue())
    assert built.status == 0, built.output
    assert shop.read("cat /x") == "archived"


def test_same_files_give_the_same_image_whenever_and_wherever(
    shop: Workshop, tmp_path: Path
) -> None:
    shop.write("d/a", "a")
    shop.write("d/b", "b", mode=0o600)
    dockerfile = (
        "FROM busybox\nWORKDIR /deep/er\nCOPY d /app/d\nCOPY --chown=1:2 d/a /new/a\n"
        "COPY <<x /etc/x\ntext\nx\nENV A=1\n"
    )
    words = ("--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache")
    shop.build(dockerfile, *words)
    first = shop.image_id()
    shop.build(dockerfile, *words)
    assert shop.image_id() == first
    created = json.loads(shop.knarr("image", "inspect", "made"))[0]["Created"]
    assert created == "2023-11-14T22:13:20Z"


def test_base_image_may_be_removed_while_it_is_built_on(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM busybox\nRUN sleep 0.5\nRUN echo fine > /x")
    command = ("build", "-q", "-t", "made", str(shop.directory))
    with shop.knarr.start(*command) as process:
        journal = shop.knarr.engine.paths.journal_dir
        shop.knarr.wait_until(lambda: os.listdir(journal))
        shop.knarr("rmi", "-f", "busybox")
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
    assert shop.read("cat /x") == "fine"
