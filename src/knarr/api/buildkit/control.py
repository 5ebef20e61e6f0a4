"""BuildKit's services, as buildx and other clients of BuildKit call them.

    Control     Solve, Status, ListWorkers, Info, DiskUsage, Prune, ListenBuildHistory
    LLBBridge   Ping, Solve, Evaluate, Inputs, Return: how buildx has a front end run in its build

buildx asks `Control/Solve` without a front end, and meanwhile `LLBBridge/Solve` with one; both name
the same build, the second by a header. The build is done by the second, and the first is answered
when the client returns the result there. Who asks `Control/Solve` with a front end at once gets all
in one.

Spec: BuildKit, control.proto and gateway.proto
"""

from __future__ import annotations

import asyncio
import os
import socket

from grpclib import GRPCError
from grpclib.const import Status as Code

from knarr import errors
from knarr.api.buildkit import asking, sessions, wire, workers
from knarr.api.buildkit.exporters import read_exporters
from knarr.api.buildkit.schema import CONTROL, GATEWAY, STATUS, message
from knarr.api.buildkit.solving import Answer, Build, Request
from knarr.api.buildkit.wire import SERVER_STREAM, STREAM, Method
from knarr.api.faults import words
from knarr.api.takeover import Taken
from knarr.engine.engine import Engine
from knarr.util import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any


_SOURCE_URL = "github.com/moby/buildkit/errdefs.Source+json"
HEADER_BUILD = "buildkit-controlapi-buildid"
PATIENCE = 10.0  # seconds that a status, or a bridge, waits for the build that it names
KEPT = 60.0  # seconds for which a build that ended may still be asked about
# What a client may rely on: those that buildx looks for, and that are so.
FRONTEND_CAPS = (
    "solve.base", "return", "returnmap", "proto.refarray", "frontend.inputs",
    "gateway.solve.metadata", "frontend.caps", "gateway.evaluate",
)  # fmt: skip
LLB_CAPS = (
    "source.image", "source.local", "source.git", "source.http", "exec.mount.cache",
    "exec.mount.secret", "exec.mount.tmpfs", "exec.mount.bind", "exporter.multiple", "platform",
    "exec.meta.ulimit", "exec.meta.linux.resources", "exporter.image.attestations",
    "cache.gha",
)  # fmt: skip

_CODES = {
    errors.InvalidArgument: Code.INVALID_ARGUMENT,
    errors.SyntaxFault: Code.INVALID_ARGUMENT,
    errors.NotFound: Code.NOT_FOUND,
    errors.Unauthorized: Code.UNAUTHENTICATED,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.Conflict: Code.ALREADY_EXISTS,
    errors.Unsupported: Code.UNIMPLEMENTED,
    errors.Unavailable: Code.UNAVAILABLE,
}


_IN_FILE = (Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS)


class _Entry:
    """A build that a client has named: it may be asked about before it is asked for."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.build: Build
        self.returned: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.answer = Answer()


class Builds:
    """The builds of this process by their references, for all connections."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def open(self, reference: str) -> _Entry:
        """Return the entry of a build, made if this is the first to name it."""
        return self._entries.setdefault(reference, _Entry())

    async def find(self, reference: str) -> _Entry:
        """Return the entry of a build that has been asked for, waiting a little for that.

        Raises: NotFound
        """
        entry = self.open(reference)
        try:
            async with asyncio.timeout(PATIENCE):
                await entry.asked.wait()
        except TimeoutError:
            self._entries.pop(reference, None)
            text = f"no such build {reference}"
            raise errors.NotFound(text) from None
        return entry

    def forget_later(self, reference: str) -> None:
        """Let a build that ended be asked about for some time yet."""
        loop = asyncio.get_running_loop()
        loop.call_later(KEPT, self._entries.pop, reference, None)


BUILDS = Builds()


def serve(taken: Taken) -> None:
    """Serve BuildKit's services on a connection until its client has gone."""
    wire.serve(taken, Services(taken.engine).methods())


