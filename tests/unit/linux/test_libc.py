from __future__ import annotations

import ctypes

import pytest

from knarr.linux import libc, mount


def test_a_failed_call_raises_its_errno_and_names_the_call() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        mount.umount2("/no/such/place", mount.MNT_DETACH)
    assert caught.value.__notes__ == ["umount2(b'/no/such/place', 2)"]


def test_two_views_of_one_function_do_not_disturb_each_other() -> None:
    with_number = libc.function("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)
    with_buffer = libc.function("prctl", ctypes.c_int, ctypes.c_char_p, *[ctypes.c_ulong] * 3)
    name = ctypes.create_string_buffer(16)
    with_buffer(16, name, 0, 0, 0)  # PR_GET_NAME
    assert name.value
    assert with_number(3, 0, 0, 0, 0) in (0, 1)  # PR_GET_DUMPABLE


def test_structures_have_the_size_of_the_header() -> None:
    assert ctypes.sizeof(mount.mount_attr) == 32  # MOUNT_ATTR_SIZE_VER0
