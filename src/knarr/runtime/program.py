"""The program of a container: found, checked, and when it cannot run, explained.

`find` looks a name up as execvp(3) does and says what the reference runtimes say: Docker's tests
and people's memories know `executable file not found in $PATH` and `permission denied`.

The kernel's answer to a failed execve(2) is one number for many causes: ENOENT means that the file
is missing, or the interpreter in its first line, or the loader named in its ELF header; ENOEXEC
that it is of another architecture, empty, or text without `#!`. `explain` reads the file's
beginning and finds out.

`refuse_magic_links`: `/proc/self/exe` and its kin are not paths but doors. As the program of a
container they would execute this very interpreter, a file of the host; see `init` for what
follows.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.errors import CommandFailed
from knarr.linux import path
from knarr.linux.mount import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_MOST_HEADERS = 64 << 10  # bytes; the kernel reads no more either
_LONGEST_PASSWD = 1 << 20

NOT_FOUND = 127
NOT_EXECUTABLE = 126

# e_machine of an ELF file: the architecture of an image's platform.
MACHINES = {
    3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64",
    183: "arm64", 243: "riscv64", 258: "loong64",
}  # fmt: skip
# What a machine of uname(2) runs.
RUNS = {
    "x86_64": ("amd64", "386"),
    "i686": ("386",),
    "aarch64": ("arm64", "arm"),
    "armv7l": ("arm",),
    "riscv64": ("riscv64",),
    "s390x": ("s390x",),
    "ppc64le": ("ppc64",),
    "loongarch64": ("loong64",),
}


def find(name: str, search_path: str | None) -> str:  # noqa: RET503 - _fail raises
    """Return the path of the executable file `name`.

    Raises: CommandFailed
    """
    if "/" in name:
        _check(name, name)
        return name
    denied = ""
    for directory in (search_path or "").split(":") if search_path is not None else ():
        candidate = os.path.join(directory or ".", name)
        try:
            status = os.stat(candidate)
        except OSError as error:
            if error.errno == errno.EACCES:
                denied = denied or candidate
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        if os.access(candidate, os.X_OK, effective_ids=True):
            refuse_magic_links(name, candidate)
            return candidate
        denied = candidate
    if denied:
        _fail(name, "permission denied", NOT_EXECUTABLE, hint=_no_permission(denied))
    hint = "" if search_path is not None else "The environment has no PATH."
    _fail(name, "executable file not found in $PATH", NOT_FOUND, hint=hint)


def _check(name: str, file: str) -> None:
    """Raise unless `file` is there and may be executed."""
    try:
        status = os.stat(file)
    except OSError as error:
        reason = (error.strerror or "").lower()
        code = NOT_EXECUTABLE if error.errno == errno.EACCES else NOT_FOUND
        _fail(name, f"stat {file}: {reason}", code)
    if stat.S_ISDIR(status.st_mode):
        _fail(name, "is a directory", NOT_EXECUTABLE)
    if not os.access(file, os.X_OK, effective_ids=True):
        hint = _no_permission(file)
        _fail(name, "permission denied", NOT_EXECUTABLE, hint=hint)
    refuse_magic_links(name, file)


def _no_permission(file: str) -> str:
    """Return why a file that is there may not be executed, or nothing if that is not to be seen."""
    try:
        if os.statvfs(file).f_flag & os.ST_NOEXEC:
            return "The file is on a file system that is mounted noexec."
        if not os.stat(file).st_mode & 0o111:
            return "The file is there but has no permission to be executed: chmod +x it."
    except OSError:  # it is in a directory that may not be entered
        return "A directory on the way may not be entered by this user."
    return ""


def refuse_magic_links(name: str, file: str) -> None:
    """Refuse a program, or interpreter in a first line, that is reached through a magic link.

    Raises: CommandFailed
    """
    for _ in range(5):  # as deep as the kernel follows scripts that interpret scripts
        try:
            descriptor = path.openat2(
                AT_FDCWD, file, os.O_RDONLY | os.O_NONBLOCK, resolve=path.RESOLVE_NO_MAGICLINKS
            )
        except OSError as error:
            if error.errno == errno.ELOOP:
                hint = "Links of /proc lead to files outside the container and cannot be run."
                _fail(name, "permission denied", NOT_EXECUTABLE, hint=hint)
            return  # not readable, say: the kernel decides
        try:
            begin = os.read(descriptor, 256)
        except OSError:
            return
        finally:
            os.close(descriptor)
        if not begin.startswith(b"#!"):
            return
        file = interpreter(begin)


def with_home(environment: Sequence[str], uid: int) -> list[str]:
    """Return the environment with a HOME: that of the user in the container's /etc/passwd, or /.

    One that is given and not empty stays. No part of the spec, but what the reference runtimes do
    and shells rely on.
    """
    if any(entry.startswith("HOME=") and entry != "HOME=" for entry in environment):
        return list(environment)
    others = [entry for entry in environment if not entry.startswith("HOME=")]
    return [*others, f"HOME={_home_of(uid)}"]


def _home_of(uid: int) -> str:
    """Return a user's home directory as a container says, whatever it has for an /etc/passwd."""
    flags = os.O_RDONLY | os.O_NONBLOCK
    rules = path.RESOLVE_NO_MAGICLINKS
    try:
        descriptor = path.openat2(AT_FDCWD, "/etc/passwd", flags, resolve=rules)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = file.read(_LONGEST_PASSWD) if regular else None
    except OSError:
        return "/"
    for line in (data or b"").splitlines():
        fields = line.split(b":")
        if len(fields) > 5 and fields[2] == str(uid).encode():
            return os.fsdecode(fields[5]) or "/"
    return "/"


