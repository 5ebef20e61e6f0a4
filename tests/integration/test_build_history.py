"""What is remembered of builds, and the logs of their steps."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.root

TALKING = """\
FROM busybox
RUN seq 1 5000; echo problem >&2
RUN echo second
"""


def builds(shop: Workshop, *words: str) -> list[dict[str, Any]]:
    lines = shop.knarr("builder", "history", "ls", "--format", "json", *words).splitlines()
    return [json.loads(line) for line in lines]


def test_everything_that_a_step_printed_is_kept(shop: Workshop) -> None:
    shop.build(TALKING)
    done = shop.knarr.do("builder", "logs", "seq")
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 5001))
    assert done.stderr == "problem\n"
    whole = shop.knarr("builder", "logs", "context")
    assert "RUN seq 1 5000; echo problem >&2\n#3 0." in whole
    assert " second\n#4 DONE" in whole
    assert shop.knarr("builder", "logs", "-t", "context", "#4").split(" ")[1] == "second\n"


def test_a_cached_step_has_the_log_of_when_it_was_done(shop: Workshop) -> None:
    shop.build(TALKING)
    assert shop.build().done == []
    assert shop.knarr("builder", "logs", "echo second") == "second\n"
    assert "CACHED" in shop.knarr("builder", "history", "logs")


def test_logs_live_as_long_as_what_they_are_about(shop: Workshop) -> None:
    shop.build(TALKING)
    shop.fail("FROM busybox\nRUN echo last words; false")
    assert shop.knarr("builder", "logs", "last") == "last words\n"
    shop.knarr("builder", "prune", "-af")
    logs = f"{shop.knarr.root}/builds/history/logs"
    assert len(os.listdir(logs)) == 1
    failed, done = (row["ID"] for row in builds(shop))
    assert shop.knarr("builder", "logs", done, "second") == ""
    assert shop.knarr("builder", "logs", failed, "last") == "last words\n"
    shop.knarr("builder", "history", "rm", failed)
    assert os.listdir(logs) == []
    shop.knarr("builder", "history", "rm", "--all")
    assert builds(shop) == []
    assert os.listdir(f"{shop.knarr.root}/builds/history/entered") == []


def test_builds_are_listed_and_found(shop: Workshop) -> None:
    shop.build(TALKING, "--build-arg", "HTTP_PROXY=http://user:hidden@proxy", tag="first:1")
    shop.build("", "--build-arg", "X=1", tag="second:1")
    shop.fail("FROM busybox\nRUN false")
    rows = builds(shop)
    assert [row["Status"] for row in rows] == ["Error", "Completed", "Completed"]
    assert [row["Steps"] for row in rows] == [
        "1/2, 1 cached", "3/3, 3 cached", "3/3, 1 cached",
    ]  # fmt: skip
    assert [row["Tags"] for row in builds(shop, "--filter", "tag=first:1")] == ["first:1"]
    assert len(builds(shop, "--filter", "status=error")) == 1
    assert builds(shop, "--filter", "since=1h")
    assert builds(shop, "--filter", "before=1h") == []
    head = shop.knarr("builder", "history").splitlines()[0].split("   ")
    assert [word.strip() for word in head if word] == [
        "BUILD ID", "NAME", "STATUS", "STEPS", "CREATED AT", "DURATION",
    ]  # fmt: skip
    form = "{{.Context}} {{.NumCachedSteps}} {{json .BuildArgs}} {{.Image}}"
    said = shop.knarr("builder", "history", "inspect", "--format", form, "second:1").strip()
    assert said == f'{shop.directory} 3 {{"X":"1"}} {shop.image_id("second:1")}'
    text = shop.knarr("builder", "history", "inspect")
    assert "Status:         Error" in text
    assert "did not complete successfully: exit code: 1" in text
    assert "ERROR [2/2] RUN false" in text
    assert "no such build: other" in shop.knarr.fails("builder", "logs", "other")


def test_logs_of_a_running_build_are_followed(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM busybox\nRUN echo one; sleep 3; echo two")
    build = shop.knarr.start("build", "--progress", "plain", str(shop.directory))
    assert build.stderr is not None
    while b"one\n" not in (line := build.stderr.readline()):
        assert line
    assert builds(shop)[0]["Status"] == "Running"
    follower = shop.knarr.start("builder", "logs", "-f", "context", "one")
    whole = shop.knarr.start("builder", "logs", "-f")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"one\n"
    assert follower.stdout.read() == b"two\n"
    assert build.wait(20) == 0
    out, _ = whole.communicate(timeout=20)
    assert b" two\n#3 DONE" in out
    follower.communicate()
    build.communicate()


def test_a_killed_build_is_shown_as_such(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM busybox\nRUN echo started; sleep 30")
    build = shop.knarr.start("build", "--progress", "plain", str(shop.directory))
    assert build.stderr is not None
    while b"started\n" not in (line := build.stderr.readline()):
        assert line
    build.send_signal(signal.SIGKILL)
    build.communicate()
    shop.knarr.do("images")
    (row,) = builds(shop)
    assert row["Status"] == "Canceled"
    assert shop.knarr("builder", "logs", "sleep") == "started\n"
    deadline = time.monotonic() + 5
    while shop.knarr.leftovers() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_hundred_builds_are_remembered(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM busybox\nRUN true")
    shop.build()
    database = shop.knarr.engine.database
    for number in range(120):
        with database.transaction() as cursor:
            values = (f"{number:032x}", "source", "old", number, number, "completed", "{}")
            cursor.execute("INSERT INTO build_runs VALUES (?,?,?,?,?,?,?)", values)
    shop.build()
    assert len(builds(shop)) == 100


def test_secrets_are_nowhere(shop: Workshop, tmp_path: Path) -> None:
    lines = [base64.b64encode(os.urandom(24)).decode() for _ in range(3)]
    key, token = "\n".join(lines) + "\n", base64.b64encode(os.urandom(12)).decode()
    (tmp_path / "key").write_text(key)
    (tmp_path / "token").write_text(token)
    shop.write(
        "Dockerfile",
        "FROM busybox\n"
        "RUN --mount=type=secret,id=key cat /run/secrets/key; head -1 /run/secrets/key >&2\n"
        "RUN --mount=type=secret,id=token,env=TOKEN "
        'echo "x${TOKEN}y"; printf "%s" "$TOKEN" | head -c 5; sleep 0.2; '
        'printf "%s" "$TOKEN" | tail -c +6\n'
        "RUN --mount=type=secret,id=token cat /run/secrets/token; false\n",
    )
    secrets = [f"id={name},src={tmp_path / name}" for name in ("key", "token")]
    built = shop.try_build("--explain", "--secret", secrets[0], "--secret", secrets[1])
    assert built.status == 1
    again = shop.try_build("--explain", "--secret", secrets[0], "--secret", secrets[1])
    for text in (built.output, again.output, shop.knarr("builder", "logs", "context")):
        assert not [word for word in (*lines, token) if word in text]
    assert "x*****y" in built.output
    for word in (*lines, token):
        for place in (shop.knarr.root, shop.knarr.run_dir):
            found = subprocess.run(
                ["grep", "-rlaF", word, place], capture_output=True, check=False, text=True
            )
            assert found.stdout == ""
    assert token not in shop.knarr("builder", "history", "inspect", "--format", "json")
