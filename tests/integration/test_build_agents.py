"""Agents of ssh in steps, and steps that are allowed more than others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.engine import Knarr

pytestmark = pytest.mark.root

LISTED = "FROM busybox\nCOPY root /\nRUN --mount=type=ssh{} {} > /listed"
needs_ssh = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("ssh-agent", "ssh-add", "ssh-keygen", "ldd")),
    reason="the programs of OpenSSH are not installed",
)


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    """Lend a context that has ssh-add with its libraries in `root`."""
    shop = Workshop(knarr, tmp_path / "context")
    program = shutil.which("ssh-add")
    if program:
        words = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        libraries = {word for word in words.stdout.split() if word.startswith("/")}
        shop.write("root/bin/ssh-add", Path(program).read_bytes(), mode=0o755)
        for path in libraries:
            shop.write(f"root{path}", Path(path).read_bytes(), mode=0o755)
    return shop


@pytest.fixture
def keys(tmp_path: Path) -> list[Path]:
    """Make two keys."""
    made = [tmp_path / name for name in ("one", "two")]
    for path in made:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
        subprocess.run(words, check=True)
    return made


@pytest.fixture
def agent(tmp_path: Path, keys: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run an agent that has the first key."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", str(keys[0])], check=True, capture_output=True)
        yield path
    finally:
        process.kill()
        process.wait()


def listed(shop: Workshop) -> str:
    return shop.read("cat /listed")


def agents_of(directory: Path) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().decode()
            except OSError:
                continue
            if str(directory) in words and "build.agents" in words:
                found.append(words)
    return found


@needs_ssh
def test_a_step_talks_to_the_users_agent(shop: Workshop, agent: Path, tmp_path: Path) -> None:
    shop.write("Dockerfile", LISTED.format("", "ssh-add -l"))
    shop.build("", "--ssh", "default")
    assert "one (ED25519)" in listed(shop)
    assert shop.read("ls -A /run/buildkit 2>/dev/null; env | grep SSH || true") == ""
    assert agents_of(tmp_path) == []
    assert agent.exists()


@needs_ssh
def test_a_user_of_the_image_may_talk_to_the_agent_too(shop: Workshop, agent: Path) -> None:
    del agent
    place = ",id=here,target=/tmp/my.sock,uid=1000"
    command = 'sh -c "ls -l $SSH_AUTH_SOCK; ssh-add -l"'
    text = LISTED.replace("COPY", "RUN chmod 1777 /\nUSER 1000\nCOPY").format(place, command)
    shop.write("Dockerfile", text.replace('"ls', '"echo $SSH_AUTH_SOCK; ls'))
    shop.build("", "--ssh", "here")
    said = listed(shop)
    assert "/tmp/my.sock" in said
    assert "srw------- 1 1000" in " ".join(said.split())
    assert "one (ED25519)" in said


@needs_ssh
def test_keys_that_are_files_are_served(shop: Workshop, keys: list[Path], tmp_path: Path) -> None:
    shop.write("Dockerfile", LISTED.format(",required", "ssh-add -l"))
    shop.build("", "--ssh", f"default={keys[0]},{keys[1]}")
    assert "one (ED25519)" in listed(shop)
    assert "two (ED25519)" in listed(shop)
    assert agents_of(tmp_path) == []


@needs_ssh
def test_what_is_no_key_is_told(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key at all")
    (tmp_path / "key").chmod(0o600)
    shop.write("Dockerfile", LISTED.format("", "true"))
    built = shop.try_build("--ssh", f"default={tmp_path}/key")
    assert built.status == 1
    assert "cannot be used" in built.output


def test_without_an_agent(shop: Workshop, tmp_path: Path) -> None:
    shop.write("root/empty", b"")
    shop.write("Dockerfile", LISTED.format("", "sh -c 'echo none:$SSH_AUTH_SOCK'"))
    shop.build("")
    assert listed(shop) == "none:"
    said = shop.fail(LISTED.format(",required,id=mine", "true"))
    assert "unset ssh forward key mine" in said
    assert "--ssh mine" in said
    assert "failed to stat" in shop.knarr.fails("build", "--ssh", f"a={tmp_path}/gone", ".")


def test_insecure_steps_have_to_be_allowed(shop: Workshop) -> None:
    step = "RUN --security=insecure mount -t tmpfs x /mnt && grep CapEff /proc/self/status > /caps"
    text = f"FROM busybox\nRUN mkdir -p /mnt\n{step}"
    assert "security.insecure is not allowed" in shop.fail(text)
    shop.build("", "--allow", "security.insecure")
    assert int(shop.read("cut -f2 /caps"), 16) & 1 << 21, "CAP_SYS_ADMIN"
    plain = shop.try_build("--allow", "everything")
    assert "invalid entitlement: everything" in plain.output


def test_the_hosts_network_has_to_be_allowed(shop: Workshop) -> None:
    text = "FROM busybox\nRUN --network=host readlink /proc/self/ns/net > /listed"
    assert "network.host is not allowed" in shop.fail(text)
    shop.build("", "--allow", "network.host")
    assert listed(shop) == os.readlink("/proc/self/ns/net")
    shop.build("", "--network", "host", "--no-cache")


def test_devices_of_cdi_have_to_be_allowed(shop: Workshop) -> None:
    directory = Path("/etc/cdi")
    there = directory.exists()
    directory.mkdir(exist_ok=True)
    path = directory / "knarr-test-build.json"
    edits = {"env": ["WORD=given"], "deviceNodes": [{"path": "/dev/full"}]}
    kind = {"cdiVersion": "0.6.0", "kind": "test.knarr/thing"}
    path.write_text(json.dumps({**kind, "devices": [{"name": "a", "containerEdits": edits}]}))
    try:
        text = "FROM busybox\nRUN --device=test.knarr/thing=a echo $WORD > /listed"
        assert "device=test.knarr/thing=a is not allowed" in shop.fail(text)
        shop.build("", "--allow", "device=test.knarr/thing=a")
        assert listed(shop) == "given"
        shop.build("", "--allow", "device", "--no-cache")
    finally:
        path.unlink()
        if not there:
            directory.rmdir()


@needs_ssh
def test_a_killed_build_leaves_no_agent(shop: Workshop, keys: list[Path], tmp_path: Path) -> None:
    shop.write("Dockerfile", "FROM busybox\nRUN --mount=type=ssh touch /began && sleep 100")
    words = ("build", "--ssh", f"default={keys[0]}", "--network", "none", str(shop.directory))
    build = shop.knarr.start(*words)
    shop.knarr.wait_until(lambda: agents_of(tmp_path))
    build.kill()
    build.communicate()
    shop.knarr.wait_until(lambda: not agents_of(tmp_path))
    assert "took back a build" in shop.knarr.do("ps").stderr
