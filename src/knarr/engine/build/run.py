"""RUN, carried out: a container on the stack so far, whose changes become the next layer.

    prepare   upper and work directories, addresses, hosts and resolv.conf, the user
    create    namespaces, mounts, control groups; init waits
    attach    the network namespace
    start     init becomes the command
    …         output goes to whoever watches, as it comes
    end       stubs removed, the upper directory moved to become a layer

Isolation is that of `knarr run`: the same capabilities, system call filter, masked paths. The
container is a child of the building process, which is told of its end; if the building process is
killed first, recovery ends the container (see `build_recovery`).

Docker: a step's container is called buildkitsandbox and has no terminal and no input
"""

from __future__ import annotations

import os

from knarr.engine.build.stubs import Stubs
from knarr.engine.container import starting
from knarr.engine.container.mounts import FILES, plan_mounts
from knarr.engine.container.specify import Place, specify
from knarr.engine.options.security import bounding_mask, heat_paths
from knarr.engine.options.values import Networking, Options, Streams
from knarr.errors import CommandFailed, InvalidArgument
from knarr.network.model import SandboxOptions
from knarr.runtime import lifecycle
from knarr.runtime.create import Request, create
from knarr.util.files import write_all
from knarr.util.times import SECOND_NS
from knarr.util.trace import trace
from knarr.util.undo import Undo
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping, Sequence

    from knarr.build.graph import Run, Stack
    from knarr.engine.build.agents import Agent
    from knarr.engine.build.caching.importing import Imports
    from knarr.engine.build.mounts import Caches, StepMounts
    from knarr.engine.build.redaction import Redactor
    from knarr.engine.build.steps import Steps
    from knarr.engine.engine import Engine
    from knarr.engine.network.sandboxes import Prepared
    from knarr.oci.runtime import Mount
    from knarr.runtime.create import Init
    from knarr.snapshot.snapshotter import Applied
else:
    import _signal

_NETWORKS = {"default": "bridge"}
_NAMELESS = ("default", "bridge", "host", "none")
_PIECE = 1 << 16


class Means(Value):
    """What commands are run with: the engine, the build's directories, its secrets and agents.

    `made` is told of each layer; `imports` may have the caches that they mount.
    """

    engine: Engine
    steps: Steps
    secrets: Mapping[str, bytes]
    made: Callable[[Applied], object]
    imports: Imports | None = None
    agents: Mapping[str, Agent] = {}


