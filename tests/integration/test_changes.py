"""diff, commit and export on the command line: what a container changed, and what becomes of it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from knarr.oci.config import RunConfig
from knarr.oci.document import FrozenDict
from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
SLEEP = ("sleep", "1000")


def ended(knarr: Knarr, script: str, *words: str, name: str = "one") -> None:
    """Run a script in a container to its end."""
    done = knarr.do("run", *NONE, "--name", name, *words, "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr


def config(knarr: Knarr, image: str) -> Any:
    return json.loads(knarr("image", "inspect", image))[0]["Config"]


def output(knarr: Knarr, image: str, *command: str) -> str:
    return knarr("run", "--rm", *NONE, image, *command)


def paths_in(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_a_container_that_changed_nothing(knarr: Knarr) -> None:
    """Mount points that the image lacks are no changes."""
    knarr("create", "--name", "fresh", "busybox")
    assert knarr("diff", "fresh") == ""
    ended(knarr, "cat /etc/hosts /etc/resolv.conf > /dev/null")
    assert knarr("diff", "one") == ""


def test_diff(knarr: Knarr) -> None:
    ended(knarr, "echo x >> /etc/passwd; rm /bin/vi; mkdir -p /new/deep; touch /new/deep/file")
    assert knarr("diff", "one").splitlines() == [
        "C /bin", "D /bin/vi", "C /etc", "C /etc/passwd",
        "A /new", "A /new/deep", "A /new/deep/file",
    ]  # fmt: skip


def test_diff_shows_any_name(knarr: Knarr) -> None:
    ended(knarr, r"touch /$(printf 'not-utf8-\377')")
    environment = {**os.environ, "LC_ALL": "en_US.UTF-8"}
    done = subprocess.run(
        knarr.command("diff", "one"), capture_output=True, check=True, env=environment
    )
    assert done.stdout == b"A /not-utf8-\xff\n"


def test_diff_of_a_running_container(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "web", "busybox", "sh", "-c", "touch /made; sleep 1000")
    knarr.wait_until(lambda: knarr("diff", "web") == "A /made\n")


def test_a_committed_image_has_the_changes(knarr: Knarr) -> None:
    before = knarr("image", "inspect", "busybox")
    ended(knarr, "echo two > /two; rm /bin/vi; ln /two /again; chmod 4711 /two")
    image = knarr("commit", "one", "busybox:v2").strip()
    assert image.startswith("sha256:")
    assert knarr("images", "-q", "--no-trunc", "busybox:v2").strip() == image
    assert output(knarr, "busybox:v2", "stat", "-c", "%a %h %s", "/two") == "4711 2 4\n"
    assert "No such file" in knarr.do("run", "--rm", *NONE, "busybox:v2", "ls", "/bin/vi").stderr
    assert output(knarr, "busybox", "ls", "/bin/vi") == "/bin/vi\n"
    after = json.loads(knarr("image", "inspect", "busybox:v2"))[0]
    base = json.loads(before)[0]
    assert after["Parent"] == base["Id"]
    assert after["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    assert json.loads(knarr("image", "inspect", "busybox")) == json.loads(before)


def test_commit_keeps_the_options_of_the_container(knarr: Knarr) -> None:
    knarr.add_image(
        "base",
        config=RunConfig(
            env=("PATH=/bin", "A=image"),
            entrypoint=("/bin/sh", "-c"),
            cmd=("true",),
            labels=FrozenDict({"from": "image"}),
            exposed_ports=("80/tcp",),
            on_build=("RUN false",),
        ),
    )
    knarr(
        "create", "--name", "one", "-e", "A=own", "-e", "B=2", "-w", "/tmp", "-u", "nobody",
        "--label", "own=yes", "--stop-signal", "INT", "--expose", "443", "base", "id",
    )  # fmt: skip
    knarr("commit", "one", "made")
    found = config(knarr, "made")
    assert sorted(found["Env"]) == ["A=own", "B=2", "PATH=/bin"]
    assert (found["Entrypoint"], found["Cmd"]) == (["/bin/sh", "-c"], ["id"])
    assert (found["WorkingDir"], found["User"]) == ("/tmp", "nobody")
    assert found["Labels"] == {"from": "image", "own": "yes"}
    assert sorted(found["ExposedPorts"]) == ["443/tcp", "80/tcp"]
    assert found["StopSignal"] == "INT"
    assert not found["OnBuild"]


def test_commit_with_changes(knarr: Knarr) -> None:
    ended(knarr, "touch /file")
    changes = [
        'CMD ["ls", "/file"]',
        "ENTRYPOINT []",
        "ENV A=1 B=$A",
        "EXPOSE 80 53/udp",
        "HEALTHCHECK --interval=5s CMD true",
        "LABEL a=b",
        "ONBUILD RUN true",
        "STOPSIGNAL SIGQUIT",
        "USER nobody",
        "VOLUME /data",
        "WORKDIR /srv",
    ]
    words = [word for change in changes for word in ("--change", change)]
    knarr("commit", "-a", "Ann <ann@example.org>", "-m", "a message", *words, "one", "made")
    found = config(knarr, "made")
    assert found["Cmd"] == ["ls", "/file"]
    assert "A=1" in found["Env"]
    assert sorted(found["ExposedPorts"]) == ["53/udp", "80/tcp"]
    assert found["Healthcheck"]["Interval"] == 5_000_000_000
    assert (found["Labels"], found["OnBuild"]) == ({"a": "b"}, ["RUN true"])
    assert (found["StopSignal"], found["User"]) == ("SIGQUIT", "nobody")
    assert (found["Volumes"], found["WorkingDir"]) == ({"/data": {}}, "/srv")
    document = json.loads(knarr("image", "inspect", "made"))[0]
    assert (document["Author"], document["Comment"]) == ("Ann <ann@example.org>", "a message")
    assert output(knarr, "made") == "/file\n"
    line = knarr("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made")
    assert line.splitlines() == ["sh -c touch /file|a message", "|"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing"], "no such container: nothing"),
        (["one", "Upper"], "must be lowercase"),
        (["--change", "RUN true", "one"], "run is not a valid change command"),
        (["--change", "NONSENSE", "one"], "nonsense"),
    ],
)
def test_commits_that_cannot_be(knarr: Knarr, words: list[str], says: str) -> None:
    knarr("create", "--name", "one", "busybox")
    images = knarr("images", "-aq")
    assert says in knarr.fails("commit", *words).lower()
    assert knarr("images", "-aq") == images


def test_a_commit_without_changes_makes_no_layer(knarr: Knarr) -> None:
    ended(knarr, "true")
    knarr("commit", "one", "same")
    layers = json.loads(knarr("image", "inspect", "same"))[0]["RootFS"]["Layers"]
    assert len(layers) == 1


def test_volumes_and_mounts_are_not_committed(knarr: Knarr, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    ended(
        knarr, "echo x > /volume/file; echo y > /bind/file; echo z > /tmp/mounted/file; touch /own",
        "-v", "/volume", "-v", f"{tmp_path}/host:/bind", "--tmpfs", "/tmp/mounted",
    )  # fmt: skip
    knarr("commit", "one", "made")
    assert output(knarr, "made", "find", "/bind", "/tmp/mounted", "/own", "-type", "f") == "/own\n"


def test_commit_freezes_a_running_container(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "web", "busybox", "sh", "-c", "touch /ready; sleep 1000")
    knarr.wait_until(lambda: "ready" in knarr("diff", "web"))
    stopped = knarr.start("commit", "web", "made", trace="commit:captured=stop")
    knarr.wait_until(lambda: status(knarr) == "paused")
    os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.wait(30) == 0
    stopped.communicate()
    assert status(knarr) == "running"
    assert output(knarr, "made", "ls", "/ready") == "/ready\n"


def test_commit_leaves_a_paused_container_paused(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "web", "busybox", *SLEEP)
    knarr("pause", "web")
    knarr("commit", "web", "made")
    assert status(knarr) == "paused"
    knarr("unpause", "web")


@pytest.mark.parametrize("words", [["--pause=false"], ["--no-pause"]])
def test_commit_without_a_pause(knarr: Knarr, words: list[str]) -> None:
    knarr("run", "-d", *NONE, "--name", "web", "busybox", *SLEEP)
    stopped = knarr.start("commit", *words, "web", "made", trace="commit:captured=stop")
    knarr.wait_until(lambda: "T" in Path(f"/proc/{stopped.pid}/stat").read_text().split()[2])
    assert status(knarr) == "running"
    os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.wait(30) == 0
    stopped.communicate()


def status(knarr: Knarr, name: str = "web") -> str:
    return knarr("inspect", "-f", "{{.State.Status}}", name).strip()


@pytest.mark.parametrize(
    "point", ["commit:captured", "trees.publish:before-rename", "commit:adopted", "commit:recorded"]
)
def test_a_commit_that_is_killed(knarr: Knarr, point: str) -> None:
    knarr("run", "-d", *NONE, "--name", "web", "busybox", "sh", "-c", "touch /ready; sleep 1000")
    knarr.wait_until(lambda: "ready" in knarr("diff", "web"))
    trees = knarr.engine.layers.list()
    assert knarr.do("commit", "web", "made", trace=f"{point}=kill").returncode == -9
    knarr.do("ps")
    assert status(knarr) == "running"
    assert knarr.do("image", "inspect", "made").returncode == 1
    assert knarr.engine.layers.list() == trees
    knarr("commit", "web", "made")
    assert output(knarr, "made", "ls", "/ready") == "/ready\n"


def test_export(knarr: Knarr, tmp_path: Path) -> None:
    ended(
        knarr, "echo changed > /etc/passwd; rm /bin/vi; echo x > /volume/file; ln -s there /link",
        "-v", "/volume",
    )  # fmt: skip
    knarr("export", "-o", f"{tmp_path}/out.tar", "one")
    found = paths_in((tmp_path / "out.tar").read_bytes())
    assert found["etc/passwd"].size == len("changed\n")
    assert found["link"].linkname == "there"
    assert found["bin/busybox"].size == os.stat("/bin/busybox").st_size
    assert found["proc"].isdir()
    assert "bin/vi" not in found
    assert "volume/file" not in found
    assert "." not in found


def test_export_of_a_running_container_to_a_pipe(knarr: Knarr) -> None:
    knarr("run", "-d", *NONE, "--name", "web", "busybox", "sh", "-c", "touch /ready; sleep 1000")
    knarr.wait_until(lambda: "ready" in knarr("diff", "web"))
    done = subprocess.run(knarr.command("export", "web"), capture_output=True, check=True)
    assert "ready" in paths_in(done.stdout)
    assert status(knarr) == "running"


def test_export_is_not_written_to_a_terminal(knarr: Knarr) -> None:
    knarr("create", "--name", "one", "busybox")
    master, slave = os.openpty()
    done = subprocess.run(
        knarr.command("export", "one"), stdout=slave, stderr=subprocess.PIPE, check=False
    )
    os.close(slave)
    os.close(master)
    assert done.returncode == 1
    assert b"cowardly refusing to save to a terminal" in done.stderr
    assert b"Use the -o flag or redirect" in done.stderr


def test_what_is_exported_can_be_imported(knarr: Knarr, tmp_path: Path) -> None:
    ended(knarr, "echo content > /file; chmod 4755 /file")
    knarr("export", "-o", f"{tmp_path}/out.tar", "one")
    knarr("import", f"{tmp_path}/out.tar", "again")
    script = ("stat", "-c", "%a %s", "/file")
    assert output(knarr, "again", "/bin/busybox", *script) == "4755 8\n"


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_others_read_a_committed_image(knarr: Knarr, tmp_path: Path) -> None:
    knarr("create", "--name", "empty", "busybox")
    exported = subprocess.run(knarr.command("export", "empty"), capture_output=True, check=True)
    knarr("import", "-", "base", stdin=exported.stdout)
    script = "export PATH=/bin; echo x > /file; rm /bin/vi"
    knarr("run", *NONE, "--name", "one", "base", "/bin/busybox", "sh", "-c", script)
    knarr("commit", "one", "made")
    knarr("save", "-o", f"{tmp_path}/made.tar", "made")
    target = f"dir:{tmp_path}/copied"
    subprocess.run(
        ["skopeo", "copy", "--insecure-policy", f"docker-archive:{tmp_path}/made.tar", target],
        check=True, capture_output=True,
    )  # fmt: skip
    manifest = json.loads((tmp_path / "copied/manifest.json").read_text())
    top = (tmp_path / "copied" / manifest["layers"][-1]["digest"].partition(":")[2]).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(top)) as archive:
        assert sorted(archive.getnames()) == [".", "bin", "bin/.wh.vi", "file"]
