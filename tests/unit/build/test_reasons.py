"""What a comparison of two builds says, for each ingredient of a cache key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from knarr.build.reasons.explain import Comparison
from knarr.build.reasons.matching import match
from knarr.build.reasons.values import Entered, decode_entered, encode
from knarr.build.reasons.wording import SENTENCES, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE = {"kind": "image", "reference": "docker.io/library/busybox:latest", "image": "sha256:1"}
RUN: dict[str, Any] = {
    "kind": "run", "parent": "p", "arguments": ["sh", "-c", "make"], "environment": ["A=1"],
    "directory": "/", "user": "", "network": "default", "hosts": [], "hostname": "h",
    "script": ["", ""], "mounts": [],
}  # fmt: skip
FILE = b"100644 0 0 " + b"x" * 32


def entry(path: str, description: bytes) -> bytes:
    return b"%d %d %b%b\n" % (len(path), len(description), path.encode(), description)


def step(about: Mapping[str, Any] = RUN, text: str = "RUN make", **fields: Any) -> Entered:
    return Entered(f"[1/1] {text}", text, fields.pop("key", "new"), about, **fields)


def why(now: Entered, before: Entered, **listings: bytes) -> list[str]:
    base = Entered("[1/2] FROM busybox", "FROM busybox", "", IMAGE)
    steps, earlier = [base, now.replace(below=0)], [base, before.replace(key="old")]
    trees = {f"sha256:{name}": data for name, data in listings.items()}
    return sentences(Comparison(steps, earlier, match(steps, earlier), trees).explain(1))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"arguments": ["sh", "-c", "other"]}, {}, "the command is another"),
        ({"environment": ["A=0"]}, {}, "ENV A changed from 0 to 1"),
        ({"environment": []}, {}, "ENV A is new: 1"),
        ({"environment": ["A=1", "B=2"]}, {}, "ENV B is no longer there; it was 2"),
        ({"user": "root"}, {}, 'the user changed from root to ""'),
        ({"mounts": [{"target": "/m", "content": "1"}]},
         {"mounts": [{"target": "/m", "content": "2"}]}, "the files mounted at /m changed"),
        ({"mounts": []}, {"mounts": [{"target": "/m"}]}, "the mount at /m was changed"),
        ({"state": 1, "url": "u"}, {"state": 2, "url": "u"}, "what is fetched from u changed"),
        ({"version": 0}, {}, "how this version of knarr does it"),
    ],
)  # fmt: skip
def test_each_ingredient_is_named(before: dict[str, Any], now: dict[str, Any], said: str) -> None:
    found = why(step({**RUN, **now}), step({**RUN, **before}))
    assert len(found) == 1
    assert said in found[0]


def test_arguments_are_told_from_variables() -> None:
    now = step({**RUN, "environment": ["A=2"]}, arguments=("A",))
    assert why(now, step()) == ["ARG A changed from 1 to 2"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([], [("a", FILE)], "s/a was added"),
        ([("a", FILE)], [], "s/a was removed"),
        ([("a", FILE)], [("a", FILE[:-1] + b"y")], "the content of s/a changed"),
        ([("a", FILE)], [("a", FILE.replace(b"644", b"755"))],
         "the mode of s/a changed from 0644 to 0755"),
        ([("a", FILE)], [("a", FILE.replace(b"0 0", b"5 6"))],
         "the owner of s/a changed from 0:0 to 5:6"),
        ([("a", b"link 0 0 x")], [("a", b"link 0 0 y")], "the link s/a led to x and leads to y"),
        ([("a", FILE)], [("a", b"40755 0 0 0 ")], "s/a was a file and is a directory"),
    ],
)  # fmt: skip
def test_files_are_named(
    old: list[tuple[str, bytes]], new: list[tuple[str, bytes]], said: str
) -> None:
    def copy(digest: str) -> dict[str, Any]:
        return {"kind": "files", "parent": "p", "actions": [{"copy": f"sha256:{digest}"}]}

    now, before = (step(copy(name), "COPY s /", sources=("s",)) for name in ("aa", "bb"))
    listings = {"aa": b"".join(entry(*each) for each in new)}
    listings["bb"] = b"".join(entry(*each) for each in old)
    assert why(now, before, **listings) == [said]
    assert why(now, before) == ["the files of s changed"]


def test_what_was_not_changed_itself_names_what_was() -> None:
    base = step(IMAGE, "FROM busybox", key="")
    other = base.replace(about={**IMAGE, "image": "sha256:2"})
    run = step({**RUN, "parent": "q"}, below=0)
    found = Comparison([other, run], [base, step(key="old")], {0: 0, 1: 1}, {}).explain(1)
    assert sentences(found) == [
        "the image docker.io/library/busybox:latest is another: it was sha256:1, it is sha256:2"
    ]
    first = step(text="RUN first", key="f")
    second = step({**RUN, "parent": "q"}, "RUN second", below=0)
    earlier = [first, step(text="RUN second", key="old")]
    found = Comparison([first, second], earlier, {0: 0, 1: 1}, {}).explain(1)
    assert sentences(found) == ["the files below it changed: [1/1] RUN first"]


@pytest.mark.parametrize(
    ("now", "earlier", "said"),
    [
        (step(forced=True), [step()], "the cache was not to be used"),
        (step(), [], "no build of this Dockerfile is remembered"),
        (step(), [step(IMAGE, "FROM x")], "the instruction is new"),
        (step(), [step(key="")], "the build before did not come this far"),
        (step(), [step()], "nothing changed, but its result is no longer in the cache"),
    ],
)
def test_reasons_that_lie_elsewhere(now: Entered, earlier: list[Entered], said: str) -> None:
    found = Comparison([now], earlier, match([now], earlier), {}).explain(0)
    assert sentences(found) == [said]


def test_steps_are_matched_by_their_text_first() -> None:
    old = [step(text="RUN a"), step(text="RUN b"), step(text="COPY x /")]
    new = [step(text="RUN new"), step(text="COPY x /"), step(text="RUN a")]
    assert match(new, old) == {0: 1, 1: 2, 2: 0}


def test_what_is_remembered_comes_back() -> None:
    whole = step(below=1, others=(2,), sources=("a",), arguments=("A",), forced=True)
    assert decode_entered(encode(whole)) == whole


def test_every_sentence_can_be_said() -> None:
    for words in SENTENCES.values():
        assert words.format(subject="s", before="b", after="a")
