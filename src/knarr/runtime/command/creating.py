"""`create`, `run`, `start` and `delete`: a container's way from its bundle to its end."""

from __future__ import annotations

import os
import time

from knarr.errors import Conflict, Failed, InvalidArgument, NotFound
from knarr.linux import tty
from knarr.runtime import gate, lifecycle, members, shield
from knarr.runtime.command import sockets, state
from knarr.runtime.create import Init, Request, create
from knarr.runtime.document import Node
from knarr.util import files, jsontext
from knarr.util.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from knarr.runtime.command.arguments import Options
    from knarr.runtime.hooks import Hook
else:
    import _signal

FILTERS = ".seccomp"  # the directory of compiled filters, beside those of the containers
_PATIENCE = 10.0  # seconds for a killed init to end


class Order:
    """A container to be made: what from, and its state directory, which makes its ID taken."""

    __slots__ = ("directory", "options", "request")

    def __init__(self, root: str, container_id: str, options: Options) -> None:
        """Read the bundle and take the ID.

        Raises: NotFound, InvalidArgument, Conflict
        """
        bundle_dir = os.path.abspath(options.text("bundle", "."))
        spec = read_spec(f"{bundle_dir}/config.json")
        if shield.is_among_others(spec):
            shield.take_cover()
        self.options = options
        self.request = request = Request(container_id, bundle_dir, spec)
        request.no_pivot = options.flag("no-pivot")
        request.no_new_keyring = options.flag("no-new-keyring")
        request.note, request.debug = options.note, options.debug
        request.preserve_fds = preserved(options, spec.get("process") or {})
        request.cache_dir = f"{root}/{FILTERS}"
        request.group = lifecycle.locate(
            spec, container_id, by_systemd=options.flag("systemd-cgroup")
        )
        self.directory = state.reserve(root, container_id)
        self._write_state(0)  # so that what a killed creation leaves can be found and deleted

    def _write_state(self, pid: int) -> None:
        request = self.request
        root_path = os.path.join(request.bundle_dir, Node(request.spec).node("root").text("path"))
        assert request.group is not None
        spec = dict(request.spec)
        fields = state.describe(pid, request.bundle_dir, spec, root_path, request.group)
        state.write(self.directory, fields)

    def bring_up(self, undo: Undo) -> Init:
        """Create the container, write its state, and hand out descriptors and process ID."""
        init = create(self.request)
        undo.push("ending the container", init.abort)
        self._write_state(init.pid)
        sockets.hand_out(self.options, init.pid, init.pidfd, init.master_fd)
        return init


def create_container(root: str, container_id: str, options: Options) -> int:
    """Carry out `create`: leave a container behind that waits for `start`."""
    order = Order(root, container_id, options)
    with Undo() as undo:
        undo.push("giving back the container's ID", state.remove, order.directory)
        terminal = Node(order.request.spec).node("process").boolean("terminal")
        sockets.check_console(options, terminal=terminal, detached=True)
        order.request.state_dir = order.directory
        init = order.bring_up(undo)
        undo.keep()
    init.detach()
    return 0