class RunJob:
    """A command of a build, as a `Job` of the solver."""

    def __init__(
        self,
        means: Means,
        run: Run,
        inputs: Sequence[Stack],
        emit: Callable[[int, bytes], None],
        *,
        caches: Caches | None = None,
    ) -> None:
        """Start the command; it takes over `caches`. Raises: CommandFailed, other KnarrErrors"""
        self._means = means
        self._engine = means.engine
        self._steps = steps = means.steps
        self._run = run
        self._inputs = inputs
        self._stack = inputs[0]
        self._emit = emit
        self._outputs: dict[int, int] = {}
        self._init: Init | None = None
        self._pidfd = -1
        self._redactors = _redactors(run, means.secrets)
        self.id = os.urandom(32).hex()
        self.directory = steps.begin(self.id)
        self._undo = Undo()
        self._undo.push("removing the step's directory", steps.end, self.id)
        self._mounts: StepMounts | None = None
        self._given: list[Mount] = []
        if caches is not None:
            from knarr.engine.build.mounts import StepMounts  # noqa: PLC0415 - few steps have any

            self._mounts = StepMounts(means, self.id, self.directory, caches)
            self._undo.push("removing what was mounted", self._mounts.close)
        try:
            self._start()
        except BaseException as error:
            for failure in self._undo.run():
                error.add_note(str(failure))
            raise

    def _start(self) -> None:
        engine = self._engine
        engine.layers.prepare(self.directory, self._stack)
        prepared = engine.networks.prepare(self.id, self._sandbox())
        self._undo.push("leaving the network", engine.networks.detach, self.id)
        try:
            request = self._request(prepared, self._run.arguments)
            self._stubs = Stubs(engine.layers, self._stack, self._targets)
            init = self._create(request)
            self._let_go(init, prepared)
        except CommandFailed as error:
            raise self._failure(error.status, str(error), hint=error.hint) from error
        finally:
            prepared.close()

    def _let_go(self, init: Init, prepared: Prepared) -> None:
        """Let what was created become its program."""
        self._steps.note(self.id, init.pid)
        trace("build.run:created")
        if prepared.endpoints:
            self._engine.networks.attach(prepared, init.pid)
        trace("build.run:attached")
        init.start()

    @property
    def shell(self) -> str:
        """The shell that the command was read by, or the one that there nearly always is."""
        program = self._run.arguments[0]
        return program if os.path.basename(program).endswith("sh") else "/bin/sh"

    def enter(self, program: str, *, terminal: bool) -> Init:
        """Run a program in what a command that failed has left, and return it, a child of ours.

        It has the command's files, mounts, environment, directory, user and network, and a new
        terminal or our standard streams. `cancel` ends it and takes everything back.

        Raises: CommandFailed (it cannot be executed)
        """
        self._engine.networks.detach(self.id)
        prepared = self._engine.networks.prepare(self.id, self._sandbox())
        try:
            request = self._request(prepared, (program,), terminal=terminal)
            if not terminal:
                request.stdio = (0, 1, 2)
            self._init = init = create(request)
            self._pidfd = init.pidfd
            self._let_go(init, prepared)
        finally:
            prepared.close()
        return init

    def leave(self) -> None:
        """Know that what `enter` returned has ended, and was reaped."""
        self._close()

    def _sandbox(self) -> SandboxOptions:
        return SandboxOptions(
            _NETWORKS.get(self._run.network, self._run.network),
            hostname=self._run.hostname,
            extra_hosts=(*self._run.hosts, *self._neighbours()),
            names=False,
        )

    def _neighbours(self) -> tuple[str, ...]:
        """Return the names of who is in a network that the user made."""
        if self._run.network in _NAMELESS:
            return ()
        from knarr.engine.network.naming import host_lines  # noqa: PLC0415 - few builds have one

        networks = self._engine.networks
        return host_lines(networks, networks.get(self._run.network))

    def _request(
        self, prepared: Prepared, command: tuple[str, ...], *, terminal: bool = False
    ) -> Request:
        """Write the files that the container sees, and say what it is."""
        run, directory = self._run, self.directory
        for name, text in (
            ("hosts", prepared.hosts),
            ("hostname", f"{run.hostname}\n"),
            ("resolv.conf", prepared.resolv_conf),
        ):
            _write(f"{directory}/{name}", text, 0o644)
        if self._mounts and not self._given:
            self._given = self._mounts.make(run, self._inputs)
        secret = self._mounts.env if self._mounts else ()
        options = Options(
            command=command,
            env=(*run.env, *run.hidden, *secret),
            user=run.user,
            working_dir=run.working_dir,
            networking=Networking(mode=prepared.mode),
            streams=Streams(tty=terminal),
        )
        limits = self._steps.limits
        if limits is not None:
            options = options.replace(resources=limits.resources, shm_size=limits.shm_size)
        if run.insecure:
            options = options.replace(security=options.security.replace(privileged=True))
        mounts = plan_mounts(options, bundle_dir=directory, files=FILES)
        mounts += [*self._given, *self._script()]
        place = Place(
            self.id,
            f"{directory}/rootfs",
            hostname=run.hostname,
            identity=starting.find_identity(self._engine, self._stack, directory, options),
            mounts=mounts,
            cgroups_path=self._steps.cgroup(self.id),
            network="host" if prepared.mode == "host" else "",
            bounding=bounding_mask(options.security),
            heat=heat_paths(),
            architecture=starting.ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        )
        spec = specify(options, place)
        if run.devices:
            from knarr.engine.supplies.cdi import Registry, apply  # noqa: PLC0415 - few steps

            apply(spec, Registry().find(run.devices))
        self._targets = [mount["destination"] for mount in spec["mounts"]]
        request = Request(self.id, directory, spec)
        request.overlay = self._engine.layers.overlay_options(self._stack, directory, volatile=True)
        request.root_path = f"{directory}/rootfs"
        request.cache_dir = f"{self._engine.paths.run}/seccomp"
        os.makedirs(request.root_path, 0o700, exist_ok=True)
        return request

    def _script(self) -> list[Mount]:
        """Return the mount of a heredoc that is a script."""
        if not self._run.script_path:
            return []
        path = f"{self.directory}/script"
        _write(path, self._run.script, 0o755)
        options = ["bind", "ro", "rprivate"]
        return [
            {
                "destination": self._run.script_path,
                "type": "bind",
                "source": path,
                "options": options,
            }
        ]

    def _create(self, request: Request) -> Init:
        """Make the container; its output comes through pipes."""
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        ours, theirs = [], []
        for _ in range(2):
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            ours.append(read_end)
            theirs.append(write_end)
        request.stdio = (null, *theirs)
        try:
            init = create(request)
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in (null, *theirs):
                os.close(descriptor)
        for stream, descriptor in enumerate(ours, 1):
            os.set_blocking(descriptor, False)
            self._outputs[descriptor] = stream
        self._init, self._pidfd = init, init.pidfd
        self._undo.push("ending the command", self._end)
        return init

    # the job of the solver

    def descriptors(self) -> Sequence[int]:
        return [*self._outputs, self._pidfd]

    def advance(self) -> Stack | None:
        self._pump()
        if not _has_ended(self._pidfd):
            return None
        self._pump()
        for stream in self._redactors:
            self._show(stream, b"", last=True)
        status = self._reap()
        memory_ran_out = self._close()
        if status:
            hint = "It ran out of memory." if memory_ran_out else ""
            raise self._failure(status, "", hint=hint)
        trace("build.run:ended")
        self._stubs.remove(f"{self.directory}/upper")
        epoch = self._run.epoch
        applied = self._engine.layers.adopt(
            f"{self.directory}/upper",
            parents=self._stack,
            latest_ns=None if epoch is None else epoch * SECOND_NS,
        )
        self._means.made(applied)
        self._finish()
        return (*self._stack, applied.chain_id)

    def cancel(self) -> None:
        self._finish()

    def _pump(self) -> None:
        """Hand on what the command has printed."""
        for descriptor, stream in list(self._outputs.items()):
            while True:
                try:
                    data = os.read(descriptor, _PIECE)
                except BlockingIOError:
                    break
                if not data:
                    del self._outputs[descriptor]
                    os.close(descriptor)
                    break
                self._show(stream, data)

    def _show(self, stream: int, data: bytes, *, last: bool = False) -> None:
        """Let the world see output, but for secrets."""
        if self._redactors:
            redactor = self._redactors[stream]
            data = redactor.feed(data) + (redactor.finish() if last else b"")
        if data:
            self._emit(stream, data)

    def _reap(self) -> int:
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        assert ended is not None
        return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status

    def _end(self) -> None:
        """Kill what still runs, and close everything."""
        if self._pidfd >= 0:
            try:
                _signal.pidfd_send_signal(self._pidfd, _signal.SIGKILL)
                os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            except (ProcessLookupError, ChildProcessError):
                pass
            self._close()

    def _close(self) -> int:
        """Take the container down; return how often it was out of memory."""
        assert self._init is not None
        os.close(self._pidfd)
        self._pidfd = -1
        for descriptor in self._outputs:
            os.close(descriptor)
        self._outputs.clear()
        return lifecycle.take_down(self._init.group)

    def _finish(self) -> None:
        failures = self._undo.run()
        if failures:
            message = "cleaning up after a build step failed"
            raise ExceptionGroup(message, failures)

    def _failure(self, status: int, why: str, *, hint: str = "") -> CommandFailed:
        command = " ".join(self._run.arguments)
        message = f'process "{command}" did not complete successfully: exit code: {status}'
        if why:
            message = f"{message}: {why}"
        return CommandFailed(message, status=status, hint=hint, command=command)


def _redactors(run: Run, secrets: Mapping[str, bytes]) -> dict[int, Redactor]:
    """Return what covers the secrets of a step in its streams; nothing if it has none."""
    mounted = [
        secrets[each.id] for each in run.mounts if each.kind == "secret" and each.id in secrets
    ]
    if not mounted:
        return {}
    from knarr.engine.build.redaction import Redactor  # noqa: PLC0415 - few steps have secrets

    return {stream: Redactor(mounted) for stream in (1, 2)}


def _has_ended(pidfd: int) -> bool:
    try:
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError as error:
        message = "the step's command is no child of this process"
        raise InvalidArgument(message) from error


def _write(path: str, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        write_all(descriptor, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)
