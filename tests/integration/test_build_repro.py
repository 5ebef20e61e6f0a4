"""The same inputs give the same image: elsewhere, later, and whatever the clock says."""

from __future__ import annotations

import json
import os
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

MADE_AT = "2024-03-01T12:00:00Z"
EPOCH = 1_709_294_400
STORY = """\
FROM dated AS build
ENV WORD=word
WORKDIR /deep/down
COPY src .
COPY --chmod=750 one two /single/
RUN mkdir -p made/x && echo $WORD > made/x/file && ln -s x made/link && touch -d @1000 made/old
RUN rm /deep/down/a && mkdir new && date > /dev/null
COPY <<END /heredoc/file
text
END
FROM dated
COPY --from=build /deep /deep
LABEL a=b
RUN cp /bin/busybox /copy
"""


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("Base", "FROM busybox\nRUN mkdir -p /etc\n")
    shop.build("", "-f", str(shop.directory / "Base"), "--timestamp", str(EPOCH), tag="dated")
    return furnish(shop)


def furnish(shop: Workshop) -> Workshop:
    shop.write("src/a", "a")
    shop.write("src/b/c", "c", mode=0o755)
    (shop.directory / "src" / "link").symlink_to("b/c")
    shop.write("one", "1")
    shop.write("two", "2")
    shop.write("Dockerfile", STORY)
    return shop


def files(shop: Workshop, *words: str) -> dict[str, tarfile.TarInfo]:
    """Build, and return the files of the result."""
    path = shop.directory.parent / "out.tar"
    built = shop.try_build(*words, "-o", f"type=tar,dest={path}")
    assert built.status == 0, built.output
    with tarfile.open(path) as tar:
        return {member.name.removeprefix("./"): member for member in tar}


def layer_times(shop: Workshop, image: str, *, count: int) -> list[float]:
    """Return the times in the archives of the last layers of an image."""
    path = shop.directory.parent / "saved.tar"
    shop.knarr("save", "-o", str(path), image)
    found = []
    with tarfile.open(path) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"][-count:]:
            layer = tar.extractfile(name)
            assert layer is not None
            with tarfile.open(fileobj=layer) as members:
                found += [member.mtime for member in members]
    return found


