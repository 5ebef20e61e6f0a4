"""The messages of BuildKit's protocols, as data.

A line of `MESSAGES` is a message: its name, and its fields as `name:number type`. A type is one of
`SCALARS` or the name of a message, in the same package if it begins with a dot; `*` before it is a
list, `%` a map from strings. Fields that nothing here reads or writes are left out: the library
keeps what it does not know. Enumerations are numbers.

The classes are made when this module is loaded, by the library's own descriptors; `message` returns
one by its full name.

Spec: Protocol Buffers, encoding and proto3; BuildKit's control.proto, gateway.proto,
    filesync.proto, auth.proto, secrets.proto, ssh.proto; fsutil's wire.proto and stat.proto;
    containerd's content.proto
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONTROL = "moby.buildkit.v1"
GATEWAY = "moby.buildkit.v1.frontend"
WORKER = "moby.buildkit.v1.types"
SOLVER = "pb"
CAPS = "moby.buildkit.v1.apicaps"
FILES = "moby.filesync.v1"
SECRETS = "moby.buildkit.secrets.v1"
SSH = "moby.sshforward.v1"
TREE = "fsutil.types"
CONTENT = "containerd.services.content.v1"
STATUS = "google.rpc"
_TIME = "google.protobuf.Timestamp"

_FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
}

MESSAGES = {
    SOLVER: """
        Platform  Architecture:1 string, OS:2 string, Variant:3 string, OSVersion:4 string
        Position  line:1 int32, character:2 int32
        Range  start:1 .Position, end:2 .Position
        SourceInfo  filename:1 string, data:2 bytes, language:4 string
        Definition  def:1 *bytes
    """,
    WORKER: """
        BuildkitVersion  package:1 string, version:2 string, revision:3 string
        GCPolicy  all:1 bool, keepDuration:2 int64, reservedSpace:3 int64, filters:4 *string, \
maxUsedSpace:5 int64, minFreeSpace:6 int64
        WorkerRecord  ID:1 string, Labels:2 %string, platforms:3 *pb.Platform, \
GCPolicy:4 *.GCPolicy, BuildkitVersion:5 .BuildkitVersion
    """,
    CAPS: """
        APICap  ID:1 string, Enabled:2 bool
    """,
    STATUS: """
        Any  type_url:1 string, value:2 bytes
        Status  code:1 int32, message:2 string, details:3 *.Any
    """,
    CONTROL: f"""
        BytesMessage  data:1 bytes
        Exporter  Type:1 string, Attrs:2 %string
        CacheOptionsEntry  Type:1 string, Attrs:2 %string
        CacheOptions  Exports:4 *.CacheOptionsEntry, Imports:5 *.CacheOptionsEntry
        SolveRequest  Ref:1 string, Definition:2 pb.Definition, ExporterDeprecated:3 string, \
ExporterAttrsDeprecated:4 %string, Session:5 string, Frontend:6 string, FrontendAttrs:7 %string, \
Cache:8 .CacheOptions, Entitlements:9 *string, FrontendInputs:10 %pb.Definition, Internal:11 bool, \
Exporters:13 *.Exporter
        SolveResponse  ExporterResponse:1 %string
        StatusRequest  Ref:1 string
        Vertex  digest:1 string, inputs:2 *string, name:3 string, cached:4 bool, \
started:5 {_TIME}, completed:6 {_TIME}, error:7 string
        VertexStatus  ID:1 string, vertex:2 string, name:3 string, current:4 int64, \
total:5 int64, timestamp:6 {_TIME}, started:7 {_TIME}, completed:8 {_TIME}
        VertexLog  vertex:1 string, timestamp:2 {_TIME}, stream:3 int64, msg:4 bytes
        VertexWarning  vertex:1 string, level:2 int64, short:3 bytes, detail:4 *bytes, \
url:5 string, info:6 pb.SourceInfo, ranges:7 *pb.Range
        StatusResponse  vertexes:1 *.Vertex, statuses:2 *.VertexStatus, logs:3 *.VertexLog, \
warnings:4 *.VertexWarning
        DiskUsageRequest  filter:1 *string, ageLimit:2 int64
        UsageRecord  ID:1 string, Mutable:2 bool, InUse:3 bool, Size:4 int64, Parent:5 string, \
CreatedAt:6 {_TIME}, LastUsedAt:7 {_TIME}, UsageCount:8 int64, Description:9 string, \
RecordType:10 string, Shared:11 bool, Parents:12 *string
        DiskUsageResponse  record:1 *.UsageRecord
        PruneRequest  filter:1 *string, all:2 bool, keepDuration:3 int64, reservedSpace:4 int64, \
maxUsedSpace:5 int64, minFreeSpace:6 int64
        ListWorkersRequest  filter:1 *string
        ListWorkersResponse  record:1 *{WORKER}.WorkerRecord
        InfoRequest
        InfoResponse  buildkitVersion:1 {WORKER}.BuildkitVersion
        BuildHistoryRequest  ActiveOnly:1 bool, Ref:2 string, EarlyExit:3 bool, \
