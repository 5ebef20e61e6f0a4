"""The run directory of a container, and the lock in it that says that a supervisor lives.

The directory is made aside, with the lock held, and renamed into place: whoever sees it without a
holder of the lock sees a container whose supervisor was killed. It is removed by the supervisor,
which still holds the lock then, or by the engine's recovery.

    sock               control socket, 0600
    supervisor.lock    held with flock(2) while the supervisor lives
    stdin stdout stderr    FIFOs; not with a terminal
    keeper             socket of the keeper, if there is one
    names.json         whose names the container may know, and the servers to ask (`names`)
    granted.json       what it may connect to because names were answered (`grants`)
    names.ports        the ports at which its questions are answered
    rootfs             where init mounts the root file system, in its own mount namespace
    foreign            what another runtime needs and keeps (`foreign`), if one runs the container
"""

from __future__ import annotations

import fcntl
import os
import time

from knarr.errors import Conflict

LOCK = "supervisor.lock"
SOCKET = "sock"
ROOTFS = "rootfs"
FOREIGN = "foreign"
NAMES = "names.json"
GRANTED = "granted.json"
NETWORKS = "names"  # beside all containers': a file a network (`names`)
NAMES_PORTS = "names.ports"
_ATTEMPTS = 1000
_PAUSE = 0.01


def take(control_dir: str) -> int:
    """Make the directory and return the descriptor of its lock, held.

    An earlier supervisor on its way out is waited for; what a killed one left is removed.

    Raises: Conflict
    """
    aside = f"{os.path.dirname(os.path.dirname(control_dir))}/.{os.path.basename(control_dir)}"
    discard(aside)
    os.mkdir(aside, 0o711)
    lock = _open_lock(aside)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.mkdir(f"{aside}/{ROOTFS}", 0o755)
    for _ in range(_ATTEMPTS):
        try:
            os.rename(aside, control_dir)
        except OSError:  # ENOTEMPTY: there is one
            _pass(control_dir)
        else:
            return lock
    discard(aside)
    message = f"another supervisor holds {control_dir}"
    raise Conflict(message)


def take_over(control_dir: str) -> int:
    """Return the descriptor of the lock of an existing directory, held.

    Raises: Conflict (somebody else was faster)
    """
    lock = _open_lock(control_dir)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        message = f"another supervisor holds {control_dir}"
        raise Conflict(message) from None
    return lock


def discard(directory: str) -> None:
    """Remove a run directory with everything in it; harmless without one."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    # The lock goes last: until then the directory has an owner.
    for name in sorted(names, key=lambda name: name == LOCK):
        path = f"{directory}/{name}"
        if name == ROOTFS:
            os.rmdir(path)
        elif name == FOREIGN:
            _remove_tree(path)
        else:
            os.unlink(path)
    os.rmdir(directory)


def _remove_tree(directory: str) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(directory)


def _open_lock(directory: str) -> int:
    return os.open(f"{directory}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _pass(control_dir: str) -> None:
    """Remove a directory that nobody holds, or give its holder time to leave."""
    try:
        lock = take_over(control_dir)
    except Conflict:
        time.sleep(_PAUSE)
    except FileNotFoundError:
        return
    else:
        discard(control_dir)
        os.close(lock)
