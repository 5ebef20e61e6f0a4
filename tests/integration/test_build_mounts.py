"""RUN --mount: contents, caches, memory, secrets."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.root

SECRET = b"sesame-opens-it"


def test_contents_of_context_stages_and_images(shop: Workshop) -> None:
    shop.write("d/a", "from the context")
    shop.write("d/ignored", "never seen")
    shop.write(".dockerignore", "**/ignored")
    dockerfile = (
        "FROM busybox AS other\nRUN mkdir /o && echo from a stage > /o/b\n"
        "FROM busybox\nWORKDIR /w\n"
        "RUN --mount=target=src,source=d --mount=from=other,src=/o,dst=/o,rw "
        "--mount=from=busybox,source=/etc/passwd,target=/pw "
        "cp src/* /w; cat /o/b >> /w/b; echo lost > /o/b; tail -1 /pw > /w/p; "
        "touch src/x || echo readonly > /w/r\n"
    )
    shop.build(dockerfile)
    assert shop.read("ls /w; cat /w/a /w/b /w/r; ls /o /pw 2>/dev/null || true").splitlines() == [
        "a", "b", "p", "r", "from the contextfrom a stage", "readonly",
    ]  # fmt: skip
    assert shop.build().done == []
    shop.write("unrelated", "x")
    assert shop.build().done == []
    shop.write("d/a", "changed")
    assert any("cp src" in name for name in shop.build().done)


def test_caches_outlive_builds_and_stay_out_of_images(shop: Workshop) -> None:
    step = "RUN --mount=type=cache,target=/c,id=mine,mode=0700 ls /c > /seen; touch /c/{name}\n"
    shop.build("FROM busybox\n" + step.format(name="one"))
    assert shop.read("cat /seen; ls -A /c 2>/dev/null || true") == ""
    shop.build("FROM busybox\n" + step.format(name="two"))
    assert shop.read("cat /seen") == "one"
    other = step.replace("id=mine,", "").format(name="three")
    shop.build("FROM busybox\n" + other)
    assert shop.read("cat /seen") == ""


def test_locked_caches_are_had_one_at_a_time(shop: Workshop) -> None:
    stages = [
        f"FROM busybox AS s{n}\nRUN --mount=type=cache,target=/c,sharing=locked "
        f"test ! -e /c/busy && touch /c/busy && sleep 0.3 && rm /c/busy && echo {n} > /r\n"
        for n in range(2)
    ]
    shop.build("".join(stages) + "FROM busybox\nCOPY --from=s0 /r /r0\nCOPY --from=s1 /r /r1\n")
    assert shop.read("cat /r0 /r1").split() == ["0", "1"]


def test_private_caches_are_each_had_by_one(shop: Workshop) -> None:
    stages = [
        f"FROM busybox AS s{n}\nRUN --mount=type=cache,target=/c,sharing=private "
        f"test ! -e /c/busy && touch /c/busy && sleep 0.3 && rm /c/busy && echo {n} > /r\n"
        for n in range(2)
    ]
    shop.build("".join(stages) + "FROM busybox\nCOPY --from=s0 /r /r0\nCOPY --from=s1 /r /r1\n")
    assert shop.read("cat /r0 /r1").split() == ["0", "1"]


def test_memory_is_as_large_as_asked_for(shop: Workshop) -> None:
    shop.build(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1 > /seen; "
        "touch /t/x\n"
    )
    assert shop.read("cat /seen").split()[1] == "1024"
    assert shop.read("ls /t/x 2>/dev/null || echo gone") == "gone"


def test_secrets_reach_the_command_and_nothing_else(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SECRET)
    dockerfile = (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=key,uid=7 stat -c %u:%a /run/secrets/key > /seen; "
        "wc -c < /run/secrets/key >> /seen\n"
        'RUN --mount=type=secret,id=key,env=KEY test -n "$KEY" && echo ${#KEY} >> /seen\n'
        "RUN --mount=type=secret,id=other ls /run/secrets 2>/dev/null | wc -l >> /seen\n"
    )
    shop.build(dockerfile, "--secret", f"id=key,src={tmp_path / 'key'}")
    assert shop.read("cat /seen").split() == ["7:400", "15", "15", "0"]
    for place in (shop.knarr.root, shop.knarr.run_dir):
        found = subprocess.run(
            ["grep", "-rlaF", SECRET.decode(), place], capture_output=True, check=False
        )
        assert found.stdout == b""
    assert SECRET.decode() not in shop.knarr("image", "inspect", "made")
    assert [name for name in os.listdir(f"{shop.knarr.run_dir}/builds") if "secret" in name] == []


def test_missing_secret_is_an_error_if_it_is_required(shop: Workshop) -> None:
    said = shop.fail("FROM busybox\nRUN --mount=type=secret,id=key,required true")
    assert "secret key: not found" in said
    assert "--secret id=key,src=FILE" in said
    assert ">>> RUN --mount" in said


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ("type=bind,target=/", 'invalid mount target "/"'),
        ("type=bind,source=gone,target=/x", '"/gone": not found'),
        ("from=later,target=/x", 'cannot mount from stage "later"'),
        ("type=nope,target=/x", 'unsupported mount type "nope"'),
        ("type=ssh,required", "unset ssh forward key default"),
    ],
)
def test_mistakes(shop: Workshop, mount: str, message: str) -> None:
    said = shop.fail(
        f"FROM busybox AS now\nRUN --mount={mount} true\nFROM busybox AS later", "--target", "now"
    )
    assert message in said
    assert ">>> RUN --mount" in said


def test_caches_of_other_owners_are_others(shop: Workshop) -> None:
    shop.build(
        "FROM busybox\nRUN --mount=type=cache,target=/c touch /c/mine\n"
        "USER 10\nRUN --mount=type=cache,target=/c,uid=10 touch /c/yours && ls /c > /tmp/yours\n"
        "RUN --mount=type=cache,target=/c ls /c > /tmp/mine"
    )
    assert shop.read("cat /tmp/yours /tmp/mine") == "yours\nmine"
