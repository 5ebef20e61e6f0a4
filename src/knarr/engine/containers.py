"""Containers: the library's face on all that can be done with one.

`Containers` finds and makes them, a `Container` is one of them with its verbs. What a verb does is
in a module of its own, loaded when it is first used: `creating`, `starting`, `stopping`,
`removing`, `processes`, `inspection`.
"""

from __future__ import annotations

from knarr.errors import InvalidArgument, NotFound
from knarr.store.containers import ContainerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from knarr.engine.container.processes import ProcessTable
    from knarr.engine.container.starting import Attachment
    from knarr.engine.container.tasks import State
    from knarr.engine.copying.places import PathStat
    from knarr.engine.engine import Engine
    from knarr.engine.execs import Completed
    from knarr.engine.explaining.facts import Explanation
    from knarr.engine.logs import Entry, LogOptions
    from knarr.engine.options.values import Options, RestartPolicy
    from knarr.engine.resources.statistics import Sample
    from knarr.store.containers import ContainerRow
    from knarr.supervise.control import Client, Starting
    from knarr.util.tarreader import Source
    from knarr.util.tarwriter import Sink


class Container:
    """One container. Its record is as of when it was found; `state` always asks again."""

    __slots__ = ("_options", "engine", "row", "warnings")

    def __init__(self, engine: Engine, row: ContainerRow, options: Options | None = None) -> None:
        self.engine = engine
        self.row = row
        self._options = options
        self.warnings: list[str] = []  # of its creation: what was asked for and is left out

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.id[:12]}>"

    @property
    def id(self) -> str:
        """The ID, 64 hexadecimal digits."""
        return self.row.id

    @property
    def name(self) -> str:
        """The name, without a slash in front."""
        return self.row.name

    @property
    def options(self) -> Options:
        """What it was created with, merged with its image's config."""
        if self._options is None:
            from knarr.engine.options.encoding import decode  # noqa: PLC0415 - not for who has them

            self._options = decode(self.row.options)
        return self._options

    @property
    def state(self) -> State:
        """What its process is doing now."""
        from knarr.engine.container.tasks import read_state  # noqa: PLC0415 - see the module

        return read_state(self.engine.paths, self.id)

    @property
    def status(self) -> str:
        """One word: created, running, paused, restarting or exited."""
        return self.state.status

    def start(
        self, *, attachment: Attachment | None = None, starting: Starting | None = None
    ) -> Client:
        """Start it and return a connection to its supervisor, attached as `attachment` says.

        Raises: NotModified, Conflict, CommandFailed (126, 127)
        """
        from knarr.engine.container import starting as module  # noqa: PLC0415 - see the module

        return module.start(
            self.engine, self.row, self.options, attachment=attachment, starting=starting
        )

    def stop(self, *, timeout: float | None = None, signal: str = "") -> None:
        """Ask it to end, and kill it after `timeout` seconds (None: its own, or ten).

        Raises: NotModified, InvalidArgument
        """
        from knarr.engine.container import stopping  # noqa: PLC0415 - see the module

        stopping.stop(self.engine, self.row, self.options, timeout=timeout, signal=signal)

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to its first process.

        Raises: Conflict, InvalidArgument
        """
        from knarr.engine.container import stopping  # noqa: PLC0415 - see the module

        stopping.kill(self.engine, self.row, self.options, signal)

    def restart(self, *, timeout: float | None = None, signal: str = "") -> None:
        """Stop it if it runs, and start it.

        Raises: Conflict, CommandFailed
        """
        from knarr.engine.container import stopping  # noqa: PLC0415 - see the module

        stopping.restart(self.engine, self.row, self.options, timeout=timeout, signal=signal)

    def pause(self) -> None:
        """Freeze all its processes.

        Raises: Conflict
        """
        from knarr.engine.container import stopping  # noqa: PLC0415 - see the module

        stopping.pause(self.engine, self.row)

    def unpause(self) -> None:
        """Let its processes go on.

        Raises: Conflict
        """
        from knarr.engine.container import stopping  # noqa: PLC0415 - see the module

        stopping.unpause(self.engine, self.row)

    def wait(self, condition: str = "not-running") -> int:
        """Wait for its end, its `next-exit` or until it is `removed`; return the exit code."""
        from knarr.engine.waiting import watch_end  # noqa: PLC0415 - see the module

        code = next(code for code in watch_end(self, condition) if code is not None)
        assert code is not None
        return code

    def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it; with `force` kill it first, with `volumes` remove its anonymous volumes.

        Raises: Conflict
        """
        from knarr.engine.container import removing  # noqa: PLC0415 - see the module

        removing.remove(self.engine, self.row, self.options, force=force, volumes=volumes)

    def update(
        self, limits: Mapping[str, Any], *, restart: RestartPolicy | None = None
    ) -> list[str]:
        """Change limits, by the fields of `Resources`, and the restart policy; return warnings.

        Raises: InvalidArgument, Conflict, Unsupported, Failed
        """
        from knarr.engine.resources import updating  # noqa: PLC0415 - see the module

        self.row, warnings = updating.update(self.engine, self.row, limits, restart)
        self._options = None
        return warnings

    def sample(self) -> Sample | None:
        """Return what it uses at this moment, None if it does not run."""
        from knarr.engine.resources import statistics  # noqa: PLC0415 - see the module

        return statistics.sample(self)

    def rename(self, name: str) -> None:
        """Give it another name.

        Raises: InvalidArgument, Conflict
        """
        from knarr.engine.container.creating import refuse_taken  # noqa: PLC0415 - see the module
        from knarr.engine.options.names import check_name  # noqa: PLC0415 - see the module

        name = name.removeprefix("/")
        check_name(name)
        if name == self.name:
            message = "renaming a container with the same name as its current name"
            raise InvalidArgument(message)
        records = ContainerRecords(self.engine.database)
        with self.engine.database.transaction():
            refuse_taken(records, name)
            before = records.get(self.id)
            self.row = before.replace(name=name)
            records.update(self.row)
            self._rename_in_networks()
        self._tell_renamed(before.name)

    def _rename_in_networks(self) -> None:
        from knarr.engine.network.naming import publish  # noqa: PLC0415 - see the module

        for endpoint in self.engine.networks.endpoints(self.id):
            publish(self.engine.networks, endpoint.network_id)

    def _tell_renamed(self, before: str) -> None:
        from knarr.engine.noting import note  # noqa: PLC0415 - see the module
        from knarr.errors import KnarrError  # noqa: PLC0415
        from knarr.supervise import control  # noqa: PLC0415

        note(self.engine.paths, self.row, "rename", oldName=f"/{before}")
        try:
            with control.connect(self.engine.paths.task(self.id)) as client:
                client.request("rename", name=self.name)
        except KnarrError:  # it does not run: its next supervisor knows the name
            pass

    def top(self, arguments: Sequence[str] = ()) -> ProcessTable:
        """Return its processes as `ps -ef`, or with other options of ps(1), would list them.

        Raises: Conflict, InvalidArgument
        """
        from knarr.engine.container import processes  # noqa: PLC0415 - see the module
        from knarr.engine.noting import note  # noqa: PLC0415

        table = processes.table(self, arguments)
        note(self.engine.paths, self.row, "top")
        return table

    def exec(
        self,
        command: Sequence[str],
        *,
        env: Sequence[str] = (),
        user: str = "",
        working_dir: str = "",
        data: bytes = b"",
    ) -> Completed:
        """Run a further process in it with `data` as its input, and return what it left.

        Raises: CommandFailed (126, 127), Conflict (it does not run), InvalidArgument
        """
        from knarr.engine import execs  # noqa: PLC0415 - see the module

        wanted = execs.ExecOptions(
            tuple(command), env=tuple(env), user=user, working_dir=working_dir
        )
        return execs.complete(self, wanted, data)

    def logs(self, options: LogOptions | None = None) -> Iterator[Entry | None]:
        """Yield the entries of its log, and when following, None before waiting for more.

        Raises: Unsupported (its logging driver keeps nothing)
        """
        from knarr.engine import logs  # noqa: PLC0415 - see the module

        return logs.read(self, options or logs.LogOptions())

    def archive_stat(self, path: str) -> PathStat:
        """Return what is at `path` in it, as its programs see it.

        Raises: NotFound
        """
        from knarr.engine.copying import copy  # noqa: PLC0415 - see the module

        return copy.stat_path(self, path)

    def archive_get(self, path: str, out: Sink) -> None:
        """Write an archive of what is at `path` in it, or of all that a pattern means.

        Raises: NotFound, InvalidArgument
        """
        from knarr.engine.copying import copy  # noqa: PLC0415 - see the module

        copy.get_archive(self, path, out)

    def archive_put(
        self, path: str, archive: Source, *, chown: str = "", merging: bool = False
    ) -> None:
        """Unpack an archive, uncompressed, in the directory `path` in it.

        With `chown` everything becomes that user's. With `merging`, a file and a directory never
        take each other's place.

        Raises: NotFound, InvalidArgument, Conflict, PermissionDenied, Corrupt
        """
        from knarr.engine.copying import copy  # noqa: PLC0415 - see the module

        copy.put_archive(self, archive, path, chown=chown, merging=merging)

    def explain(self) -> Explanation:
        """Return why it ended, could not be started, or does not do well."""
        from knarr.engine.explaining.explain import explain  # noqa: PLC0415 - see the module
        from knarr.engine.explaining.gathering import gather  # noqa: PLC0415

        return explain(gather(self))

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        """Return everything about it, in the form of `docker inspect`."""
        from knarr.engine.container import inspection  # noqa: PLC0415 - see the module

        return inspection.inspect(self, size=size)