Filter:4 *string, Limit:5 int32
        Descriptor  media_type:1 string, digest:2 string, size:3 int64, annotations:5 %string
        BuildHistoryRecord  Ref:1 string, Frontend:2 string, FrontendAttrs:3 %string, \
Exporters:4 *.Exporter, error:5 google.rpc.Status, CreatedAt:6 {_TIME}, CompletedAt:7 {_TIME}, \
logs:8 .Descriptor, ExporterResponse:9 %string, numCachedSteps:15 int32, numTotalSteps:16 int32, \
numCompletedSteps:17 int32, numWarnings:19 int32
        BuildHistoryEvent  type:1 int32, record:2 .BuildHistoryRecord
        UpdateBuildHistoryRequest  Ref:1 string, Pinned:2 bool, Delete:3 bool, Finalize:4 bool
        UpdateBuildHistoryResponse
    """,
    GATEWAY: f"""
        Ref  id:1 string, def:2 pb.Definition
        RefMap  refs:1 %.Ref
        Result  ref:3 .Ref, refs:4 .RefMap, metadata:10 %bytes
        SolveRequest  Definition:1 pb.Definition, Frontend:2 string, FrontendOpt:3 %string, \
Final:10 bool, CacheImports:12 *{CONTROL}.CacheOptionsEntry, FrontendInputs:13 %pb.Definition, \
Evaluate:14 bool
        SolveResponse  ref:1 string, result:3 .Result
        ReturnRequest  result:1 .Result, error:2 google.rpc.Status
        ReturnResponse
        EvaluateRequest  Ref:1 string
        EvaluateResponse
        InputsRequest
        InputsResponse  Definitions:1 %pb.Definition
        PingRequest
        PongResponse  FrontendAPICaps:1 *{CAPS}.APICap, LLBCaps:2 *{CAPS}.APICap, \
Workers:3 *{WORKER}.WorkerRecord
    """,
    FILES: """
        BytesMessage  data:1 bytes
        CredentialsRequest  Host:1 string
        CredentialsResponse  Username:1 string, Secret:2 string
    """,
    SECRETS: """
        GetSecretRequest  ID:1 string
        GetSecretResponse  data:1 bytes
    """,
    SSH: """
        BytesMessage  data:1 bytes
        CheckAgentRequest  ID:1 string
        CheckAgentResponse
    """,
    CONTENT: """
        ReadContentRequest  digest:1 string
        ReadContentResponse  offset:1 int64, data:2 bytes
        WriteContentRequest  action:1 int32, ref:2 string, total:3 int64, expected:4 string, \
offset:5 int64, data:6 bytes
        WriteContentResponse  action:1 int32, offset:4 int64, digest:6 string
    """,
    TREE: """
        Stat  path:1 string, mode:2 uint32, uid:3 uint32, gid:4 uint32, size:5 int64, \
modTime:6 int64, linkname:7 string, devmajor:8 int64, devminor:9 int64, xattrs:10 %bytes
        Packet  type:1 int32, stat:2 .Stat, ID:3 uint32, data:4 bytes
    """,
}

_POOL = descriptor_pool.DescriptorPool()


def message(name: str) -> Any:
    """Return the class of the message with this full name."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


def timestamp(time_ns: int) -> Any:
    """Return a moment, in nanoseconds since 1970, as a message of this pool."""
    return message(_TIME)(seconds=time_ns // 10**9, nanos=time_ns % 10**9)


def _define() -> None:
    """Put all messages into the pool: a file for each package."""
    known = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(known)
    _POOL.Add(known)
    files = [known.name]
    for package, lines in MESSAGES.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{package}.proto", package=package, syntax="proto3", dependency=files
        )
        for line in lines.strip().splitlines():
            name, _, fields = line.strip().partition("  ")
            _define_message(file.message_type.add(name=name), f"{package}.{name}", package, fields)
        _POOL.Add(file)
        files.append(file.name)


def _define_message(made: Any, full_name: str, package: str, fields: str) -> None:
    for field in filter(None, fields.split(", ")):
        label, _, kind = field.partition(" ")
        name, _, number = label.partition(":")
        into = made.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
        if kind[0] in "*%":
            into.label = _FIELD.LABEL_REPEATED
        if kind[0] == "%":
            _define_map(made, into, full_name, package, kind[1:])
        else:
            _set_type(into, package, kind.lstrip("*"))


def _define_map(made: Any, into: Any, full_name: str, package: str, kind: str) -> None:
    """Give a message the entries of one of its maps, which are messages of their own."""
    entry = made.nested_type.add(name=f"{into.name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    key = entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL)
    key.type = _FIELD.TYPE_STRING
    value = entry.field.add(name="value", number=2, label=_FIELD.LABEL_OPTIONAL)
    _set_type(value, package, kind)
    into.type = _FIELD.TYPE_MESSAGE
    into.type_name = f".{full_name}.{entry.name}"


def _set_type(into: Any, package: str, kind: str) -> None:
    if kind in SCALARS:
        into.type = SCALARS[kind]
        return
    into.type = _FIELD.TYPE_MESSAGE
    into.type_name = f".{package}{kind}" if kind.startswith(".") else f".{kind}"


_define()