class Services:
    """The services, on the root of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._paths = engine.paths

    def methods(self) -> list[Method]:
        """Return all methods."""
        table = [
            ("Control", "Solve", self.solve),
            ("Control", "Info", self.info),
            ("Control", "ListWorkers", self.list_workers),
            ("Control", "DiskUsage", self.disk_usage),
            ("LLBBridge", "Ping", self.ping),
            ("LLBBridge", "Solve", self.bridge_solve),
            ("LLBBridge", "Evaluate", self.evaluate),
            ("LLBBridge", "Inputs", self.inputs),
            ("LLBBridge", "Return", self.return_),
        ]
        streams = [
            ("Status", "StatusRequest", "StatusResponse", self.status),
            ("Prune", "PruneRequest", "UsageRecord", self.prune),
            ("ListenBuildHistory", "BuildHistoryRequest", "BuildHistoryEvent", self.history),
        ]
        return [
            *(_unary(service, name, serve) for service, name, serve in table),
            *(
                Method(CONTROL, f"Control/{name}", asked, given, _guard(serve), SERVER_STREAM)
                for name, asked, given, serve in streams
            ),
            Method(
                CONTROL, "Control/Session", "BytesMessage", "BytesMessage",
                _guard(self.session), STREAM,
            ),
            Method(
                CONTROL, "Control/UpdateBuildHistory", "UpdateBuildHistoryRequest",
                "UpdateBuildHistoryResponse", _one(self.update_history),
            ),
        ]  # fmt: skip

    # Control

    async def solve(self, asked: Any, _: Mapping[str, Any]) -> Any:
        """Build, or wait until a front end has built."""
        if asked.Definition.ByteSize():
            raise _only_dockerfiles()
        given = [(one.Type, one.Attrs) for one in asked.Exporters]
        if not given and asked.ExporterDeprecated:
            given = [(asked.ExporterDeprecated, asked.ExporterAttrsDeprecated)]
        reference = asked.Ref or os.urandom(12).hex()
        request = Request(
            asked.Session,
            read_exporters(given),
            tuple(asked.Entitlements),
            *asking.caches(
                [(one.Type, one.Attrs) for one in asked.Cache.Imports],
                [(one.Type, one.Attrs) for one in asked.Cache.Exports],
            ),
        )
        entry = BUILDS.open(reference)
        entry.build = Build(self._paths, request)
        entry.asked.set()
        try:
            if asked.Frontend:
                wanted = asking.read(asked.Frontend, asked.FrontendAttrs, asked.FrontendInputs)
                answer = await _run(entry.build, wanted)
            else:
                answer = await entry.returned
        finally:
            entry.build.story.end()
            BUILDS.forget_later(reference)
        return message(f"{CONTROL}.SolveResponse")(ExporterResponse=dict(answer.exported))

    async def status(self, stream: Any) -> None:
        """Tell what happens in a build."""
        asked = await stream.recv_message()
        entry = await BUILDS.find(asked.Ref)
        async for told in entry.build.story.follow():
            await stream.send_message(told)

    async def session(self, stream: Any) -> None:
        """Have a session within a call, for who cannot open a connection for it."""
        ours, theirs = socket.socketpair()
        head = {name: str(value) for name, value in stream.metadata.items()}
        with ours, theirs:
            taken = Taken(ours, self._engine, head=head)
            await sessions.serve_stream(stream, taken, theirs)

    async def info(self, _: Any, __: Mapping[str, Any]) -> Any:
        """Say which BuildKit this is like."""
        return message(f"{CONTROL}.InfoResponse")(buildkitVersion=workers.version())

    async def list_workers(self, _: Any, __: Mapping[str, Any]) -> Any:
        """Describe the one worker there is."""
        record = await asyncio.to_thread(self._with_engine, workers.describe)
        return message(f"{CONTROL}.ListWorkersResponse")(record=[record])

    async def disk_usage(self, asked: Any, _: Mapping[str, Any]) -> Any:
        """List what the build cache holds."""

        def work(engine: Engine) -> Any:
            return workers.usage(engine, list(asked.filter))

        records = await asyncio.to_thread(self._with_engine, work)
        return message(f"{CONTROL}.DiskUsageResponse")(record=records)

    async def prune(self, stream: Any) -> None:
        """Forget what the build cache holds."""
        asked = await stream.recv_message()

        def work(engine: Engine) -> Any:
            return workers.prune(engine, asked)

        for record in await asyncio.to_thread(self._with_engine, work):
            await stream.send_message(record)

    async def history(self, stream: Any) -> None:
        """List the builds of which something is remembered."""
        asked = await stream.recv_message()

        def work(engine: Engine) -> Any:
            return workers.history(engine, asked)

        for event in await asyncio.to_thread(self._with_engine, work):
            await stream.send_message(event)

    async def update_history(self, asked: Any, _: Mapping[str, Any]) -> Any:
        """Forget a build, if that is asked."""

        def work(engine: Engine) -> None:
            workers.forget(engine, asked)

        await asyncio.to_thread(self._with_engine, work)
        return message(f"{CONTROL}.UpdateBuildHistoryResponse")()

    def _with_engine(self, work: Callable[[Engine], Any]) -> Any:
        with Engine(self._paths.root, self._paths.run, recover=False) as engine:
            return work(engine)

    # LLBBridge

    async def ping(self, _: Any, __: Mapping[str, Any]) -> Any:
        """Say what can be asked for."""
        return message(f"{GATEWAY}.PongResponse")(
            FrontendAPICaps=[{"ID": name, "Enabled": True} for name in FRONTEND_CAPS],
            LLBCaps=[{"ID": name, "Enabled": True} for name in LLB_CAPS],
        )

    async def bridge_solve(self, asked: Any, head: Mapping[str, Any]) -> Any:
        """Let the front end build."""
        if asked.Definition.ByteSize() or not asked.Frontend:
            raise _only_dockerfiles()
        entry = await BUILDS.find(str(head.get(HEADER_BUILD, "")))
        wanted = asking.read(asked.Frontend, asked.FrontendOpt, asked.FrontendInputs)
        entry.answer = await _run(entry.build, wanted)
        ref = {"id": str(head[HEADER_BUILD])}
        result = {"ref": ref, "metadata": dict(entry.answer.metadata)}
        return message(f"{GATEWAY}.SolveResponse")(result=result)

    async def evaluate(self, _: Any, __: Mapping[str, Any]) -> Any:
        """Do nothing more: a result is there when its front end returns."""
        return message(f"{GATEWAY}.EvaluateResponse")()

    async def inputs(self, _: Any, __: Mapping[str, Any]) -> Any:
        """Say that there are none."""
        return message(f"{GATEWAY}.InputsResponse")()

    async def return_(self, asked: Any, head: Mapping[str, Any]) -> Any:
        """Take the client's last word on a build, which is the answer to who asked for it."""
        entry = await BUILDS.find(str(head.get(HEADER_BUILD, "")))
        if not entry.returned.done():
            if asked.HasField("error"):
                code = Code(asked.error.code) if asked.error.code else Code.UNKNOWN
                details = list(asked.error.details)
                entry.returned.set_exception(GRPCError(code, asked.error.message, details))
            else:
                entry.returned.set_result(entry.answer)
        return message(f"{GATEWAY}.ReturnResponse")()