def interpreter(begin: bytes) -> str:
    """Return the interpreter that a file beginning with `#!` names."""
    words = begin[2:].split(b"\n", 1)[0].split(None, 1)
    return os.fsdecode(words[0]) if words else ""


def _fail(name: str, reason: str, status: int, *, hint: str = "") -> NoReturn:
    message = f'exec: "{name}": {reason}'
    raise CommandFailed(message, status=status, hint=hint)


def explain(file: str, error: OSError, *, filtered: bool = False) -> CommandFailed:
    """Return what to say of an execve(2) of `file` that failed with `error`.

    `filtered` says that a seccomp filter was in force.
    """
    status = NOT_FOUND if error.errno in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.ENOEXEC:
        reason = "exec format error"
    try:
        hint = _cause(file, error.errno or 0, filtered=filtered)
    except (OSError, ValueError, IndexError, OverflowError):  # the file says what it likes
        hint = ""
    return CommandFailed(f"exec {file}: {reason}", status=status, hint=hint)


def _cause(file: str, number: int, *, filtered: bool) -> str:
    """Return why the file cannot be executed, or nothing if that is plain."""
    if number == errno.EPERM and filtered:
        return "The seccomp filter of the container refuses execve, which every program needs."
    if number == errno.EACCES and (hint := _no_permission(file)):
        return hint
    # Whatever it is: a pipe would let nobody get on before somebody writes to it.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "It is no file that can be executed: a pipe, a device or a directory."
        begin = opened.read(4096)
        if begin.startswith(b"#!") and (hint := _script_cause(begin)):
            return hint
        if begin.startswith(b"\x7fELF") and (hint := _elf_cause(begin, opened.fileno(), number)):
            return hint
    if number == errno.EACCES:
        return _denied_by_module()
    return _format_cause(begin) if number == errno.ENOEXEC else ""


def _format_cause(begin: bytes) -> str:
    if not begin:
        return "The file is empty."
    if b"\0" not in begin[:256]:
        return "The file is text without an interpreter: let its first line be #!/bin/sh."
    return "The file is no program that this kernel knows."


def _denied_by_module() -> str:
    """Return the word for who is left to deny what permissions allow, if there is somebody."""
    with open("/proc/self/attr/current", "rb", buffering=0) as label:
        name = os.fsdecode(label.read(256).rstrip(b"\0\n"))
    return f"A security module of the kernel may deny it: the process has the label {name}."


def _script_cause(begin: bytes) -> str:
    line = begin.split(b"\n", 1)[0]
    program = interpreter(begin)
    if line.endswith(b"\r"):
        shown = program.rstrip("\r")
        return (
            f"Its first line ends with a carriage return, so that the kernel looks for"
            f' "{shown}\\r": the file has Windows line ends. Convert it, as with dos2unix.'
        )
    if not program:
        return "Its first line is #! without an interpreter."
    if not os.path.exists(program):
        return f"Its interpreter {program}, named in its first line, is not in the image."
    if not os.access(program, os.X_OK):
        return f"Its interpreter {program} may not be executed."
    return ""


def _elf_cause(begin: bytes, descriptor: int, number: int) -> str:
    wide, little = begin[4] == 2, begin[5] == 1
    order: str = "little" if little else "big"

    def integer(at: int, size: int, data: bytes = begin) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    machine = MACHINES.get(integer(18, 2), f"machine {integer(18, 2)}")
    own = RUNS.get(os.uname().machine, ())
    if number == errno.ENOEXEC and machine not in own:
        return (
            f"The program is for {machine}, this machine is {own[0] if own else 'another'}."
            " With an emulator it runs here too: qemu-user-static registers one in binfmt_misc."
        )
    at, size, count = (
        (integer(32, 8), integer(54, 2), integer(56, 2))
        if wide
        else (integer(28, 4), integer(42, 2), integer(44, 2))
    )
    headers = os.pread(descriptor, min(size * count, _MOST_HEADERS), at)
    for start in range(0, len(headers), size or 1):
        if integer(start, 4, headers) != 3:  # PT_INTERP
            continue
        offset_at, length_at = (8, 32) if wide else (4, 16)
        field = 8 if wide else 4
        place = integer(start + offset_at, field, headers)
        length = min(integer(start + length_at, field, headers), 4096)
        loader = os.fsdecode(os.pread(descriptor, length, place).rstrip(b"\0"))
        if not os.path.exists(loader):
            return (
                f"Its loader {loader} is not in the image: the program was built for another C"
                " library. Build it statically or use a base image that has it."
            )
    return ""