class Containers:
    """The containers of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, options: Options, *, name: str = "", container_id: str = "") -> Container:
        """Create a container; nothing of it runs until it is started.

        Raises: InvalidArgument, NotFound (no such image), Conflict (the name is taken)
        """
        from knarr.engine.container import creating  # noqa: PLC0415 - see the module

        row, merged, warnings = creating.create(
            self._engine, options, name=name, container_id=container_id
        )
        container = Container(self._engine, row, merged)
        container.warnings = warnings
        return container

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        options: Options | None = None,
        name: str = "",
    ) -> Container:
        """Create a container of `image` that runs `command`, and start it.

        `options` say the rest. A container that cannot be started stays, unless it is to remove
        itself, and says why in its state.

        Raises: InvalidArgument, NotFound, Conflict, CommandFailed (126, 127)
        """
        from knarr.engine.options.values import Options  # noqa: PLC0415 - see the module

        asked = (options or Options()).replace(image=image)
        container = self.create(
            asked.replace(command=tuple(command)) if command else asked, name=name
        )
        try:
            container.start().close()
        except BaseException:
            if asked.auto_remove:
                container.remove(force=True, volumes=True)
            raise
        return container

    def get(self, text: str) -> Container:
        """Return the container with this name, ID or beginning of an ID.

        Raises: NotFound, InvalidArgument (several begin like that)
        """
        found = ContainerRecords(self._engine.database).matching(text.removeprefix("/"))
        if len(found) > 1:
            message = f"multiple IDs found with provided prefix: {text}"
            raise InvalidArgument(message)
        if not found:
            message = f"no such container: {text}"
            raise NotFound(message)
        return Container(self._engine, found[0])

    def all(self) -> list[Container]:
        """Return all containers, the youngest first."""
        rows = ContainerRecords(self._engine.database).all()
        return [Container(self._engine, row) for row in rows]

    def running(self) -> list[Container]:
        """Return the containers that run (or are paused, or between two runs)."""
        return [container for container in self.all() if container.state.active]
