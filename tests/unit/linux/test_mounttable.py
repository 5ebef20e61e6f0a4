"""The mount table, from texts as the kernel writes them."""

from __future__ import annotations

from knarr.linux import mounttable
from knarr.linux.mounttable import Mounted

TEXT = r"""
22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
51 22 0:44 / /run/a\040place ro,nosuid,nodev,relatime shared:7 master:2 - overlay knarr:sha256:ab ro
52 22 0:45 / /mnt rw - tmpfs none rw
53 22 0:46 /below /mnt/x rw - 9p odd\134name rw
""".lstrip()


def test_what_is_mounted_where_and_what_it_is_called() -> None:
    assert mounttable.parse(TEXT) == [
        Mounted("/", "ext4", "/dev/root"),
        Mounted("/run/a place", "overlay", "knarr:sha256:ab"),
        Mounted("/mnt", "tmpfs", "none"),
        Mounted("/mnt/x", "9p", "odd\\name"),
    ]


def test_the_kernel_s_own() -> None:
    assert any(one.point == "/proc" and one.fstype == "proc" for one in mounttable.mounted())
