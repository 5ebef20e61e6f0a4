"""BuildKit's protocols: builds whose files, secrets and results go over a session."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from grpclib import GRPCError
from grpclib.const import Status

from support.actionscache import ActionsCache
from support.buildclient import BuildClient

if TYPE_CHECKING:
    from support.serving import Served

pytestmark = pytest.mark.root
MOBY = [("moby", {"name": "one"})]


def client(served: Served, directory: Path, dockerfile: str, **more: object) -> BuildClient:
    """Return a client with a context in `directory`."""
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    directories = {"context": directory, "dockerfile": directory}
    return BuildClient(served.path, directories=directories, **more)  # type: ignore[arg-type]


def left(served: Served) -> list[str]:
    """Return what builds under way have on disk, and what the journal has of them."""
    root = Path(served.knarr.root)
    kept = ("contexts", "history")
    found = [path.name for path in (root / "builds").iterdir() if path.name not in kept]
    return found + [path.name for path in (root / "journal").iterdir()]


def names(statuses: list[object]) -> dict[str, bool]:
    """Return the vertices that were told, and whether they came from the cache."""
    found = {}
    for status in statuses:
        for vertex in status.vertexes:  # type: ignore[attr-defined]
            found[vertex.name] = vertex.cached
    return found


def test_a_context_is_sent_built_and_kept(served: Served, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "deep" / "er").mkdir(parents=True)
    (context / "deep" / "er" / "file").write_text("here\n")
    (context / "large").write_bytes(os.urandom(3 << 20))
    (context / "not").write_text("excluded")
    (context / "link").symlink_to("deep/er/file")
    (context / ".dockerignore").write_text("not\n")
    dockerfile = "FROM busybox\nCOPY . /src\nRUN cat /src/link; ls -a /src\n"
    with client(served, context, dockerfile) as one:
        answer = one.solve({}, MOBY)
        assert served.get("/images/one/json")["Id"] == answer["containerimage.config.digest"]
        logs = b"".join(log.msg for status in one.statuses for log in status.logs)
        expected = b"here\n.\n..\n.dockerignore\nDockerfile\ndeep\nlarge\nlink\n"
        assert logs == expected
        assert ("context", ["-not"]) in one.asked_for
        assert not names(one.statuses)["[2/3] COPY . /src"]
        one.solve({}, MOBY)
        assert names(one.statuses)["[2/3] COPY . /src"]
        assert names(one.statuses)["[3/3] RUN cat /src/link; ls -a /src"]
    assert left(served) == []


def test_a_secret_reaches_the_step_and_nothing_else(served: Served, tmp_path: Path) -> None:
    dockerfile = "FROM busybox\nRUN --mount=type=secret,id=word wc -c </run/secrets/word\n"
    secrets = {"word": b"open-sesame-8571"}
    with client(served, tmp_path / "context", dockerfile, secrets=secrets) as one:
        one.solve({}, MOBY)
        logs = b"".join(log.msg for status in one.statuses for log in status.logs)
    assert logs == b"16\n"
    for path in Path(served.knarr.root).rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert secrets["word"] not in path.read_bytes(), path


def test_what_fails_is_told_with_its_place(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\n\nRUN exit 7\n") as one:
        with pytest.raises(GRPCError) as raised:
            one.solve({}, MOBY)
        assert "did not complete successfully: exit code: 7" in str(raised.value.message)
        (detail,) = raised.value.details
        assert detail.type_url == "github.com/moby/buildkit/errdefs.Source+json"
        source = json.loads(detail.value)
        assert source["ranges"] == [{"start": {"line": 3}, "end": {"line": 3}}]
        assert source["info"]["filename"] == "Dockerfile"
    assert left(served) == []


def test_results_are_sent_to_the_client(served: Served, tmp_path: Path) -> None:
    dockerfile = "FROM scratch\nCOPY Dockerfile /it\n"
    with client(served, tmp_path / "context", dockerfile) as one:
        exporters = [("tar", {}), ("oci", {"name": "x:y"})]
        one.solve({}, exporters)
        with tarfile.open(fileobj=io.BytesIO(one.received[0])) as archive:
            assert archive.extractfile("it").read().decode() == dockerfile  # type: ignore[union-attr]
        with tarfile.open(fileobj=io.BytesIO(one.received[1])) as archive:
            index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        annotations = index["manifests"][0]["annotations"]
        assert annotations["io.containerd.image.name"] == "docker.io/library/x:y"
    assert left(served) == []


def test_a_client_that_goes_away_ends_its_build(served: Served, tmp_path: Path) -> None:
    one = client(served, tmp_path / "context", "FROM busybox\nRUN echo begun; sleep 1234\n")
    with one:
        failed: list[BaseException] = []

        def solve() -> None:
            try:
                one.solve({}, MOBY)
            except BaseException as error:  # noqa: BLE001 - told to the test
                failed.append(error)

        thread = threading.Thread(target=solve)
        thread.start()
        wait_for(lambda: "sleep 1234" in commands())
    thread.join()
    assert failed
    wait_for(lambda: "sleep 1234" not in commands())
    wait_for(lambda: left(served) == [])


def test_a_server_that_is_killed_leaves_nothing(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\nRUN echo begun; sleep 1235\n") as one:

        def solve() -> None:
            with contextlib.suppress(Exception):
                one.solve({}, MOBY)

        thread = threading.Thread(target=solve)
        thread.start()
        wait_for(lambda: "sleep 1235" in commands())
        served.stop(signal.SIGKILL)
        thread.join()
    wait_for(lambda: "sleep 1235" not in commands())

    def is_clean() -> bool:  # the build's own process may still be taking back what it did
        served.knarr.do("images")
        return left(served) == []

    wait_for(is_clean)


@pytest.mark.parametrize(
    "stats",
    [
        [{"path": "../evil", "mode": 0o644}],
        [{"path": "a", "mode": 1 << 27 | 0o777, "linkname": "/tmp"},
         {"path": "a/evil-4711", "mode": 1 << 31 | 0o755}],
    ],
)  # fmt: skip
def test_hostile_files_stay_inside(
    stats: list[dict[str, object]], served: Served, tmp_path: Path
) -> None:
    hostile = client(served, tmp_path / "context", "FROM busybox\n", stats=stats)
    with hostile, contextlib.suppress(GRPCError):
        hostile.solve({}, MOBY)
    assert not Path("/tmp/evil-4711").exists()
    assert not list(Path(served.knarr.root).rglob("evil"))
    assert left(served) == []


def test_a_file_of_no_kind_is_refused(served: Served, tmp_path: Path) -> None:
    stats = [{"path": "x", "mode": 1 << 19}]
    hostile = client(served, tmp_path / "context", "FROM busybox\n", stats=stats)
    with hostile, pytest.raises(GRPCError) as raised:
        hostile.solve({}, MOBY)
    assert "of no kind that is known" in str(raised.value.message)
    assert left(served) == []


def test_another_front_end_is_refused(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\n") as one:
        with pytest.raises(GRPCError) as raised:
            one.solve({"force-network-mode": "bridge"}, MOBY)
        assert raised.value.status is Status.UNIMPLEMENTED
        assert "network mode bridge is not known" in str(raised.value.message)


def test_workers_cache_and_history(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\nRUN echo 1 >/one\n") as one:
        one.solve({}, MOBY)
        (worker,) = one.call("ListWorkers").record
        assert worker.platforms[0].OS == "linux"
        records = one.call("DiskUsage").record
        assert any(record.Description.startswith("RUN ") for record in records)
        events = one.listen("ListenBuildHistory", "BuildHistoryRequest", "BuildHistoryEvent")
        assert [event.record.numTotalSteps for event in events] == [2]
        served.knarr("rmi", "one")
        pruned = one.listen("Prune", "PruneRequest", "UsageRecord", all=True)
        assert {record.ID for record in pruned} == {record.ID for record in records}
        assert list(one.call("DiskUsage").record) == []


def commands() -> str:
    """Return the command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(found)


