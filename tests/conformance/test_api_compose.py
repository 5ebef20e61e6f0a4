"""Docker Compose against the API: projects up and down, and what is done with them in between."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Served

pytestmark = pytest.mark.root
TIMEOUT = 120
EXAMPLE = Path(__file__).parents[2] / "examples" / "compose"
PROJECT = """
services:
  web:
    build: .
    ports: ["127.0.0.1::80"]
    depends_on:
      db: {condition: service_healthy}
      once: {condition: service_completed_successfully}
    environment: {COLOUR: green}
    volumes: ["data:/data"]
    configs: [page]
    networks: {front: {aliases: [shop]}, back: {}}
    develop:
      watch:
        - {path: ./page, target: /www/page, action: sync}
  db:
    image: busybox
    command: sh -c "echo up; touch /tmp/ok; exec sleep 1000"
    healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 1s}
    secrets: [word]
    networks: [back]
    stop_grace_period: 1s
  once:
    image: busybox
    command: echo prepared
    network_mode: none
  tool:
    image: busybox
    profiles: [tools]
    command: echo tool
    network_mode: none
secrets: {word: {file: ./word}}
configs: {page: {content: "hello config"}}
volumes: {data: {}}
networks: {front: {}, back: {internal: true}}
"""
DOCKERFILE = """
FROM busybox
RUN mkdir /www && echo first >/www/page
STOPSIGNAL SIGKILL
CMD ["busybox", "httpd", "-f", "-p", "80", "-h", "/www"]
"""


class Compose:
    """The command `docker-compose` in the directory of a project."""

    def __init__(self, served: Served, directory: Path) -> None:
        found = Path(sys.executable).with_name("docker-compose")
        if not found.exists():
            pytest.skip("docker-compose is not installed")
        self.directory = directory
        self.words = [str(found), "--ansi=never", "--progress=plain"]
        self.environment = {
            **os.environ, "DOCKER_HOST": f"unix://{served.path}", "DOCKER_BUILDKIT": "0",
            "DOCKER_CONFIG": str(served.knarr.directory / "docker-config"),
        }  # fmt: skip

    def do(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, whatever that is."""
        return subprocess.run(
            [*self.words, *words], cwd=self.directory, env=self.environment, check=False,
            capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def __call__(self, *words: str) -> str:
        """Run the command, which has to succeed, and return what it prints."""
        done = self.do(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def states(self) -> dict[str, str]:
        """Return the states of all containers by their names."""
        lines = self("ps", "--all", "--format", "{{.Name}} {{.State}}").splitlines()
        return dict(line.split() for line in lines)


@pytest.fixture
def compose(served: Served, tmp_path: Path) -> Iterator[Compose]:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(PROJECT)
    (directory / "Dockerfile").write_text(textwrap.dedent(DOCKERFILE).lstrip())
    (directory / "word").write_text("open sesame\n")
    (directory / "page").write_text("first\n")
    made = Compose(served, directory)
    yield made
    made.do("--profile", "*", "down", "--volumes", "--timeout", "0", "--remove-orphans")


def fetch(address: str, path: str = "/page") -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def test_a_project_from_up_to_down(compose: Compose, served: Served) -> None:
    compose("up", "--detach", "--build")
    assert compose.states() == {
        "shop-web-1": "running", "shop-db-1": "running", "shop-once-1": "exited",
    }  # fmt: skip
    assert fetch(compose("port", "web", "80").strip()) == "first\n"
    assert compose("exec", "-T", "db", "cat", "/run/secrets/word") == "open sesame\n"
    assert compose("exec", "-T", "web", "cat", "/page") == "hello config"
    assert compose("exec", "-T", "web", "sh", "-c", "echo $COLOUR >/data/x; cat /data/x") == (
        "green\n"
    )
    assert "up" in compose("logs", "db")
    assert "prepared" in compose("logs", "once")
    assert "httpd" in compose("top", "web")
    assert compose("run", "--rm", "-T", "--no-deps", "web", "echo", "ran") == "ran\n"
    assert compose("run", "--rm", "-T", "tool") == "tool\n"
    assert "shop" in compose("ls", "--quiet")
    compose("down", "--timeout", "0")
    assert served.get("/containers/json?all=1") == []
    assert [volume["Name"] for volume in served.get("/volumes")["Volumes"]] == ["shop_data"]
    compose("down", "--volumes")
    assert served.get("/volumes")["Volumes"] == []
    names = {network["Name"] for network in served.get("/networks")}
    assert names == {"bridge", "host", "none"}


def test_services_find_each_other_by_name_and_alias(compose: Compose) -> None:
    compose("up", "--detach", "--build", "web")
    assert compose("exec", "-T", "web", "busybox", "wget", "-qO-", "http://shop/page") == "first\n"
    assert compose("exec", "-T", "db", "busybox", "wget", "-qO-", "http://web/page") == "first\n"
    assert compose.do("exec", "-T", "db", "busybox", "nslookup", "shop").returncode != 0


def test_scale_restart_pause_kill_and_copy(compose: Compose) -> None:
    compose("up", "--detach", "--scale", "db=3", "db")
    assert set(compose.states()) == {"shop-db-1", "shop-db-2", "shop-db-3"}
    compose("up", "--detach", "--scale", "db=1", "db")
    assert set(compose.states()) == {"shop-db-1"}
    compose("pause", "db")
    assert compose.states() == {"shop-db-1": "paused"}
    compose("unpause", "db")
    compose("cp", "word", "db:/copied")
    assert compose("exec", "-T", "db", "cat", "/copied") == "open sesame\n"
    compose("restart", "--timeout", "0", "db")
    compose("kill", "db")
    assert compose.states() == {"shop-db-1": "exited"}
    compose("start", "--wait", "db")
    compose("stop", "--timeout", "0", "db")
    compose("rm", "--force", "db")
    assert compose.states() == {}


def test_what_changed_is_made_anew_and_the_rest_stays(compose: Compose, served: Served) -> None:
    compose("up", "--detach", "--build", "web")
    before = {each["Names"][0]: each["Id"] for each in served.get("/containers/json")}
    path = compose.directory / "compose.yaml"
    path.write_text(path.read_text().replace("green", "blue"))
    compose("up", "--detach", "web")
    after = {each["Names"][0]: each["Id"] for each in served.get("/containers/json")}
    assert after["/shop-db-1"] == before["/shop-db-1"]
    assert after["/shop-web-1"] != before["/shop-web-1"]
    assert compose("exec", "-T", "web", "sh", "-c", "echo $COLOUR") == "blue\n"


def test_watch_brings_changes_into_the_container(compose: Compose) -> None:
    compose("up", "--detach", "--build", "web")
    command = [*compose.words, "watch", "--no-up"]
    with subprocess.Popen(
        command, cwd=compose.directory, env=compose.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as watching:  # fmt: skip
        try:
            time.sleep(1)  # nothing says when it watches
            address = compose("port", "web", "80").strip()
            deadline = time.monotonic() + 30
            while fetch(address) != "second\n":
                (compose.directory / "page").write_text("second\n")
                assert time.monotonic() < deadline
                time.sleep(0.5)
        finally:
            watching.kill()


def test_an_unhealthy_service_ends_the_wait(compose: Compose) -> None:
    path = compose.directory / "compose.yaml"
    path.write_text(path.read_text().replace("touch /tmp/ok", "exit 3"))
    done = compose.do("up", "--detach", "--wait", "db")
    assert done.returncode == 1
    assert "shop-db-1 exited (3)" in done.stderr


def test_the_example_of_four_services(served: Served, tmp_path: Path, guestbook_base: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "guests")
    compose = Compose(served, tmp_path / "guests")
    compose.environment["GUESTBOOK_PORT"] = "127.0.0.1:0"
    served.knarr("import", str(guestbook_base), "guestbook-base")
    try:
        compose("up", "--detach", "--wait")
        address = compose("port", "web", "8000").strip()
        assert fetch(address, "/") == "Guest book\n"
        urllib.request.urlopen(f"http://{address}/", data=b"was here", timeout=10).close()
        deadline = time.monotonic() + 20
        while fetch(address, "/") != "Guest book\nwas here\n":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        compose("down", "--timeout", "5")
        compose("up", "--detach", "--wait")
        assert compose("--profile", "tools", "run", "--rm", "-T", "report") == "1\n"
    finally:
        compose.do("down", "--volumes", "--timeout", "0")
