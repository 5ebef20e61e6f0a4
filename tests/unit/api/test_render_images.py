"""Images as documents of the API, and as older versions of it saw them."""

from __future__ import annotations

from knarr.api import versions
from knarr.api.render import images as render
from knarr.engine.image.removal import Removed
from knarr.engine.images import HistoryLine, Image
from knarr.oci.descriptor import OCI_MANIFEST, Descriptor, Platform
from knarr.oci.digest import digest_of
from knarr.oci.document import FrozenDict
from knarr.oci.reference import parse_reference
from knarr.store.images import ImageRow

ID = digest_of(b"config")
LINUX = Platform("linux", "amd64")
ROW = ImageRow(
    ID, None, OCI_MANIFEST, 5_000_000_000, 0, 1234, LINUX, labels=FrozenDict({"a": "b"})
)  # fmt: skip
TAGGED = Image(ROW, (parse_reference("docker.io/library/busybox:latest"),))


def summary(image: Image, version: tuple[int, int], containers: int = -1) -> dict[str, object]:
    document = render.summary(render.Sized(image, containers=containers))
    return versions.take_back(document, version, render.SUMMARY)


def test_a_list_shows_names_in_their_short_form() -> None:
    assert summary(TAGGED, (1, 51), containers=2) == {
        "Containers": 2,
        "Created": 5,
        "Id": ID,
        "Labels": {"a": "b"},
        "ParentId": "",
        "RepoDigests": [],
        "RepoTags": ["busybox:latest"],
        "SharedSize": -1,
        "Size": 1234,
    }


def test_older_lists_have_what_clients_of_their_time_read() -> None:
    nameless = summary(Image(ROW), (1, 42), containers=2)
    assert nameless["RepoTags"] == ["<none>:<none>"]
    assert nameless["RepoDigests"] == ["<none>@<none>"]
    assert nameless["VirtualSize"] == 1234
    assert nameless["Containers"] == -1
    assert summary(Image(ROW), (1, 43))["RepoTags"] == []
    assert "VirtualSize" not in summary(TAGGED, (1, 44))


def test_manifests_are_told_where_they_are_asked_for() -> None:
    descriptor = Descriptor(OCI_MANIFEST, digest_of(b"manifest"), 8)
    one = render.Manifested(descriptor, LINUX, 100, ("abc",))
    (shown,) = render.summary(render.Sized(TAGGED, manifests=(one,)))["Manifests"]
    assert shown["ID"] == descriptor.digest
    assert shown["Size"] == {"Content": 8, "Total": 108}
    assert shown["ImageData"]["Platform"] == {"architecture": "amd64", "os": "linux"}
    assert shown["ImageData"]["Containers"] == ["abc"]


def inspected(version: tuple[int, int]) -> dict[str, object]:
    document = {
        "Id": str(ID), "Parent": "", "Comment": "", "Author": "", "DockerVersion": "", "Size": 9,
        "Config": {"Cmd": ["sh"], "Env": [], "Hostname": "", "Labels": None, "User": ""},
    }  # fmt: skip
    return versions.take_back(render.inspected(document), version, render.INSPECTED)


def test_what_is_empty_is_left_out_since_1_52() -> None:
    assert inspected((1, 52)) == {"Id": str(ID), "Size": 9, "Config": {"Cmd": ["sh"]}}


def test_before_that_it_was_there() -> None:
    found = inspected((1, 51))
    assert found["Author"] == ""
    config = found["Config"]
    assert isinstance(config, dict)
    assert config["Cmd"] == ["sh"]
    assert config["User"] == ""
    assert "Hostname" not in config
    old = inspected((1, 49))["Config"]
    assert isinstance(old, dict)
    assert old["Hostname"] == ""
    assert "ContainerConfig" not in inspected((1, 45))
    assert inspected((1, 44))["Container"] == ""
    assert inspected((1, 43))["VirtualSize"] == 9


def test_history_and_removal() -> None:
    lines = (HistoryLine(ID, 7_000_000_000, "RUN x", 3, "why"), HistoryLine(None, 0, "", 0, ""))
    newest, oldest = render.history(lines)
    assert (newest["Id"], newest["Created"], newest["Tags"]) == (str(ID), 7, None)
    assert oldest["Id"] == "<missing>"
    gone = (Removed(untagged="busybox:latest"), Removed(deleted=str(ID)))
    assert render.removed(gone) == [{"Untagged": "busybox:latest"}, {"Deleted": str(ID)}]
