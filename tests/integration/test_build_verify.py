"""`build --verify`: built twice, it has to be the same."""

from __future__ import annotations

import pytest

from support.workshop import Workshop

pytestmark = pytest.mark.root

UUID = "/proc/sys/kernel/random/uuid"


def test_what_is_the_same_twice_is_kept(shop: Workshop) -> None:
    shop.write("x", "x")
    shop.build("FROM busybox\nCOPY x /x\nRUN mkdir /d && touch /d/now && cp /x /y", "--verify")
    image = shop.image_id()
    assert shop.read("cat /y") == "x"
    assert shop.build().done == []
    assert shop.image_id() == image


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo a > /same; cat $U > /b; cat $U > /c",
         " on, and 1 more"),
        ("echo always the same; echo abc > /x; cat $U >> /x",
         "gave /x another content, from byte "),
        ("cat $U > /tmp-id; mkdir /$(cat /tmp-id); rm /tmp-id",
         "another presence: only the "),
        ("touch -d @$(cut -c1-8 $U | tr a-f 1-6 | sed s/^0*//) /x", "gave /x another time: "),
        ("ln -s $(cat $U) /l", "gave /l another target: "),
        ("touch /x; chown $(cut -c1-8 $U | tr a-f 1-6) /x",
         "gave /x another owner: "),
    ],
)  # fmt: skip
def test_the_first_file_that_differs_is_named_with_how(
    shop: Workshop, command: str, said: str
) -> None:
    shown = shop.fail(
        f"FROM busybox\nENV U={UUID}\nRUN echo good > /good\nRUN {command}", "--verify"
    )
    assert "built twice, it is not the same: [3/3] RUN" in shown
    assert "(line 4)" in shown
    assert said in shown
    assert shop.knarr("images", "-q", "made") == ""
    assert shop.knarr("builder", "history", "ls", "--format", "{{.Status}}") == "Error\n"


def test_a_difference_that_hits_no_file_of_the_result_does_not_count(shop: Workshop) -> None:
    shop.build(
        f"FROM busybox AS random\nENV U={UUID}\nRUN cat $U > /random; echo same > /same\n"
        "FROM busybox\nCOPY --from=random /same /same",
        "--verify",
    )
    assert shop.read("cat /same") == "same"
