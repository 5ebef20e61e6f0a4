"""`knarr login`, `logout` and `search`, as a person uses them, and what others read of it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.dockerregistry import docker_registry
from support.mischief import refuse
from support.testregistry import IDENTITY, PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

KNARR = os.path.join(os.path.dirname(sys.executable), "knarr")
AUTH = "ZXJpazpzM2NyM3Qtb2YtZXJpaw=="


class Person:
    """Someone with a home of their own. `knarr(…)` returns the finished process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / ".docker/config.json"
        self.environ = {
            "PATH": f"{home}/bin:{os.environ['PATH']}",
            "HOME": str(home),
            "KNARR_ROOT": f"{home}/root",
            "KNARR_RUN": f"{home}/run",
        }

    def knarr(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [KNARR, *words], input=stdin, env=self.environ, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    def login(self, host: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        return self.knarr("login", "-u", USER, "--password-stdin", host, stdin=password + "\n")

    def write(self, document: object) -> None:
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(json.dumps(document))

    def read(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.config.read_text())
        return document


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


@pytest.fixture
def registry() -> Iterator[TestRegistry]:
    with TestRegistry(basic=True) as lent:
        yield lent


def test_in_and_out(person: Person, registry: TestRegistry) -> None:
    done = person.login(registry.host)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert f"WARNING! Your credentials are stored unencrypted in '{person.config}'" in done.stderr
    assert person.read() == {"auths": {registry.host: {"auth": AUTH}}}
    assert stat.S_IMODE(person.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.config.parent.stat().st_mode) == 0o700
    again = person.knarr("login", registry.host)
    assert again.returncode == 0
    assert "Authenticating with existing credentials... [Username: erik]" in again.stderr
    out = person.knarr("logout", registry.host)
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout == f"Removing login credentials for {registry.host}\n"
    assert person.read() == {"auths": {}}


def test_a_wrong_password_is_not_kept(person: Person, registry: TestRegistry) -> None:
    done = person.login(registry.host, "wrong")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f'knarr: Get "http://{registry.host}/v2/": unauthorized: incorrect username or password\n'
    )
    assert not person.config.exists()


def test_a_password_on_the_command_line_is_warned_of(
    person: Person, registry: TestRegistry
) -> None:
    done = person.knarr("login", "-u", USER, "-p", PASSWORD, registry.host)
    assert done.returncode == 0
    assert done.stderr.startswith("WARNING! Using --password via the CLI is insecure.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--password-stdin"], "the --password-stdin option requires --username to be set"),
        (["-u", "x", "-p", "y", "--password-stdin"], "cannot specify both --password and"),
        (["-u", "x", "-p", ""], "password is empty"),
        (["-u", "x", "--password-stdin"], "password is empty"),
        (["-u", "x"], "cannot perform an interactive login from a non TTY device"),
        ([], "cannot perform an interactive login from a non TTY device"),
    ],
)
def test_misuse(person: Person, words: list[str], message: str) -> None:
    done = person.knarr("login", *words, "127.0.0.1:1")
    assert done.returncode == 1
    assert message in done.stderr


def test_what_a_person_types(person: Person, registry: TestRegistry) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [KNARR, "login", registry.host], stdin=follower, stdout=follower, stderr=follower,
        env=person.environ, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    for prompt, answer in ((b"Username: ", USER), (b"Password: ", PASSWORD), (b"Succeeded", "")):
        while prompt not in shown:
            shown += os.read(leader, 1000)
        if answer:
            os.write(leader, answer.encode() + b"\n")
    assert process.wait(20) == 0
    os.close(leader)
    assert PASSWORD.encode() not in shown
    assert person.read() == {"auths": {registry.host: {"auth": AUTH}}}


def test_other_settings_in_the_file_stay(person: Person, registry: TestRegistry) -> None:
    before = {
        "auths": {"other.example": {"auth": "eDp5"}},
        "HttpHeaders": {"X": "y"},
        "detachKeys": "ctrl-a",
    }
    target = person.home / "elsewhere.json"
    person.write(before)
    person.config.rename(target)
    person.config.symlink_to(target)
    assert person.login(registry.host).returncode == 0
    assert person.config.is_symlink()
    after = person.read()
    assert after["HttpHeaders"] == {"X": "y"}
    assert after["auths"] == {**before["auths"], registry.host: {"auth": AUTH}}  # type: ignore[dict-item]
    assert person.knarr("logout", registry.host).returncode == 0
    assert person.read() == before


def test_a_broken_file_is_named(person: Person, registry: TestRegistry) -> None:
    person.config.parent.mkdir()
    person.config.write_text("{oops")
    done = person.login(registry.host)
    assert done.returncode == 1
    assert done.stderr.startswith(f"knarr: {person.config} is not valid JSON")
    assert person.config.read_text() == "{oops"