def wait_for(condition: object, seconds: float = 20.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_has_its_cache_in_the_service_of_its_job(
    served: Served, tmp_path: Path, version: int
) -> None:
    dockerfile = "FROM busybox\nRUN echo one > /one\nRUN echo two > /two\n"
    with ActionsCache() as cache, client(served, tmp_path / "context", dockerfile) as one:
        token = cache.token(("refs/heads/main", 3))
        url = "url" if version == 1 else "url_v2"
        job = {url: cache.url, "token": token, "scope": "here"}
        one.solve({}, MOBY, cache_to=[("gha", {**job, "mode": "max"})])
        assert len(cache.keys("index-here-1-")) == 1
        imports = json.dumps([{"Type": "gha", "Attrs": job}])
        for attributes, cache_from in (({}, [("gha", job)]), ({"cache-imports": imports}, [])):
            served.knarr("rmi", "-f", "one")
            served.knarr("builder", "prune", "-af")
            one.solve(attributes, MOBY, cache_from=cache_from)
            told = names(one.statuses)
            assert told["[2/3] RUN echo one > /one"]
            assert told["[3/3] RUN echo two > /two"]
        assert token not in str(one.statuses) + served.words()


def test_an_argument_that_nobody_declares_is_a_warning(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\n") as one:
        one.solve({"build-arg:NOBODY": "x"}, MOBY)
        (warning,) = [each for status in one.statuses for each in status.warnings]
    assert warning.short == b"UnusedBuildArg: build arguments that no ARG declares: NOBODY"
    assert (list(warning.detail), warning.url) == ([], "")
