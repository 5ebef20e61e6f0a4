"""What the program of a container is, by its file: looked up and read, never executed."""

from __future__ import annotations

import os
import stat

from knarr.engine.explaining import facts as kinds
from knarr.engine.explaining.facts import Program
from knarr.runtime.program import MACHINES, RUNS
from knarr.util.suggest import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.engine.explaining.tree import Tree

_BEGIN = 4096
_PT_INTERP = 3


class Account:
    """Who is to execute the program."""

    __slots__ = ("groups", "uid")

    def __init__(self, uid: int = 0, groups: Sequence[int] = (0,)) -> None:
        self.uid = uid
        self.groups = groups

    def may(self, status: os.stat_result) -> bool:
        """Tell whether the mode of a file lets them execute it, or pass through a directory."""
        if self.uid == 0:
            return bool(status.st_mode & 0o111) or stat.S_ISDIR(status.st_mode)
        if self.uid == status.st_uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid in self.groups:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def look(tree: Tree, name: str, *, search_path: str, working_dir: str, account: Account) -> Program:
    """Return what `name` is, found as execvp(3) finds it."""
    if "/" in name:
        path = name if name.startswith("/") else os.path.join(working_dir or "/", name)
        if not tree.exists(path):
            return Program(name, path, kinds.MISSING)
        return _judge(tree, Program(name, path), account)
    directories = tuple(directory or "." for directory in search_path.split(":") if directory)
    refused = None
    for directory in directories:
        path = os.path.join("/", working_dir, directory, name)
        if tree.exists(path):
            found = _judge(tree, Program(name, path), account)
            if found.kind not in (kinds.DIRECTORY, kinds.NO_BIT, kinds.DENIED):
                return found
            if found.kind != kinds.DIRECTORY:
                refused = refused or found
    if refused:
        return refused
    known = {other for directory in directories for other in tree.names(directory)}
    similar = tuple(closest(name, sorted(known)))
    return Program(name, kind=kinds.MISSING, similar=similar, searched=directories)


def _judge(tree: Tree, program: Program, account: Account) -> Program:
    path = program.path
    status = tree.stat(path)
    if stat.S_ISDIR(status.st_mode):
        return program.replace(kind=kinds.DIRECTORY)
    program = program.replace(mode=status.st_mode, owner=(status.st_uid, status.st_gid))
    if not status.st_mode & 0o111:
        return program.replace(kind=kinds.NO_BIT)
    if not account.may(status):
        return program.replace(kind=kinds.DENIED)
    program = program.replace(noexec=tree.noexec(path), library=_library(tree))
    begin = tree.read(path, _BEGIN)
    if begin.startswith(b"#!"):
        return _judge_script(tree, program, begin)
    if begin.startswith(b"\x7fELF"):
        return _judge_elf(tree, program, begin)
    if not begin:
        return program.replace(kind=kinds.EMPTY)
    return program.replace(kind=kinds.DATA if b"\0" in begin else kinds.TEXT)


def _library(tree: Tree) -> str:
    """Return the C library that the image has, empty if it has none or both."""
    names = tree.names("/lib")
    musl = any(name.startswith("ld-musl-") for name in names)
    more = [name for place in ("/lib64", "/lib/x86_64-linux-gnu") for name in tree.names(place)]
    glibc = any(name.startswith("ld-linux") for name in (*names, *more))
    if musl == glibc:
        return ""
    return kinds.MUSL if musl else kinds.GLIBC


def _judge_script(tree: Tree, program: Program, begin: bytes) -> Program:
    line = begin[2:].split(b"\n", 1)[0]
    words = line.split(None, 1)
    interpreter = os.fsdecode(words[0].rstrip(b"\r")) if words else ""
    # Behind an argument the carriage return is the argument's, and the interpreter is found.
    carriage_return = len(words) == 1 and line.endswith(b"\r")
    if not interpreter:
        return program.replace(kind=kinds.TEXT)
    return program.replace(
        kind=kinds.SCRIPT,
        interpreter=interpreter,
        carriage_return=carriage_return,
        helper_missing=not tree.exists(interpreter),
    )


def _judge_elf(tree: Tree, program: Program, begin: bytes) -> Program:
    machine, loader = read_elf(begin)
    own = RUNS.get(os.uname().machine, ())
    return program.replace(
        kind=kinds.ELF,
        machine="" if machine in own or not own else machine,
        loader=loader,
        helper_missing=bool(loader) and not tree.exists(loader),
    )


def read_elf(begin: bytes) -> tuple[str, str]:
    """Return architecture and loader of a program by the first bytes of its ELF file.

    The loader is empty for a static one, and for one whose name stands further behind.

    Man: elf(5)
    """
    if len(begin) < 64:
        return "damaged", ""
    wide, little = begin[4] == 2, begin[5] == 1
    order = "little" if little else "big"

    def integer(at: int, size: int) -> int:
        return int.from_bytes(begin[at : at + size], order)  # type: ignore[arg-type]

    machine = MACHINES.get(integer(18, 2), f"machine {integer(18, 2)}")
    table, size, count = (32, 54, 56) if wide else (28, 42, 44)
    field = 8 if wide else 4
    offset, length = (8, 32) if wide else (4, 16)
    start = integer(table, field)
    for number in range(integer(count, 2)):
        at = start + number * integer(size, 2)
        if integer(at, 4) == _PT_INTERP:
            place = integer(at + offset, field)
            name = begin[place : place + integer(at + length, field)]
            return machine, os.fsdecode(name.rstrip(b"\0"))
    return machine, ""
