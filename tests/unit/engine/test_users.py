"""Names of users and groups, by the files of an image."""

from __future__ import annotations

import pytest

from knarr.engine.container.users import Identity, identify
from knarr.errors import InvalidArgument

PASSWD = """root:x:0:0:root:/root:/bin/sh
# comment:x:5:5:::
broken line
app:x:1000:1001:App:/home/app:/bin/sh
nohome:x:1002:1002:::
twin:x:1000:9:::/twin
+::::::
"""
GROUP = """root:x:0:
wheel:x:10:root,app
app:x:1001:
audio:x:29:app,other
bad:x:notanumber:app
"""


@pytest.mark.parametrize(
    ("user", "extra", "identity"),
    [
        ("", (), Identity(0, 0, (0, 10), "/root")),
        ("root", (), Identity(0, 0, (0, 10), "/root")),
        ("0", (), Identity(0, 0, (0, 10), "/root")),
        ("app", (), Identity(1000, 1001, (1001, 10, 29), "/home/app")),
        ("1000", (), Identity(1000, 1001, (1001, 10, 29), "/home/app")),
        ("app:audio", (), Identity(1000, 29, (29,), "/home/app")),
        ("app:5", (), Identity(1000, 5, (5,), "/home/app")),
        ("7", (), Identity(7, 0, (0,), "/")),
        ("7:8", (), Identity(7, 8, (8,), "/")),
        ("nohome", (), Identity(1002, 1002, (1002,), "/")),
        ("7:8", ("audio", "99", "8"), Identity(7, 8, (8, 29, 99), "/")),
    ],
)
def test_identities(user: str, extra: tuple[str, ...], identity: Identity) -> None:
    assert identify(user, extra, passwd=PASSWD, group=GROUP) == identity


def test_an_image_without_files() -> None:
    assert identify("", (), passwd="", group="") == Identity(0, 0, (0,), "/")
    assert identify("5:6", (), passwd="", group="") == Identity(5, 6, (6,), "/")


@pytest.mark.parametrize(
    ("user", "extra", "words"),
    [
        ("ghost", (), "unable to find user ghost: no matching entries in passwd file"),
        ("0:ghosts", (), "unable to find group ghosts: no matching entries in group file"),
        ("0", ("ghosts",), "unable to find group ghosts"),
        ("4294967296", (), "uids and gids must be in range 0-2147483647"),
    ],
)
def test_nobody(user: str, extra: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        identify(user, extra, passwd=PASSWD, group=GROUP)