def _only_dockerfiles() -> errors.Unsupported:
    text = "only Dockerfiles can be built"
    return errors.Unsupported(text, hint="LLB is BuildKit's own language.")


async def _run(build: Build, wanted: asking.Asked) -> Answer:
    """Build; what goes wrong is told with the place in the Dockerfile. Raises: GRPCError"""
    try:
        return await build.run(wanted)
    except errors.KnarrError as error:
        raise _failed(error, build.story.source(wanted.filename)) from error


def _unary(service: str, name: str, serve: Callable[[Any, Mapping[str, Any]], Any]) -> Method:
    package = GATEWAY if service == "LLBBridge" else CONTROL
    return Method(
        package, f"{service}/{name}", f"{name}Request", _REPLIES.get(name, f"{name}Response"),
        _one(serve),
    )  # fmt: skip


_REPLIES = {"Ping": "PongResponse"}


def _one(
    serve: Callable[[Any, Mapping[str, Any]], Awaitable[Any]],
) -> Callable[[Any], Awaitable[None]]:
    """Return what serves a stream of one message each way."""

    async def handle(stream: Any) -> None:
        asked = await stream.recv_message()
        await stream.send_message(await serve(asked, stream.metadata))

    return _guard(handle)


def _failed(error: errors.KnarrError, source: Mapping[str, Any] | None) -> GRPCError:
    """Return the error of a build: of what is wrong in a Dockerfile clients show no code.

    Docker: "failed to solve: dockerfile parse error on line 1: …"
    """
    found = _translated(error, source)
    code = Code.UNKNOWN if found.status in _IN_FILE else found.status
    return GRPCError(code, found.message, found.details)


def _translated(error: errors.KnarrError, source: Mapping[str, Any] | None = None) -> GRPCError:
    """Return an error as gRPC's; `source` is the place in the Dockerfile that it is about."""
    text = f"{words(error)}\n{error.hint}" if error.hint else words(error)
    details = []
    if source is not None:
        value = jsontext.dumps(source).encode()
        details = [message(f"{STATUS}.Any")(type_url=_SOURCE_URL, value=value)]
    return GRPCError(_CODES.get(type(error), Code.UNKNOWN), text, details)


def _guard(serve: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Return what serves a stream, and turns our errors into those of gRPC."""

    async def handle(stream: Any) -> None:
        try:
            await serve(stream)
        except errors.KnarrError as error:
            raise _translated(error) from error

    return handle
