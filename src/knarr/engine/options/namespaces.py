"""Whose namespaces a container has: `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--userns`.

Docker: modes host, private and container:NAME, the last one for pid, ipc and network alone
Podman: container:NAME for all of them; `--userns auto`, `keep-id`, `--uidmap` and `--gidmap` per
container
"""

from __future__ import annotations

import itertools

from knarr.engine.options.values import IdRange, Namespaces
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.engine.options.values import Options

CONTAINER = "container:"
LAST_ID = (1 << 32) - 2
LAST_USER = (1 << 31) - 1
# Field of `Namespaces`: the option, Docker's word for it, and the modes there are.
MODES = {
    "pid": ("pid", "PID", ("private", "host")),
    "ipc": ("ipc", "IPC", ("private", "shareable", "none", "host")),
    "uts": ("uts", "UTS", ("private", "host")),
    "cgroup": ("cgroupns", "CGROUP", ("private", "host")),
    "user": ("userns", "USER", ("auto", "host", "keep-id", "private")),
}


def parse_namespaces(
    modes: Mapping[str, str], uidmap: Sequence[str] = (), gidmap: Sequence[str] = ()
) -> Namespaces:
    """Return the namespaces of the modes and the mappings that a command line gives.

    Raises: InvalidArgument
    """
    # The container's own is what it gets anyway: of "" and "private" one is kept. A record says
    # which processes, IPC objects and names it shares, not how that was put.
    found = Namespaces(**modes, uid_map=_map(uidmap, "uidmap"), gid_map=_map(gidmap, "gidmap"))
    if found.uid_map or found.gid_map:
        if found.user not in ("", "private"):
            message = "conflicting options: --userns and --uidmap or --gidmap"
            raise InvalidArgument(message)
        found = found.replace(
            user="private",
            uid_map=found.uid_map or found.gid_map,
            gid_map=found.gid_map or found.uid_map,
        )
    elif found.user == "private":
        message = "--userns: private needs a mapping"
        raise InvalidArgument(message, hint="Give one with --uidmap, or say --userns auto.")
    check_namespaces(found)
    return found


def check_namespaces(namespaces: Namespaces) -> None:
    """Raise for modes that do not exist.

    Raises: InvalidArgument
    """
    for name, (option, word, modes) in MODES.items():
        mode = getattr(namespaces, name)
        if name == "user" and mode.startswith(("auto:", "keep-id:")):
            read = auto_size if mode.startswith("auto:") else kept_user
            read(mode)
            continue
        other = mode.removeprefix(CONTAINER) if mode.startswith(CONTAINER) else ""
        if mode and mode not in modes and not other:
            message = f"--{option}: invalid {word} mode"
            if name == "ipc":  # Docker's daemon says it, not its command line
                message = f"invalid IPC mode: {mode}"
            hint = f"Known are {', '.join(modes)} and container:NAME."
            raise InvalidArgument(message, hint=hint)


def auto_size(mode: str) -> int:
    """Return how many IDs `auto` or `auto:size=65536` asks for.

    Raises: InvalidArgument
    """
    _, _, rest = mode.partition(":")
    if not rest:
        return 1 << 16
    key, _, value = rest.partition("=")
    if key != "size" or not value.isdecimal() or not 0 < int(value) <= 1 << 24:
        message = f"--userns: invalid USER mode: {mode}"
        raise InvalidArgument(message, hint="Write auto, or auto:size=N with N up to 16777216.")
    return int(value)


def kept_user(mode: str) -> tuple[int, int]:
    """Return who a program is with `keep-id` or `keep-id:uid=1000,gid=1000`: root if not said.

    Podman: util.GetKeepIDMapping for containers of root

    Raises: InvalidArgument
    """
    _, colon, rest = mode.partition(":")
    found = {"uid": 0, "gid": 0}
    for entry in rest.split(",") if colon else ():
        key, _, value = entry.partition("=")
        number = int(value) if value.isascii() and value.isdecimal() else -1
        if key not in found or not 0 <= number <= LAST_USER:
            message = f"--userns: invalid USER mode: {mode}"
            raise InvalidArgument(message, hint="Write keep-id, or keep-id:uid=N,gid=N.")
        found[key] = number
    return found["uid"], found["gid"]


