"""A build that came by gRPC: its files fetched from the client, built, and its result delivered.

The loop knows a build by the reference that the client chose; the work itself is done by a thread
with an engine of its own, which asks the session through the loop and lets the builder run in a
process of its own (`engine.build.apart`). A client that goes away cancels it.

    session ─ Dockerfile, ignore list ─▶ what else is needed ─ context, secrets, logins ─▶ build
            ◀─ archives and directories ─ outputs
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading

from grpclib import GRPCError
from grpclib.const import Status

from knarr.api.buildkit import agents, asking, trees, uploads, wire
from knarr.api.buildkit import sessions as offered
from knarr.api.buildkit.exporters import Exporter, describe
from knarr.api.buildkit.progress import Story
from knarr.api.buildkit.stores import Stores
from knarr.build.dockerfile.program import parse_dockerfile
from knarr.build.events import Finished, Received, Started
from knarr.build.ignore import read_patterns
from knarr.engine.build.agents import Agent
from knarr.engine.build.apart import Apart
from knarr.engine.build.export.outputs import Built
from knarr.engine.build.sent import SentFiles
from knarr.engine.builds import LOADING
from knarr.engine.engine import Engine
from knarr.errors import Failed, KnarrError, NotFound, SyntaxFault
from knarr.linux import path as paths
from knarr.registry.handed import Handed
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence
    from typing import Any

    from knarr.api.buildkit.asking import Asked
    from knarr.api.buildkit.sessions import Session
    from knarr.build.dockerfile.program import Program
    from knarr.build.events import Event
    from knarr.engine.build.caching.places import CachePlace, CacheTarget
    from knarr.engine.paths import Paths


class Request(Value):
    """What a client asks for with a build, beside the attributes of the front end."""

    session: str
    exporters: tuple[Exporter, ...]
    entitlements: tuple[str, ...] = ()
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CacheTarget, ...] = ()


class Answer(Value):
    """What came of it: words about an image, or about a Dockerfile."""

    exported: Mapping[str, str] = {}
    metadata: Mapping[str, bytes] = {}


class Build:
    """One build, from when its client first names it until nobody wants to know of it."""

    def __init__(self, paths: Paths, request: Request) -> None:
        self.story = Story()
        self.request = request
        self._paths = paths
        self._cancelled = threading.Event()
        self._loop = wire.the_loop()

    async def run(self, asked: Asked) -> Answer:
        """Build, in a thread; to be awaited in the loop.

        Raises: KnarrError
        """
        work = asyncio.ensure_future(asyncio.to_thread(self._work, asked))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._cancelled.set()
            await asyncio.wait([work])
            raise
        finally:
            self.story.end()

    def _work(self, asked: Asked) -> Answer:
        with (
            Engine(self._paths.root, self._paths.run, recover=False) as engine,
            SentFiles(engine) as files,
        ):
            session = self._ask(offered.find(self.request.session))
            return _Work(self, engine, files, session, asked).do()

    def _ask(self, question: Coroutine[Any, Any, Any]) -> Any:
        """Let the loop ask the client, and wait for the answer.

        Raises: what the question raises, Failed (cancelled)
        """
        answer = asyncio.run_coroutine_threadsafe(question, self._loop)
        while True:
            try:
                return answer.result(timeout=0.2)
            except TimeoutError:
                if answer.done():
                    raise
                self.check()

    def check(self) -> None:
        """Give up if the client has. Raises: Failed"""
        if self._cancelled.is_set():
            message = "the build was cancelled"
            raise Failed(message)

    def tell(self, event: Event) -> None:
        """Let the client know what happens."""
        self._loop.call_soon_threadsafe(self.story.take, event)

    ask = _ask


class _Work:
    """The work of one build, in its thread."""

    def __init__(
        self, build: Build, engine: Engine, files: SentFiles, session: Session, asked: Asked
    ) -> None:
        self._build = build
        self._engine = engine
        self._files = files
        self._session = session
        self._asked = asked

    def do(self) -> Answer:
        """Get what is needed, build, and deliver."""
        asked, program = self._asked, None
        options = asked.options
        uploaded = self._uploaded() if uploads.is_upload(options.context) else ""
        if asked.dockerfile or uploaded:
            path = self._dockerfile(uploaded)
            program = self._parse(path)
            context = uploaded or options.context or self._context(path, program)
            options = options.replace(dockerfile=path, called=asked.filename, context=context)
        else:
            options = options.replace(dockerfile=asked.filename)
        stores = Stores(self._build.ask, self._session, self._files)
        layouts = {name: stores.image(text) for name, text in asked.layouts.items()}
        sources = (*options.cache_from, *self._build.request.cache_from)
        options = options.replace(
            contexts={**options.contexts, **self._named(), **layouts},
            secrets=self._secrets(program),
            allowed=frozenset(self._build.request.entitlements),
            cache_from=tuple(stores.source(place) for place in sources),
            cache_to=tuple(stores.target(each) for each in self._build.request.cache_to),
        )
        if asked.call:
            found = self._engine.builds.look(asked.call, options, self._tell)
            return Answer(metadata={"result.json": jsontext.dumps(found).encode()})
        exporters = self._build.request.exporters
        outputs = tuple(one.output(self._files.path(f"out {one.index}")) for one in exporters)
        names = [name for one in exporters if one.pushes for name in one.names]
        places = [*options.cache_from, *(target.place for target in options.cache_to)]
        names += [str(place.reference) for place in places if place.reference is not None]
        with self._agents(program) as lent:
            built = self._run(
                options.replace(outputs=outputs, described=bool(outputs), agents=lent),
                Handed(self._logins(program, names)),
            )
        for exporter in exporters:
            if exporter.is_sent:
                self._deliver(exporter)
        told = describe(built, [one for one in exporters if one.is_here])
        return Answer({**told, **stores.deliver()})

    def _tell(self, event: Event) -> None:
        """Let the client know what happens, but for what it was told already."""
        if getattr(event, "id", "") != LOADING:
            self._build.tell(event)

    # what the client has

    def _fetch(self, told: str, wanted: trees.Wanted, name: str) -> str:
        """Get a directory of the client's, which is told of as `told`."""
        path = self._files.path(name)
        activity = f"{told} {wanted.name}"
        self._build.tell(Started(activity, told))
        try:
            session = self._session_of(wanted.name)
            size = self._build.ask(trees.receive(session, wanted, path))
            self._build.tell(Received(activity, wanted.name, size))
        except (KnarrError, GRPCError) as error:
            self._build.tell(Finished(activity, error=str(error)))
            raise
        self._build.tell(Finished(activity))
        return path

    def _session_of(self, name: str) -> Session:
        """Return who offers a directory: another of the client's sessions, if it says so."""
        other = self._asked.sessions.get(name)
        return self._build.ask(offered.find(other)) if other else self._session

    def _uploaded(self) -> str:
        """Get the context that the client uploads; return where it is."""
        told = "[internal] load remote build context"
        path, directory = self._files.path("upload"), self._files.path("uploaded")
        self._build.tell(Started(told, told))
        self._build.ask(uploads.receive(self._session, self._asked.options.context, path))
        os.mkdir(directory, 0o700)
        found = uploads.unpack(path, directory, self._asked.subdir)
        self._build.tell(Finished(told))
        return found

    def _dockerfile(self, uploaded: str) -> str:
        """Get the Dockerfile, and the ignore list of its name; return where it is.

        It is in the context that was uploaded, if there is no other place for it.
        """
        name, place = self._asked.filename, self._asked.dockerfile
        lists = f"{name}.dockerignore"
        told = f"[internal] load build definition from {name}"
        wanted = trees.Wanted(place, follow=[name, name.lower(), lists])
        directory = self._fetch(told, wanted, "dockerfile") if place else uploaded
        found = _read(directory, name)
        if found is None and name == "Dockerfile":
            found = _read(directory, name.lower())
        if found is None:
            message = f"failed to read dockerfile: open {name}: no such file or directory"
            raise NotFound(message, hint="Name it with -f if it is called otherwise.")
        path = self._files.path("text")
        for end, text in (("", found), (".dockerignore", _read(directory, lists))):
            if text is not None:
                with open(f"{path}{end}", "xb") as file:
                    file.write(text)
        return path

    def _context(self, dockerfile: str, program: Program | None) -> str:
        """Get the context, but for what is to be ignored; return where it is.

        A client that has none need not have one, if nothing is taken from it.
        """
        try:
            return self._fetch_context(dockerfile)
        except GRPCError as error:
            refused = error.status is Status.NOT_FOUND
            if not refused or program is None or asking.uses_context(program):
                raise
        place = self._files.path("no context")
        os.mkdir(place, 0o700)
        return place

    def _fetch_context(self, dockerfile: str) -> str:
        name, lists = self._asked.context, ".dockerignore"
        directory, beside = os.path.split(f"{dockerfile}{lists}")
        ignored = _read(directory, beside)
        if ignored is None:
            told = f"[internal] load {lists}"
            directory = self._fetch(told, trees.Wanted(name, follow=[lists]), lists)
            ignored = _read(directory, lists) or b""
            with open(f"{dockerfile}{lists}", "xb") as file:  # the context may be without it
                file.write(ignored)
        if self._asked.call:  # which wants to know what is ignored, and nothing else
            place = self._files.path("context")
            os.mkdir(place)
            return place
        wanted = trees.Wanted(name, excludes=read_patterns(ignored))
        return self._fetch("[internal] load build context", wanted, "context")

    def _named(self) -> dict[str, str]:
        """Get the directories that are contexts with a name, but for what these ignore."""
        found, lists = {}, ".dockerignore"
        for name, theirs in self._asked.locals.items():
            told = f"[context {name}] load {lists}"
            above = self._fetch(told, trees.Wanted(theirs, follow=[lists]), f"ignored of {name}")
            wanted = trees.Wanted(theirs, excludes=read_patterns(_read(above, lists) or b""))
            told = f"[context {name}] load from client"
            found[name] = self._fetch(told, wanted, f"named {name}")
        return found

    def _parse(self, dockerfile: str) -> Program | None:
        """Read the Dockerfile for what it will need; what is wrong with it the build says."""
        with open(dockerfile, "rb") as file:
            text = file.read()
        self._build.story.dockerfile = text
        try:
            return parse_dockerfile(text)
        except SyntaxFault:
            return None

    def _secrets(self, program: Program | None) -> dict[str, bytes]:
        names = [*asking.GIT_SECRETS, *(asking.secrets_of(program) if program else ())]
        found = {name: self._build.ask(self._session.secret(name)) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def _logins(self, program: Program | None, names: Sequence[str]) -> dict[str, Any]:
        hosts = asking.registries_of(program, self._asked, names) if program else []
        found = {host: self._build.ask(self._session.login(host)) for host in hosts}
        return {host: login for host, login in found.items() if login is not None}

    @contextlib.contextmanager
    def _agents(self, program: Program | None) -> Iterator[dict[str, Agent]]:
        """Lend the client's SSH agents, as sockets of ours."""
        names = asking.agents_of(program) if program else []
        found: dict[str, Agent] = {}
        servers = []
        try:
            for number, name in enumerate(names):
                if self._build.ask(self._session.has_agent(name)):
                    path = f"{self._files.directory}/agent{number}"
                    servers.append(self._build.ask(agents.listen(self._session, name, path)))
                    found[name] = Agent(socket=path)
            yield found
        finally:
            for server in servers:
                wire.the_loop().call_soon_threadsafe(server.close)

    # the build

    def _run(self, options: Any, handed: Handed) -> Built:
        with Apart(self._engine.paths, options, handed=handed) as build:
            for event in build.events():
                self._build.check()
                if event is not None:
                    self._tell(event)
            return build.result

    # what the client wants to have

    def _deliver(self, exporter: Exporter) -> None:
        path = self._files.path(f"out {exporter.index}")
        activity = f"deliver {exporter.index}"
        self._build.tell(Started(activity, exporter.told))
        self._build.ask(exporter.send(self._session, path))
        self._build.tell(Finished(activity))


def _read(directory: str, name: str) -> bytes | None:
    """Return a file of a client's directory, whose links lead no further than that."""
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = paths.open_in_root(root, name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    finally:
        os.close(root)
    with open(descriptor, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
