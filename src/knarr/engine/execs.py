"""Further processes in a container that runs: who they are, and how they are started.

The process is made from the container's options, as its first one was, with what is asked
otherwise: command, user, directory, more environment. Names of users are looked up in the
container's files as they are now. The container's supervisor forks it (`supervise.sessions`).
"""

from __future__ import annotations

import os

from knarr.engine.container.specify import Place, process
from knarr.engine.container.users import identify, read_accounts
from knarr.engine.options.environment import merge_env
from knarr.engine.options.security import bounding_mask, capabilities
from knarr.errors import Conflict, InvalidArgument, NotFound, Unavailable
from knarr.supervise.messages import EXEC_BYTES, EXEC_OWNER_DIGITS
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from knarr.engine.container.users import Identity
    from knarr.engine.containers import Container
    from knarr.engine.engine import Engine
    from knarr.oci.runtime import Process
    from knarr.supervise.control import Client


class ExecOptions(Value):
    """What is asked for; what is empty is as for the container's first process.

    One that is `attended` is killed, with all that it started, when its client is gone.
    """

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    stdin: bool = False
    privileged: bool = False
    attended: bool = False


class Completed(Value):
    """What a process left: its exit code and its output."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Session:
    """An exec that was prepared, on a connection of its own."""

    __slots__ = ("client", "id")

    def __init__(self, client: Client, exec_id: str) -> None:
        self.client = client
        self.id = exec_id

    def start(self, *, attach: bool, window: tuple[int, int] | None = None) -> int:
        """Start the process, with `attach` joined to the connection; return its ID on the host.

        Raises: CommandFailed (126, 127), Conflict
        """
        return self.client.exec_start(self.id, attach=attach, window=window)

    def keep(self) -> None:
        """Let an attended process go on without its client, who leaves on purpose."""
        self.client.exec_keep(self.id)


def prepare(
    container: Container, wanted: ExecOptions, about: Mapping[str, Any] | None = None
) -> Session:
    """Prepare a process in a container; `find` gives back what it is `about`.

    Raises: Conflict (it does not run, or is paused), InvalidArgument
    """
    if not wanted.command:
        message = "no exec command specified"
        raise InvalidArgument(message)
    client = _connect(container)
    try:
        made = make_process(container, wanted)
        exec_id = client.exec_create(
            dict(made),
            terminal=wanted.tty,
            stdin=wanted.stdin,
            attended=wanted.attended,
            about=about,
        )
    except BaseException:
        client.close()
        raise
    return Session(client, exec_id)


def find(engine: Engine, exec_id: str) -> tuple[Container, dict[str, Any]]:
    """Return the container of an exec, and what its supervisor knows of that.

    Docker: an exec is forgotten some time after its end, and with the run of its container

    Raises: NotFound
    """
    begins = exec_id[2 * EXEC_BYTES :]
    message = f"no such exec instance: {exec_id}"
    if len(begins) != EXEC_OWNER_DIGITS:
        raise NotFound(message)
    try:
        container = engine.containers.get(begins)
        with reach(container) as client:
            return container, client.exec_inspect(exec_id)
    except (InvalidArgument, NotFound, Unavailable):
        raise NotFound(message) from None


def reach(container: Container) -> Client:
    """Connect to the supervisor of an exec's container.

    Raises: Unavailable (it does not run)
    """
    from knarr.engine.container import stopping  # noqa: PLC0415 - loads the client

    return stopping.connect(container.engine, container.row)


def complete(container: Container, wanted: ExecOptions, data: bytes = b"") -> Completed:
    """Run a process in a container with `data` as its input, and return what it left.

    Raises: CommandFailed (126, 127), Conflict, InvalidArgument, Unavailable
    """
    from knarr.engine.attach import Pump  # noqa: PLC0415 - the command line has its own way

    session = prepare(container, wanted.replace(stdin=bool(data)))
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        os.pwrite(files[0], data, 0)
        session.start(attach=True)
        stdin = files[0] if data else -1
        ended = Pump(session.client, stdin=stdin, stdout=files[1], stderr=files[2]).run().exit
        if ended is None:
            message = "the exec was lost: the container's supervisor was killed"
            raise Unavailable(message)
        stdout, stderr = (os.pread(file, os.fstat(file).st_size, 0) for file in files[1:])
    finally:
        session.client.close()
        for file in files:
            os.close(file)
    return Completed(ended.exit_code, stdout, stderr)


def _connect(container: Container) -> Client:
    require_going(container)
    return reach(container)


def require_going(container: Container) -> None:
    """Raise unless a process can be started in the container now.

    Raises: Conflict
    """
    from knarr.engine.container import tasks  # noqa: PLC0415 - loaded by then

    state = container.state
    if state.status == tasks.PAUSED:
        message = f"container {container.id} is paused, unpause the container before exec"
        raise Conflict(message)
    if state.status == tasks.RESTARTING:
        message = f"container {container.id} is restarting, wait until the container is running"
        raise Conflict(message)
    if not state.active:
        message = f"container {container.id} is not running"
        raise Conflict(message)


def make_process(container: Container, wanted: ExecOptions) -> Process:
    """Return the process for the runtime.

    Raises: InvalidArgument, Conflict
    """
    options = container.options
    security = options.security.replace(privileged=True) if wanted.privileged else options.security
    asked = options.replace(
        entrypoint=None,
        command=wanted.command,
        env=merge_env(options.env, wanted.env),
        working_dir=wanted.working_dir or options.working_dir,
        streams=options.streams.replace(tty=wanted.tty),
    )
    bundle_dir = container.engine.paths.container(container.id)
    with open(f"{bundle_dir}/hostname", encoding="utf-8") as file:
        hostname = file.read().strip()
    group_add = () if wanted.user else options.group_add
    identity = _identify(container, wanted.user or options.user, group_add)
    place = Place(container.id, "", hostname=hostname, identity=identity)
    made = process(asked, place, capabilities(security, mask=bounding_mask(security)))
    if any(request.kind == "env" for request in options.secrets):
        from knarr.engine.supplies.secrets import revealed, variables  # noqa: PLC0415 - for few

        spec = revealed({"process": made}, variables(container.engine, options))
        made = spec["process"]
    return made


def _identify(container: Container, user: str, group_add: tuple[str, ...]) -> Identity:
    """Look a user up in the container's files, as its processes see them."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        root_fd = os.open(f"/proc/{container.state.pid}/root", flags)
    except FileNotFoundError:
        message = f"container {container.id} is not running"
        raise Conflict(message) from None
    try:
        passwd, group = read_accounts(root_fd)
    finally:
        os.close(root_fd)
    return identify(user, group_add, passwd=passwd, group=group)
