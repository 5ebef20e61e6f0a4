"""The layouts that quotactl(2) and the ioctls of projects take, and what is said where none are."""

from __future__ import annotations

import os

from knarr.linux import quota


def test_layouts_have_the_sizes_of_the_headers() -> None:
    assert quota._FSXATTR.size == 28
    assert quota._DISK_QUOTA.size == 112


def test_a_file_system_without_projects_enforces_none() -> None:
    descriptor = os.open("/proc/self", os.O_RDONLY)
    try:
        assert not quota.enforced(descriptor)
        assert quota.project_of(descriptor) == 0
    finally:
        os.close(descriptor)