def read_spec(path: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises: NotFound, InvalidArgument
    """
    try:
        spec = jsontext.loads(files.read_file(path))
    except FileNotFoundError as error:
        message = f"JSON specification file {path} not found"
        raise NotFound(message) from error
    except ValueError as error:
        message = f"{path}: {error}"
        raise InvalidArgument(message) from error
    if not isinstance(spec, dict):
        message = f"{path} is not a JSON object"
        raise InvalidArgument(message)
    return spec


def preserved(options: Options, process_spec: dict[str, Any]) -> int:
    """Return how many descriptors are handed on; tell the process of those of socket activation.

    Man: sd_listen_fds(3)
    """
    count = options.number("preserve-fds")
    listening = os.environ.get("LISTEN_FDS", "")
    if listening.isdigit() and int(listening):
        count += int(listening)
        environment = process_spec.setdefault("env", [])
        environment += [f"LISTEN_FDS={listening}", "LISTEN_PID=1"]
    for number in range(3, 3 + count):
        try:
            os.fstat(number)
        except OSError as error:
            message = f"unable to preserve descriptor {number}: it is not open"
            raise InvalidArgument(message) from error
    return count


def run_container(root: str, container_id: str, options: Options) -> int:
    """Carry out `run`: create, start, and without --detach wait for the end and remove."""
    detached = options.flag("detach")
    order = Order(root, container_id, options)
    waiting = None
    with Undo() as undo:
        undo.push("giving back the container's ID", state.remove, order.directory)
        terminal = Node(order.request.spec).node("process").boolean("terminal")
        sockets.check_console(options, terminal=terminal, detached=detached)
        if not detached:
            from knarr.runtime.command.foreground import Foreground  # noqa: PLC0415

            waiting = Foreground(subreaper=not options.flag("no-subreaper"))
        init = order.bring_up(undo)
        if waiting is not None and init.master_fd >= 0:
            tty.keep_line_feeds(init.master_fd)
        init.start()
        undo.keep()
    if waiting is None:
        return 0
    master_fd = -1 if options.text("console-socket") else init.master_fd
    status = waiting.wait(init.pid, init.pidfd, master_fd)
    if not options.flag("keep"):
        tear_down(state.read(root, container_id))
    return status


def start_container(root: str, container_id: str) -> None:
    """Carry out `start`.

    Raises: Conflict, CommandFailed
    """
    container = state.read(root, container_id)
    behind = gate.knock(container.directory) if container.alive else None
    if behind is None:
        status = container.status()
        what = {
            state.STOPPED: "cannot start a container that has stopped",
            state.RUNNING: "cannot start an already running container",
        }.get(status, f"cannot start a container in the {status} state")
        raise Conflict(what)
    seccomp = Node(container.spec).node("linux").node("seccomp")
    listener = None
    if seccomp.text("listenerPath"):
        from knarr.runtime.filtering.filters import plan_listener  # noqa: PLC0415 - few have one

        listener = plan_listener(seccomp)
    hooks = plan_hooks_of(container)
    shown = container.shown() if listener or hooks else {}
    gate.open_gate(behind, container.pid, listener=listener, state=shown)
    try:
        for hook in hooks.get("poststart", ()):
            hook.run(container.shown())
    except Failed:
        kill_and_wait(container)
        raise


def delete_container(root: str, container_id: str, *, force: bool) -> None:
    """Carry out `delete`.

    Raises: NotFound, Conflict
    """
    try:
        container = state.read(root, container_id)
    except NotFound:
        if not force:
            raise
        state.remove(f"{root}/{container_id}")
        return
    status = container.status()
    if status != state.STOPPED:
        if status != state.CREATED and not force:
            message = f"cannot delete container {container_id} that is not stopped: {status}"
            raise Conflict(message)
        kill_and_wait(container)
    tear_down(container)


def kill_and_wait(container: state.State) -> None:
    """Kill all processes of a container, and wait for the end of its init.

    Raises: Failed
    """
    members.kill(container.group)
    if container.alive:
        try:
            os.kill(container.pid, _signal.SIGKILL)
        except ProcessLookupError:
            return
    deadline = time.monotonic() + _PATIENCE
    while container.alive:
        if time.monotonic() > deadline:
            message = f"the init of container {container.id} does not end"
            raise Failed(message)
        time.sleep(0.001)


def tear_down(container: state.State) -> None:
    """Remove what is left of a stopped container, and tell the poststop hooks."""
    lifecycle.take_down(container.group)
    hooks = plan_hooks_of(container)
    shown = container.shown() if hooks else {}
    state.remove(container.directory)
    for hook in hooks.get("poststop", ()):
        try:
            hook.run(shown)
        except Failed as failure:  # "log a warning and continue", runtime.md, "Lifecycle"
            sockets.warn(str(failure))


def plan_hooks_of(container: state.State) -> dict[str, list[Hook]]:
    """Return the hooks of a container by moment, nothing if it has none."""
    if not container.spec.get("hooks"):
        return {}
    from knarr.runtime.hooks import plan_hooks  # noqa: PLC0415 - few containers have any

    return plan_hooks(Node(container.spec).node("hooks"))