def test_an_identity_token_is_kept_instead_of_the_password(person: Person) -> None:
    with TestRegistry(tokens=True) as registry:
        registry.gives_identity = True
        assert person.login(registry.host).returncode == 0
        kept = {"auth": "ZXJpazo=", "identitytoken": IDENTITY}
        assert person.read() == {"auths": {registry.host: kept}}
        assert person.knarr("login", registry.host).returncode == 0
        assert registry.seen("POST", "/token")


HELPER = """#!/bin/sh
here=$(dirname "$0")
echo "$1" >> "$here/calls"
case "$1" in
store) cat > "$here/kept" ;;
get) cat > "$here/asked"; [ -e "$here/kept" ] && cat "$here/kept" ||
    { echo "credentials not found in native keychain"; exit 1; } ;;
erase) cat > "$here/erased"; rm -f "$here/kept" ;;
esac
"""


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_helper_keeps_the_secret(person: Person, registry: TestRegistry, setting: str) -> None:
    helper = person.home / "bin/docker-credential-ours"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    helper.chmod(0o755)
    person.write({setting: {registry.host: "ours"} if setting == "credHelpers" else "ours"})
    done = person.login(registry.host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Login Succeeded\n", "")
    kept = json.loads((helper.parent / "kept").read_text())
    assert kept == {"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD}
    assert person.read()["auths"] == {registry.host: {}}
    assert AUTH not in person.config.read_text()
    assert person.knarr("login", registry.host).returncode == 0
    assert person.knarr("logout", registry.host).returncode == 0
    assert (helper.parent / "erased").read_text() == registry.host
    assert not (helper.parent / "kept").exists()
    assert person.read()["auths"] == {}


def test_a_helper_that_is_not_there(person: Person, registry: TestRegistry) -> None:
    person.write({"credsStore": "nowhere"})
    done = person.login(registry.host)
    assert done.returncode == 1
    assert "no such credential helper: docker-credential-nowhere" in done.stderr


def test_debugging_shows_no_secret(person: Person, registry: TestRegistry) -> None:
    registry.on("GET", "/v2/", refuse(418), times=9)
    done = person.knarr("-D", "login", "-u", USER, "-p", PASSWORD, registry.host)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert PASSWORD not in done.stderr
    assert AUTH not in done.stderr


def test_docker_reads_and_writes_the_same(person: Person, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("docker is not installed")
    environ = {**person.environ, "DOCKER_HOST": "unix:///nowhere"}
    with docker_registry(tmp_path / "registry", password=True) as host:
        theirs = subprocess.run(
            [docker, "login", "-u", USER, "-p", PASSWORD, host], env=environ, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if theirs.returncode:
            pytest.skip("this docker logs in through its daemon only")
        written = person.config.read_bytes()
        assert person.knarr("login", host).returncode == 0
        person.config.unlink()
        assert person.login(host).returncode == 0
        assert person.config.read_bytes() == written
        out = subprocess.run([docker, "logout", host], env=environ, capture_output=True, check=True)
        assert b"Removing login credentials" in out.stdout
        assert person.read() == {"auths": {}}


def test_what_podman_wrote_is_read(person: Person, tmp_path: Path) -> None:
    podman = shutil.which("podman")
    if podman is None:
        pytest.skip("podman is not installed")
    with docker_registry(tmp_path / "registry", password=True) as host:
        auth_file = tmp_path / ".config/containers/auth.json"
        auth_file.parent.mkdir(parents=True)
        subprocess.run(
            [podman, "login", "--tls-verify=false", "--authfile", str(auth_file), "-u", USER,
             "--password-stdin", host],
            input=PASSWORD.encode(), check=True, capture_output=True,
        )  # fmt: skip
        assert person.knarr("login", host).returncode == 0


def test_search(person: Person, registry: TestRegistry) -> None:
    registry.basic = False
    registry.results = [
        {"name": "a/b", "description": "x" * 60, "star_count": 7, "is_official": True},
        {"name": "c/d", "description": "\x1b[31mred", "star_count": 1},
    ]
    done = person.knarr("search", f"{registry.host}/a", "--limit", "5")
    assert done.stderr == ""
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert first.split() == [f"{registry.host}/a/b", "x" * 44 + "…", "7", "[OK]"]
    assert second.split() == [f"{registry.host}/c/d", "[31mred", "1"]
    assert registry.seen("GET", "/v1/search")[0].path == "/v1/search?q=a&n=5"
    few = person.knarr("search", "-f", "stars=5", "--format", "{{.Name}}", f"{registry.host}/a")
    assert few.stdout == f"{registry.host}/a/b\n"
    assert person.knarr("search", "-f", "x=1", f"{registry.host}/a").returncode == 1
    assert "limit 101 is outside" in person.knarr("search", "--limit", "101", "x").stderr


def test_search_where_there_is_none(person: Person, registry: TestRegistry) -> None:
    registry.basic = False
    for name in ("team/app", "team/base", "other"):
        registry.add_manifest(name, "v1", b"{}", "x")
    registry.page = 1
    done = person.knarr("search", f"{registry.host}/team", "--format", "{{.Name}}")
    assert done.stdout.splitlines() == [f"{registry.host}/team/app", f"{registry.host}/team/base"]
