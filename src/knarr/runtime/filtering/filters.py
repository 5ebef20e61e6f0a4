"""Seccomp: the spec's filter, compiled or found compiled already.

Compiling Docker's profile takes 1.5 ms, and loading the compiler as much again. So the program is
kept in a file named by the digest of the rules, in a directory that only its owner can enter.

Spec: runtime-spec config-linux.md, "Seccomp"
Man: seccomp(2)
"""

from __future__ import annotations

import os

from knarr.linux import seccomp
from knarr.util import files, jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.document import Node
    from knarr.runtime.steps.identity import Identity

_FORMAT = 1  # part of the digest: raised when the compiler makes other programs of the same rules

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # the process has one thread
    "SECCOMP_FILTER_FLAG_LOG": seccomp.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": seccomp.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": seccomp.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}


class Listener(Value):
    """Who decides about calls with SCMP_ACT_NOTIFY: the agent at a socket, told `metadata`."""

    path: str
    metadata: str


def give(identity: Identity, node: Node, *, cache_dir: str = "") -> None:
    """Let the identity have the filter of the spec's `linux.seccomp`, and who listens to it.

    Raises: InvalidArgument
    """
    identity.filter, identity.filter_flags = compile_filter(node, cache_dir=cache_dir)
    identity.listener = plan_listener(node)
    if identity.listener:
        from knarr.runtime.filtering import listeners  # noqa: PLC0415, F401 - init cannot load it


def plan_listener(node: Node) -> Listener | None:
    """Return who must listen, None if nothing in the filter asks for that.

    Raises: InvalidArgument
    """
    entries = node.raw("syscalls") or ()
    if not any(entry.get("action") == "SCMP_ACT_NOTIFY" for entry in entries):
        return None
    if not node.text("listenerPath"):
        node.refuse("listenerPath", "is required for SCMP_ACT_NOTIFY")
    return Listener(node.text("listenerPath"), node.text("listenerMetadata"))


def compile_filter(node: Node, *, cache_dir: str = "", machine: str = "") -> tuple[bytes, int]:
    """Return the program for the spec's `linux.seccomp`, and the flags to load it with.

    Raises: InvalidArgument
    """
    machine = machine or os.uname().machine
    flags = _plan_flags(node)
    if plan_listener(node) is not None:
        flags |= seccomp.SECCOMP_FILTER_FLAG_NEW_LISTENER
    else:
        flags &= ~seccomp.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV  # needs a listener
    path = ""
    if cache_dir:
        key = jsontext.dumps([_FORMAT, machine, node.fields]).encode()
        path = f"{cache_dir}/{_digest(key)}.bpf"
        program = _cached(path)
        if program:
            return program, flags
    from knarr.runtime.filtering.rules import compile_rules  # noqa: PLC0415 - once for each profile

    program = compile_rules(node, machine)
    if path:
        os.makedirs(cache_dir, 0o700, exist_ok=True)
        files.write_atomically(path, program, mode=0o600, durable=False)
    return program, flags


def _digest(data: bytes) -> str:
    """Return the SHA-256 of `data`, without the 2 ms that loading OpenSSL for it takes."""
    try:
        maker = __import__("_sha2").sha256
    except ImportError:
        try:
            maker = __import__("_sha256").sha256
        except ImportError:
            maker = __import__("hashlib").sha256
    return str(maker(data).hexdigest())


def _cached(path: str) -> bytes:
    try:
        program = files.read_file(path)
    except FileNotFoundError:
        return b""
    return program if len(program) % 8 == 0 else b""


def _plan_flags(node: Node) -> int:
    if "flags" not in node:
        return seccomp.SECCOMP_FILTER_FLAG_SPEC_ALLOW
    flags = 0
    for name in node.texts("flags"):
        if name not in FLAGS:
            node.refuse("flags", f'"{name}" is none of {", ".join(FLAGS)}')
        flags |= FLAGS[name]
    return flags
