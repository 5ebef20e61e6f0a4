"""`build --on-error=shell`: looking around in the file system of a step that failed."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.terminal import Terminal
from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

FAILING = """\
FROM busybox
ENV COLOUR=red
RUN mkdir -p /etc /work && echo worker:x:77:77::/:/bin/sh >> /etc/passwd && chown 77 /work
USER worker
WORKDIR /work
RUN --mount=type=tmpfs,target=/tmp/scratch --mount=type=cache,target=/cache,uid=77 \\
    echo half > made; exit 4
"""


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("Dockerfile", FAILING)
    return shop


def remains(shop: Workshop) -> list[str]:
    """Return what is left of the build, when it had a moment to go."""
    deadline = time.monotonic() + 5
    while True:
        builds = set(os.listdir(f"{shop.knarr.root}/builds")) - {"contexts", "history", "mounts"}
        left = [*builds, *shop.knarr.leftovers()]
        left = [name for name in left if not name.startswith("cache")]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


@contextmanager
def at_the_shell(shop: Workshop) -> Iterator[Terminal]:
    words = ("build", "--progress", "tty", "--on-error", "shell", str(shop.directory))
    with Terminal(shop.knarr, *words) as terminal:
        terminal.expect("leave it to end the build")
        terminal.expect("/work $ ")
        yield terminal


def test_the_shell_of_a_terminal_stands_where_the_step_failed(shop: Workshop) -> None:
    with at_the_shell(shop) as terminal:
        terminal.type(
            "cat made; pwd; id -u; echo =$COLOUR=$TERM=; mount | grep -c scratch; echo do''ne\n"
        )
        assert "half\r\n/work\r\n77\r\n=red=xterm=\r\n1\r\n" in terminal.expect("done\r\n")
        # Said by a child of the shell's, which has the terminal's foreground by then: Ctrl-C while
        # the shell still has it would end nothing.
        terminal.type("sh -c 'echo sle\"\"eping; exec sleep 60'\n")
        terminal.expect("sleeping\r\n")
        terminal.type("\x03")
        terminal.type("echo awa''ke\n")
        terminal.expect("awake\r\n")
        terminal.resize(33, 111)
        terminal.type("stty size\n")
        terminal.expect("33 111")
        terminal.type("exit\n")
        terminal.expect("failed to solve")
        terminal.expect("did not complete successfully: exit code: 4")
        assert terminal.status() == 1
    assert remains(shop) == []


def test_a_script_can_look_around_without_a_terminal(shop: Workshop) -> None:
    done = shop.knarr.do(
        "build", "-q", "--on-error=shell", str(shop.directory), stdin=b"cat made; tty; exit 9\n"
    )
    assert done.stdout == "half\nnot a tty\n"
    assert done.returncode == 1
    assert "exit code: 4" in done.stderr
    assert remains(shop) == []


def test_what_the_shell_does_is_not_kept(shop: Workshop) -> None:
    shop.knarr.do("build", "--on-error=shell", str(shop.directory), stdin=b"echo more > made\n")
    shop.write("Dockerfile", FAILING.replace("exit 4", "cat made"))
    assert "half" in shop.try_build().output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_killed_build_takes_its_shell_along(shop: Workshop, number: int) -> None:
    with at_the_shell(shop) as terminal:
        terminal.type("sleep 1000 & sleep 2000\n")
        time.sleep(0.3)
        terminal.process.send_signal(number)
        terminal.process.wait(10)
    shop.knarr.do("images")
    assert remains(shop) == []


def test_other_steps_do_not_go_on_behind_the_shell(shop: Workshop) -> None:
    shop.write(
        "Dockerfile",
        "FROM busybox AS slow\nRUN --mount=type=cache,target=/c sleep 2; touch /c/late\n"
        "FROM busybox\nRUN sleep 0.5; false\nCOPY --from=slow /c /c\n",
    )
    started = time.monotonic()
    done = shop.knarr.do(
        "build", "--progress=plain", "--on-error=shell", str(shop.directory), stdin=b"sleep 3\n"
    )
    assert done.returncode == 1
    assert "cancelled" in done.stderr
    assert time.monotonic() - started < 20
    shop.write("Dockerfile", "FROM busybox\nRUN --mount=type=cache,target=/c test ! -e /c/late\n")
    assert shop.try_build().status == 0


def test_no_shell_no_session(shop: Workshop) -> None:
    shop.write("Dockerfile", "FROM busybox\nRUN rm /bin/sh /bin/busybox; exit 5")
    done = shop.knarr.do("build", "--on-error=shell", str(shop.directory))
    assert done.returncode == 1
    assert "no shell can be opened" in done.stderr
    assert "Traceback" not in done.stderr
    assert remains(shop) == []
    said = shop.knarr.fails("build", "--on-error=nothing", str(shop.directory))
    assert "invalid value for --on-error: nothing" in said
