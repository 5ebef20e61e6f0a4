"""Programs looked up, and the reasons why they cannot run."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from knarr.errors import CommandFailed
from knarr.runtime.program import explain, find

if TYPE_CHECKING:
    from pathlib import Path


def make(path: Path, contents: str | bytes, mode: int = 0o755) -> str:
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    path.chmod(mode)
    return str(path)


def failure(name: str, search_path: str | None) -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        find(name, search_path)
    return caught.value


def test_first_directory_that_has_it(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "tool").mkdir()
    make(tmp_path / "b" / "tool", "", 0o644)
    wanted = make(tmp_path / "c" / "tool", "")
    search_path = ":".join(str(tmp_path / name) for name in ("nosuch", "a", "b", "c"))
    assert find("tool", search_path) == wanted


def test_not_in_path(tmp_path: Path) -> None:
    caught = failure("tool", str(tmp_path))
    assert caught.message == 'exec: "tool": executable file not found in $PATH'
    assert caught.status == 127


def test_no_path_at_all() -> None:
    assert failure("tool", None).hint == "The environment has no PATH."


def test_not_executable(tmp_path: Path) -> None:
    path = make(tmp_path / "tool", "x", 0o644)
    for caught in (failure("tool", str(tmp_path)), failure(path, "")):
        assert caught.message.endswith(": permission denied")
        assert caught.status == 126
        assert "chmod +x" in caught.hint


def test_not_there_and_a_directory(tmp_path: Path) -> None:
    missing = f"{tmp_path}/missing"
    caught = failure(missing, "")
    assert caught.message == f'exec: "{missing}": stat {missing}: no such file or directory'
    assert caught.status == 127
    caught = failure(str(tmp_path), "")
    assert caught.message == f'exec: "{tmp_path}": is a directory'
    assert caught.status == 126


@pytest.mark.parametrize("script", [False, True], ids=["itself", "as interpreter"])
def test_links_of_proc_are_no_programs(tmp_path: Path, script: bool) -> None:
    path = make(tmp_path / "x", "#!/proc/self/exe\n") if script else "/proc/self/exe"
    caught = failure(path, "")
    assert caught.message == f'exec: "{path}": permission denied'
    assert caught.status == 126
    assert "Links of /proc" in caught.hint


def reason(path: str) -> CommandFailed:
    """Return the explanation of a real failure to execute `path`."""
    with pytest.raises(OSError) as caught:  # noqa: PT011
        subprocess.run([path], check=False)
    return explain(path, caught.value)


def test_windows_line_ends(tmp_path: Path) -> None:
    caught = reason(make(tmp_path / "x", "#!/bin/sh\r\necho\r\n"))
    assert caught.status == 127
    assert caught.message == f"exec {tmp_path}/x: no such file or directory"
    assert "Windows line ends" in caught.hint


def test_missing_interpreter(tmp_path: Path) -> None:
    caught = reason(make(tmp_path / "x", "#!/nosuch/sh -e\n"))
    assert "Its interpreter /nosuch/sh, named in its first line, is not in" in caught.hint


def test_text_without_interpreter(tmp_path: Path) -> None:
    path = make(tmp_path / "x", "echo hello\n")
    error = OSError(8, "Exec format error")  # subprocess would try the shell
    caught = explain(path, error)
    assert caught.message == f"exec {path}: exec format error"
    assert caught.status == 126
    assert "let its first line be #!/bin/sh" in caught.hint


def test_empty_file(tmp_path: Path) -> None:
    caught = explain(make(tmp_path / "x", ""), OSError(8, "Exec format error"))
    assert caught.hint == "The file is empty."


def elf(machine: int, loader: bytes = b"") -> bytes:
    """Return the beginning of a 64-bit little-endian ELF program."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[16:20] = (2).to_bytes(2, "little") + machine.to_bytes(2, "little")
    header[32:40] = (64).to_bytes(8, "little")
    header[54:58] = (56).to_bytes(2, "little") + (1).to_bytes(2, "little")
    entry = bytearray(56)
    entry[:4] = (3).to_bytes(4, "little")
    entry[8:16] = (120).to_bytes(8, "little")
    entry[32:40] = (len(loader) + 1).to_bytes(8, "little")
    return bytes(header + entry + loader + b"\0")


def test_wrong_architecture(tmp_path: Path) -> None:
    foreign, name = (183, "arm64") if os.uname().machine == "x86_64" else (62, "amd64")
    caught = explain(make(tmp_path / "x", elf(foreign)), OSError(8, "Exec format error"))
    assert caught.hint.startswith(f"The program is for {name}, this machine is")


def test_missing_loader(tmp_path: Path) -> None:
    own = {"x86_64": 62, "aarch64": 183}.get(os.uname().machine, 62)
    path = make(tmp_path / "x", elf(own, b"/lib/ld-musl-nosuch.so.1"))
    caught = explain(path, OSError(2, "No such file or directory"))
    assert caught.status == 127
    assert "Its loader /lib/ld-musl-nosuch.so.1 is not in the image" in caught.hint


def test_broken_headers_do_not_hide_the_error(tmp_path: Path) -> None:
    caught = explain(make(tmp_path / "x", b"\x7fELF\x02"), OSError(8, "Exec format error"))
    assert caught.message.endswith("exec format error")
