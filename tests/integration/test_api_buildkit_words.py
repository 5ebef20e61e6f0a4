"""BuildKit's protocols: what clients ask for in other words than buildx does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from grpclib import GRPCError
from grpclib.const import Status

from support.buildclient import BuildClient

if TYPE_CHECKING:
    from pathlib import Path

    from support.serving import Served

pytestmark = pytest.mark.root
MOBY = [("moby", {"name": "one"})]


def client(served: Served, directory: Path, dockerfile: str) -> BuildClient:
    """Return a client with a context in `directory`."""
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    return BuildClient(served.path, directories={"context": directory, "dockerfile": directory})


def asked(one: BuildClient, **more: object) -> dict[str, object]:
    """Return a request to build, but for what the front end is."""
    exporters = [{"Type": kind, "Attrs": given} for kind, given in MOBY]
    return {"Session": one.session, "Exporters": exporters, **more}


def test_the_gateway_may_be_asked_for_the_front_end_that_is_built_in(
    served: Served, tmp_path: Path
) -> None:
    with client(served, tmp_path / "context", "FROM scratch\nLABEL it=is\n") as one:
        attributes = {"source": "dockerfile.v0", "cmdline": "dockerfile.v0"}
        one.call("Solve", **asked(one, Frontend="gateway.v0", FrontendAttrs=attributes))
        with pytest.raises(GRPCError) as raised:
            attributes["source"] = "docker/dockerfile"
            one.call("Solve", **asked(one, Frontend="gateway.v0", FrontendAttrs=attributes))
    assert served.get("/images/one/json")["Config"]["Labels"] == {"it": "is"}
    assert raised.value.status is Status.UNIMPLEMENTED


def test_what_is_no_dockerfile_is_refused_at_once(served: Served, tmp_path: Path) -> None:
    with (
        client(served, tmp_path / "context", "FROM scratch\n") as one,
        pytest.raises(GRPCError) as raised,
    ):
        one.call("Solve", **asked(one, Definition={"def": [b"x"]}))
    assert raised.value.status is Status.UNIMPLEMENTED
    assert "only Dockerfiles can be built" in str(raised.value.message)


def test_old_clients_name_their_caches_in_one_word(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM scratch\nLABEL it=is\n") as one:
        one.solve({"cache-from": "localhost:1/none,localhost:1/neither"}, MOBY)
        told = json.dumps([vertex.name for each in one.statuses for vertex in each.vertexes])
    found = set(re.findall("importing cache manifest from localhost:1/([a-z]+)", told))
    assert found == {"none", "neither"}


def test_another_session_may_have_the_files(served: Served, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("x")
    with (
        BuildClient(served.path, directories={"context": tmp_path / "elsewhere"}) as other,
        client(served, tmp_path / "context", "FROM scratch\nCOPY file /\n") as one,
    ):
        one.solve({"local-sessionid:context": other.session}, MOBY)
        assert ("context", []) in other.asked_for
        assert {name for name, _ in one.asked_for} == {"dockerfile"}


@pytest.mark.parametrize(
    "attributes",
    [
        {"hostname": "aye"},
        {"build-arg:BUILDKIT_SANDBOX_HOSTNAME": "aye"},
        {"build-arg:BUILDKIT_SANDBOX_HOSTNAME": "aye", "hostname": "nay"},
    ],
)
def test_the_host_of_a_step_has_a_name(
    served: Served, tmp_path: Path, attributes: dict[str, str]
) -> None:
    dockerfile = "FROM busybox\nRUN hostname; grep -cw aye /etc/hosts\n"
    with client(served, tmp_path / "context", dockerfile) as one:
        one.solve(attributes, MOBY)
        logs = b"".join(log.msg for status in one.statuses for log in status.logs)
    assert logs == b"aye\n1\n"


def test_the_place_of_what_failed_is_every_line_of_it(served: Served, tmp_path: Path) -> None:
    with (
        client(served, tmp_path / "context", "FROM scratch\nCOPY no\\\nne /\n") as one,
        pytest.raises(GRPCError) as raised,
    ):
        one.solve({}, MOBY)
    source = json.loads(raised.value.details[0].value)
    assert [each["start"]["line"] for each in source["ranges"]] == [2, 3]


def test_nothing_is_in_the_place_of_an_image(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\nCOPY Dockerfile /it\n") as one:
        one.solve({"context:busybox": "docker-image:scratch"}, MOBY)
    assert len(served.get("/images/one/json")["RootFS"]["Layers"]) == 1


def test_who_has_no_context_needs_none(served: Served, tmp_path: Path) -> None:
    directory = tmp_path / "only"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM busybox\nCOPY <<END /it\nis\nEND\n")
    with BuildClient(served.path, directories={"dockerfile": directory}) as one:
        one.solve({}, MOBY)
        (directory / "Dockerfile").write_text("FROM busybox\nCOPY it /it\n")
        with pytest.raises(GRPCError, match="no access allowed to dir 'context'"):
            one.solve({}, MOBY)


def test_a_secret_in_the_environment_is_not_in_the_name_of_its_step(
    served: Served, tmp_path: Path
) -> None:
    dockerfile = (
        "FROM busybox\nENV WORD=other\n"
        'RUN --mount=type=secret,id=word,env=WORD [ "$WORD" = open-sesame ]\n'
    )
    with client(served, tmp_path / "context", dockerfile) as one:
        one.secrets = {"word": b"open-sesame"}
        one.solve({}, MOBY)
        told = {vertex.name for each in one.statuses for vertex in each.vertexes}
    assert '[2/2] RUN --mount=type=secret,id=word,env=WORD [ "****" = open-sesame ]' in told


def test_clients_hear_how_much_they_have_sent(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM scratch\nCOPY large /\n") as one:
        (tmp_path / "context" / "large").write_bytes(bytes(2 << 20))
        one.solve({}, MOBY)
        told = {each.ID: each for status in one.statuses for each in status.statuses}
    dockerfile, context = told["transferring dockerfile:"], told["transferring context:"]
    assert dockerfile.current < 100
    assert 2 << 20 <= context.current < (2 << 20) + 100
    assert context.HasField("completed")


def test_a_context_that_is_ignored_as_a_whole_is_warned_of(served: Served, tmp_path: Path) -> None:
    with client(served, tmp_path / "context", "FROM busybox\nCOPY . /it/\n") as one:
        (tmp_path / "context" / ".dockerignore").write_text("*\n.dockerignore\n")
        one.solve({}, MOBY)
        told = [each.short for status in one.statuses for each in status.warnings]
    assert told == [
        b'CopyIgnoredFile: Attempting to Copy file "." that is excluded by .dockerignore (line 2)'
    ]