def _map(texts: Sequence[str], option: str) -> tuple[IdRange, ...]:
    """Return the ranges of several `--uidmap 0:100000:65536`.

    Raises: InvalidArgument
    """
    ranges = []
    for text in texts:
        words = text.split(":")
        if len(words) != 3 or not all(word.isascii() and word.isdecimal() for word in words):
            message = f"--{option}: invalid mapping: {text}"
            raise InvalidArgument(message, hint="Write CONTAINER:HOST:SIZE, three numbers.")
        inside, outside, size = map(int, words)
        if not size or max(inside, outside) + size > LAST_ID:
            message = f"--{option}: invalid mapping: {text}: the range is empty or too long"
            raise InvalidArgument(message)
        ranges.append(IdRange(inside, outside, size))
    for side in ("inside", "outside"):
        _refuse_overlaps(sorted((getattr(one, side), one.size) for one in ranges), option)
    if ranges and not any(one.inside == 0 for one in ranges):
        message = f"--{option}: no mapping for 0: a container needs a root of its own"
        raise InvalidArgument(message)
    return tuple(ranges)


def _refuse_overlaps(ranges: Sequence[tuple[int, int]], option: str) -> None:
    for (first, size), (second, _) in itertools.pairwise(ranges):
        if first + size > second:
            message = f"--{option}: invalid mapping: the ranges of {first} and {second} overlap"
            raise InvalidArgument(message)


def check_shared(options: Options) -> None:
    """Raise for what does not go with namespaces that belong to somebody else.

    Raises: InvalidArgument
    """
    spaces, network = options.namespaces, options.networking.mode
    message = ""
    if options.hostname and (spaces.uts == "host" or spaces.uts.startswith(CONTAINER)):
        message = "conflicting options: hostname and the UTS mode"
    elif network.startswith(CONTAINER):
        message = _joined_network(options)
    if not message and spaces.user not in ("", "host"):
        message = _remapped(options)
    if not message and options.sysctls:
        message = _sysctls(options)
    if message:
        raise InvalidArgument(message)


def _joined_network(options: Options) -> str:
    """Return what is wrong with options of a network that another container has made.

    Docker: runconfig/errors of moby
    """
    asked = options.networking
    for wrong, words in (
        (options.hostname, "hostname and the network mode"),
        (asked.dns, "dns and the network mode"),
        (asked.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (any(one.mac_address for one in asked.joins), "mac-address and the network mode"),
        (asked.ports or asked.publish_all, "port publishing and the container type network mode"),
        (options.exposed, "port exposing and the container type network mode"),
    ):
        if wrong:
            return f"conflicting options: {words}"
    if asked.asks_addresses:
        return "conflicting options: an address needs a network with addresses"
    return ""


def _remapped(options: Options) -> str:
    """Return what is wrong with a container whose users are not the host's.

    The kernel lets its root configure what belongs to its own user namespace alone.
    """
    spaces = options.namespaces
    if options.security.privileged:
        return (
            "privileged mode is incompatible with user namespaces.  You must run the container in "
            "the host namespace when running privileged mode"
        )
    for mode, words in (
        (options.networking.mode, "host's network namespace"),
        (spaces.pid, "host PID namespace"),
        (spaces.ipc, "host IPC namespace"),
    ):
        if mode == "host":
            return f"cannot share the {words} when user namespaces are enabled"
    return ""


def _sysctls(options: Options) -> str:
    """Return what is wrong with parameters of a namespace that is the host's."""
    for name in options.sysctls:
        if name.startswith("net."):
            mode, words = options.networking.mode, "network"
        else:
            mode, words = options.namespaces.ipc, "IPC"
        if mode == "host":
            return f'sysctl "{name}" not allowed in host {words} namespace'
    return ""
