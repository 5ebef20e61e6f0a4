"""A build in the words of the classic builder."""

from __future__ import annotations

import pytest

from knarr.api.render.builds import Classic
from knarr.build.dockerfile.checks import Finding
from knarr.build.events import Finished, Located, Planned, Printed, Started, Step, Ticked, Warned
from knarr.engine.build.export.outputs import Built
from knarr.errors import CommandFailed, InvalidArgument
from knarr.oci.digest import Digest

ID = Digest("sha256:" + "f" * 64)
BASE = "sha256:" + "b" * 64
PLAN = Planned((
    Step(0, "FROM busybox", base=BASE),
    Step(0, "ENV A=1"),
    Step(0, "RUN one", vertex="1" * 64),
    Step(0, "RUN two", vertex="2" * 64),
    Step(0, "CMD sh"),
))  # fmt: skip
ONE, TWO = "1" * 64, "2" * 64


class Client:
    """Hears a build."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.documents: list[dict[str, object]] = []
        self.build = Classic(self.documents.append, quiet=quiet)

    def hear(self, *events: object) -> None:
        for event in events:
            self.build(event)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        return "".join(str(document.get("stream", "")) for document in self.documents)


@pytest.fixture
def client() -> Client:
    return Client()


def test_instructions_come_in_the_order_of_the_file(client: Client) -> None:
    client.hear(PLAN, Started(TWO, "two"), Printed(TWO, 1, b"second\n"), Finished(TWO))
    assert client.text == "Step 1/5 : FROM busybox\n ---> bbbbbbbbbbbb\n"
    client.hear(Started(ONE, "one"), Printed(ONE, 1, b"first\n"))
    assert client.text.endswith("Step 3/5 : RUN one\nfirst\n")
    client.hear(Finished(ONE))
    assert client.text.endswith(
        "first\n ---> 111111111111\n"
        "Step 4/5 : RUN two\nsecond\n ---> 222222222222\n"
        "Step 5/5 : CMD sh\n ---> 222222222222\n"
    )
    assert "cache" not in client.text


def test_a_stage_without_work_stays_what_it_began_with(client: Client) -> None:
    client.hear(Planned((Step(0, "FROM busybox", base=BASE), Step(0, "LABEL a=b"))))
    assert client.text.endswith("Step 2/2 : LABEL a=b\n ---> bbbbbbbbbbbb\n")


def test_what_is_cached_says_so_and_with_it_what_is_no_work(client: Client) -> None:
    client.hear(PLAN, Started(ONE, "one"), Finished(ONE, cached=True))
    client.hear(Started(TWO, "two"), Finished(TWO, cached=True))
    assert client.text.count(" ---> Using cache\n") == 4


def test_a_command_without_a_word_is_shown_while_it_runs(client: Client) -> None:
    client.hear(PLAN, Started(ONE, "one"))
    assert "ENV" not in client.text
    client.hear(Ticked())
    assert client.text.endswith("Step 2/5 : ENV A=1\n ---> 111111111111\nStep 3/5 : RUN one\n")


def test_stderr_is_red_and_characters_stay_whole(client: Client) -> None:
    client.hear(PLAN, Started(ONE, "one"), Printed(ONE, 2, b"no\n"), Printed(ONE, 1, b"\xc3"))
    client.hear(Printed(ONE, 1, b"\xa4\n"))
    assert {"stream": "\x1b[91mno\n\x1b[0m"} in client.documents
    assert client.text.endswith("ä\n")


def test_it_ends_with_the_image(client: Client) -> None:
    client.hear(PLAN, Warned(Finding("UnusedBuildArg", "nobody wants x", 0, 0), "Dockerfile"))
    client.build.conclude(Built(ID, names=("docker.io/library/app:1",)))
    assert {"aux": {"ID": str(ID)}} in client.documents
    assert client.text.endswith(
        "[Warning] nobody wants x\nSuccessfully built ffffffffffff\nSuccessfully tagged app:1\n"
    )


def test_quiet_builds_say_the_id_alone() -> None:
    client = Client(quiet=True)
    client.hear(PLAN, Started(ONE, "one"), Printed(ONE, 1, b"x"), Finished(ONE))
    client.build.conclude(Built(ID, names=("app",)))
    assert client.documents == [{"stream": f"{ID}\n"}]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_failure_tells_what_led_to_it(quiet: bool) -> None:
    client = Client(quiet=quiet)
    client.hear(PLAN, Started(TWO, "two"), Printed(TWO, 1, b"why\n"), Finished(TWO, error="x"))
    client.hear(Located("Dockerfile:4\n"))
    failure = CommandFailed("process …", status=3, command="/bin/sh -c two")
    error = client.build.fail(failure)
    assert client.text.endswith("Step 4/5 : RUN two\nwhy\nDockerfile:4\n")
    assert str(error) == "The command '/bin/sh -c two' returned a non-zero code: 3"


def test_an_error_before_the_first_step_is_the_whole_answer(client: Client) -> None:
    client.hear(Started("load", "[internal] load"), Located("Dockerfile:1\n"))
    error = InvalidArgument("no")
    assert client.build.fail(error) is error
    assert client.documents == []