def document(shop: Workshop, image: str = "made") -> dict[str, Any]:
    """Return the whole config of an image."""
    (blob,) = json.loads(shop.knarr("image", "inspect", image))
    path = f"{shop.knarr.root}/images/blobs/sha256/{blob['Id'].removeprefix('sha256:')}"
    with open(path, encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def test_built_again_without_the_cache(shop: Workshop) -> None:
    shop.build()
    first = shop.image_id()
    for path, _, names in os.walk(shop.directory):
        for name in names:
            os.utime(os.path.join(path, name), follow_symlinks=False)
    shop.build("", "--no-cache")
    assert shop.image_id() == first


def test_built_on_another_machine(
    shop: Workshop, second: Knarr, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    del capfd
    shop.build()
    shop.knarr("save", "-o", str(tmp_path / "base.tar"), "dated")
    second("load", "-i", str(tmp_path / "base.tar"))
    before = os.umask(0o077)
    other = furnish(Workshop(second, tmp_path / "elsewhere"))
    for name in ("src", "src/b"):
        os.chmod(other.directory / name, 0o755)
    try:
        other.build()
    finally:
        os.umask(before)
    assert other.image_id() == shop.image_id()
    for lender, name in ((shop.knarr, "a"), (second, "b")):
        lender("save", "-o", str(tmp_path / name), "made")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_times_are_those_of_the_base(shop: Workshop) -> None:
    shop.build()
    found = document(shop)
    assert found["created"] == MADE_AT
    assert {line["created"] for line in found["history"][-3:]} == {MADE_AT}
    assert max(layer_times(shop, "made", count=2)) == EPOCH
    times = {name: member.mtime for name, member in files(shop, "--target", "build").items()}
    made = {name for name in times if name.startswith(("deep", "single", "heredoc"))}
    assert {times[name] for name in made - {"deep/down/made/old"}} == {EPOCH}
    assert times["deep/down/made/old"] == 1000
    assert "deep/down/a" not in times


def test_lists_say_when_it_was_built_here(shop: Workshop) -> None:
    shop.build()
    assert "ago" in shop.knarr("images", "--format", "{{.CreatedSince}}", "made")
    assert "year" not in shop.knarr("images", "--format", "{{.CreatedSince}}", "made")


def test_without_a_base_it_is_1980(shop: Workshop) -> None:
    shop.build("FROM scratch\nCOPY one /one")
    assert document(shop)["created"] == "1980-01-01T00:00:00Z"
    assert files(shop)["one"].mtime == 315_532_800


def test_commands_know_the_time(shop: Workshop) -> None:
    shop.build("FROM dated\nRUN echo $SOURCE_DATE_EPOCH > /time")
    assert shop.read("cat /time; echo =$SOURCE_DATE_EPOCH=") == f"{EPOCH}\n=="
    shop.build("FROM dated\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /time",
               "--build-arg", "SOURCE_DATE_EPOCH=77")  # fmt: skip
    assert shop.read("cat /time") == "77"


def test_epoch_of_the_image_alone_leaves_the_cache_as_it_is(shop: Workshop) -> None:
    shop.build()
    built = shop.build("", "--build-arg", "SOURCE_DATE_EPOCH=1600000000")
    assert built.done == []
    found = document(shop)
    assert {line["created"] for line in found["history"][-3:]} == {"2020-09-13T12:26:40Z"}
    assert found["created"] == "2020-09-13T12:26:40Z"


def test_an_output_without_later_times(shop: Workshop) -> None:
    shop.build()
    out = "type=image,name=early,rewrite-timestamp=true"
    shop.build("", "--build-arg", "SOURCE_DATE_EPOCH=1600000000", "--output", out)
    times = layer_times(shop, "early", count=2)
    assert max(times) == 1_600_000_000
    assert 1000 in times
    assert max(layer_times(shop, "made", count=2)) == EPOCH


def test_layers_say_which_time_they_were_held_down_to(shop: Workshop, tmp_path: Path) -> None:
    for name, value in (("early", "true"), ("late", "false")):
        out = f"type=oci,dest={tmp_path}/{name},tar=false,rewrite-timestamp={value}"
        shop.build("", "--build-arg", "SOURCE_DATE_EPOCH=1600000000", "--output", out)
    said = {}
    for name in ("early", "late"):
        blobs = tmp_path / name / "blobs" / "sha256"
        index = json.loads((tmp_path / name / "index.json").read_bytes())
        (listed,) = index["manifests"]
        manifest = json.loads((blobs / listed["digest"].partition(":")[2]).read_bytes())
        said[name] = [layer.get("annotations") for layer in manifest["layers"]]
    own = {"buildkit/rewritten-timestamp": "1600000000"}
    assert said["early"][-1] == own
    assert said["early"][0] is None
    assert set(said["late"]) == {None}
    shop.build("", "--output", f"type=oci,dest={tmp_path}/none,tar=false,rewrite-timestamp=true")
    assert b"rewritten-timestamp" not in b"".join(
        file.read_bytes() for file in (tmp_path / "none").rglob("*") if file.is_file()
    )


def test_a_time_of_ones_own(shop: Workshop) -> None:
    times = files(shop, "--timestamp", "1234567890", "--target", "build")
    assert times["deep/down/b/c"].mtime == times["deep/down/made/x/file"].mtime == 1_234_567_890
    shop.build("", "--timestamp", "1234567890")
    assert document(shop)["created"] == "2009-02-13T23:31:30Z"
    assert "invalid time: noon" in shop.knarr.fails("build", "--timestamp", "noon", ".")


def test_the_clock_if_it_is_wanted(shop: Workshop) -> None:
    shop.build("", "--timestamp", "now")
    assert document(shop)["created"] > "2025"
    times = files(shop, "--timestamp", "now", "--target", "build")
    assert times["deep/down/b/c"].mtime == 1_600_000_000
    assert times["deep/down/made/x/file"].mtime > EPOCH


def test_steps_see_real_times(shop: Workshop) -> None:
    """What was edited is newer than what was built before, as make wants it."""
    text = (
        "FROM dated\nCOPY one /one\n"
        "RUN --mount=type=cache,target=/cache "
        "if [ ! -e /cache/made ] || [ /one -nt /cache/made ]; then cp /one /cache/made; fi; "
        "cp /cache/made /made\n"
    )
    os.utime(shop.directory / "one")
    shop.build(text)
    time.sleep(1.1)  # busybox compares whole seconds
    (shop.directory / "one").write_text("other")
    shop.build()
    assert shop.read("cat /made") == "other"
