"""Secrets: kept for root alone, given to containers, and shown nowhere else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.engine import Knarr

pytestmark = pytest.mark.root
RUN = ("run", "--rm", "--network", "none")
DATA = "s3cr3t-of-the-test"


def shell(knarr: Knarr, script: str, *options: str) -> str:
    return knarr(*RUN, *options, "busybox", "sh", "-c", script)


def places(knarr: Knarr) -> list[str]:
    """Return the files of root and run directory in which the data is."""
    command = ["grep", "-rlF", DATA, knarr.root, knarr.run_dir]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


def test_making_looking_and_removing(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(DATA)
    one = knarr("secret", "create", "--label", "a=b", "one", str(tmp_path / "file")).strip()
    assert len(one) == 25
    two = knarr("secret", "create", "two", "-", stdin=b"two").strip()
    os.environ["KNARR_TEST_SECRET"] = "three"
    knarr("secret", "create", "--env", "three", "KNARR_TEST_SECRET")
    assert knarr("secret", "ls", "--format", "{{.Name}} {{.Driver}}").splitlines() == [
        "one file", "three file", "two file",
    ]  # fmt: skip
    assert knarr("secret", "ls", "-q", "-f", "name=tw") == f"{two}\n"
    (document,) = json.loads(knarr("secret", "inspect", one[:6]))
    assert (document["ID"], document["Spec"]["Name"]) == (one, "one")
    assert document["Spec"]["Labels"] == {"a": "b"}
    assert DATA not in json.dumps(document)
    assert knarr("secret", "inspect", "--showsecret", "-f", "{{.SecretData}}", "one") == f"{DATA}\n"
    assert "one: secret name in use" in knarr.fails("secret", "create", "one", "/etc/passwd")
    for path in (*Path(knarr.root, "secrets").iterdir(), Path(knarr.root, "secrets")):
        assert path.stat().st_mode & 0o077 == 0
    knarr("secret", "exists", "one")
    assert knarr.fails("secret", "exists", "four") == ""
    said = knarr.fails("secret", "rm", "four", "three")
    assert 'no secret with name or id "four": no such secret' in said
    assert knarr("secret", "rm", "--ignore", "four") == ""
    assert sorted(knarr("secret", "rm", "--all").split()) == sorted((one, two))
    assert os.listdir(f"{knarr.root}/secrets") == []


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a/b", b"x", 'secret name "a/b" can not include'),
        ("-", b"x", 'secret name "-" can not include'),
        ("a", b"", "secret data must be larger than 0 and less than 512000 bytes"),
        ("a", b"x" * 512_000, "secret data must be larger than 0 and less than 512000 bytes"),
    ],
    ids=["slash", "dash", "empty", "large"],
)
def test_secrets_that_cannot_be(knarr: Knarr, name: str, data: bytes, words: str) -> None:
    done = knarr.do("secret", "create", "--", name, "-", stdin=data)
    assert done.returncode == 1
    assert words in done.stderr


def test_as_files_and_as_variables(knarr: Knarr) -> None:
    knarr("secret", "create", "db", "-", stdin=DATA.encode())
    script = (
        "cd /run/secrets; cat db; stat -c ' %a %u:%g' db; grep -c ' /run/secrets t' /proc/mounts"
    )
    assert shell(knarr, script, "--secret", "db") == f"{DATA} 444 0:0\n1\n"
    options = ("--secret", "db,target=a/b,uid=7,gid=8,mode=400", "--secret", "db,target=/etc/key")
    script = "cat /etc/key; stat -c ' %a %u:%g' /run/secrets/a/b; (echo > /etc/key) 2>&- || echo ro"
    assert shell(knarr, script, *options) == f"{DATA} 400 7:8\nro\n"
    assert shell(knarr, "echo $db $KEY", "--secret", "db,type=env") == f"{DATA}\n"
    other = ("--secret", "db,type=env,target=KEY", "-e", "KEY=given")
    assert shell(knarr, "echo $db $KEY", *other) == f"{DATA}\n"
    mapped = ("--userns", "auto", "--user", "7", "--secret", "db,uid=7,mode=400")
    assert shell(knarr, "cat /run/secrets/db", *mapped) == DATA
    private = ("--tmpfs", "/run", "--read-only", "--secret", "db")
    assert shell(knarr, "cat /run/secrets/db", *private) == DATA
    assert places(knarr) == [path for path in places(knarr) if "/secrets/" in path]
    assert len(places(knarr)) == 1
    assert os.listdir(f"{knarr.run_dir}/secrets") == []


def test_the_data_is_nowhere_else(knarr: Knarr) -> None:
    knarr("secret", "create", "db", "-", stdin=DATA.encode())
    asked = ("--secret", "db", "--secret", "db,type=env,target=KEY", "--name", "one")
    knarr("run", "-d", "--network", "none", *asked, "busybox", "sleep", "1000")
    assert knarr("exec", "one", "cat", "/run/secrets/db") == DATA
    assert knarr("exec", "one", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ | grep KEY") == (
        f"KEY={DATA}\n"
    )
    assert knarr("exec", "one", "sh", "-c", "echo $KEY") == f"{DATA}\n"
    assert DATA not in knarr("inspect", "one")
    (document,) = json.loads(knarr("inspect", "one"))
    assert [one["Name"] for one in document["Config"]["Secrets"]] == ["db", "db"]
    knarr("commit", "one", "copy")
    found = places(knarr)
    assert len(found) == 2, found  # the secret, and its copy while the container runs
    assert all("/secrets/" in path for path in found)
    assert knarr(*RUN, "copy", "sh", "-c", "ls /run; cat /run/secrets/* 2>&-; true") == "secrets\n"
    knarr("rm", "-f", "one")
    assert len(places(knarr)) == 1


def test_replaced_while_the_container_is_down(knarr: Knarr) -> None:
    knarr("secret", "create", "db", "-", stdin=b"old\n")
    asked = ("--secret", "db", "--secret", "db,type=env", "--name", "one", "--network", "none")
    assert knarr("run", *asked, "busybox", "sh", "-c", "cat /run/secrets/db; echo $db") == (
        "old\nold\n"
    )
    knarr("secret", "create", "--replace", "db", "-", stdin=b"new\n")
    assert knarr("start", "-a", "one") == "new\nnew\n"
    knarr("secret", "rm", "db")
    words = 'no secret with name or id "db": no such secret'
    assert words in knarr.fails("start", "-a", "one")
    assert os.listdir(f"{knarr.run_dir}/secrets") == []
    assert words in knarr.fails(*RUN, "--secret", "db", "busybox", "true", status=125)


def test_restarted_by_a_supervisor_that_took_over(knarr: Knarr) -> None:
    knarr("secret", "create", "db", "-", stdin=DATA.encode())
    asked = ("--secret", "db", "--secret", "db,type=env", "--restart", "always", "--name", "one")
    script = "echo $db $(cat /run/secrets/db); exec sleep 1000"
    knarr("run", "-d", "--network", "none", *asked, "busybox", "sh", "-c", script)

    def lines() -> list[str]:
        return knarr.do("logs", "one").stdout.splitlines()

    knarr.wait_until(lambda: len(lines()) == 1)
    container = knarr.engine.containers.get("one")
    task = Path(knarr.engine.paths.container(container.id), "task.json")
    state = container.state
    os.kill(json.loads(task.read_text())["supervisor_pid"], signal.SIGKILL)
    assert lines() == [f"{DATA} {DATA}"]
    os.kill(state.pid, signal.SIGKILL)
    knarr.wait_until(lambda: len(lines()) == 2)
    assert lines() == [f"{DATA} {DATA}"] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no source found"),
        ("a,b", "option b must be in form option=value"),
        ("a,type=x", "type x is invalid"),
        ("a,mode=9", "mode 9 invalid"),
        ("a,uid=-1", "uid -1 invalid"),
        ("a,foo=b", "option foo=b invalid"),
        ("a,type=env,uid=5", "UID, GID, Mode options cannot be set with secret type env"),
    ],
)
def test_requests_that_cannot_be(knarr: Knarr, text: str, words: str) -> None:
    said = knarr.fails(*RUN, "--secret", text, "busybox", "true", status=125)
    assert f'invalid argument "{text}" for "--secret" flag: {words}' in said
