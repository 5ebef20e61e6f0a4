"""Images as the API shows them: in lists, closer by, their history, and what removing one did.

Documents are as the newest version has them; `SUMMARY` and `INSPECTED` say what older ones saw.
"""

from __future__ import annotations

from knarr.engine.image.loading import describe_arrivals
from knarr.oci.descriptor import encode_descriptor, encode_platform
from knarr.oci.document import EMPTY
from knarr.util import jsontext
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from knarr.api.versions import Changes
    from knarr.engine.image.attesting import Statement
    from knarr.engine.image.places.storetarget import Arrival
    from knarr.engine.image.removal import Removed
    from knarr.engine.images import HistoryLine, Image
    from knarr.oci.descriptor import Descriptor, Platform
    from knarr.registry.search import Found

    Document = dict[str, Any]

UNKNOWN = -1  # what was not asked for


class Sized(Value):
    """An image in a list: `shared` bytes are in other images too, `containers` were made of it."""

    image: Image
    shared: int = UNKNOWN
    containers: int = UNKNOWN
    manifests: tuple[Manifested, ...] | None = None


class Manifested(Value):
    """One platform's manifest of an image."""

    descriptor: Descriptor
    platform: Platform
    size: int
    containers: tuple[str, ...] = ()
    identity: Document | None = None


def summary(sized: Sized) -> Document:
    """Return an image as a list shows it."""
    row = sized.image.row
    found: Document = {
        "Containers": sized.containers,
        "Created": row.created_ns // 1_000_000_000,
        "Id": str(row.id),
        "Labels": dict(row.labels) or None,
        "ParentId": str(row.parent or ""),
        "RepoDigests": [reference.familiar() for reference in sized.image.digests],
        "RepoTags": [reference.familiar() for reference in sized.image.tags],
        "SharedSize": sized.shared,
        "Size": row.size,
    }
    if sized.manifests is not None:
        found["Manifests"] = [manifest_summary(each) for each in sized.manifests]
    return found


def manifest_summary(manifested: Manifested) -> Document:
    """Return what `manifests=1` shows of one platform's manifest."""
    descriptor = manifested.descriptor
    data: Document = {
        "Platform": encode_platform(manifested.platform),
        "Containers": list(manifested.containers),
        "Size": {"Unpacked": manifested.size},
    }
    if manifested.identity:
        data["Identity"] = manifested.identity
    return {
        "ID": str(descriptor.digest),
        "Descriptor": encode_descriptor(descriptor),
        "Available": True,
        "Size": {"Content": descriptor.size, "Total": descriptor.size + manifested.size},
        "Kind": "image",
        "ImageData": data,
    }


def _without_names(document: Document) -> Document:
    if document["RepoTags"] or document["RepoDigests"]:
        return document
    return {**document, "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}


def _with_virtual_size(document: Document) -> Document:
    return {**document, "VirtualSize": document["Size"]}


def _without_count(document: Document) -> Document:
    return {**document, "Containers": UNKNOWN}


SUMMARY: Changes = (
    ((1, 51), _without_count),
    ((1, 44), _with_virtual_size),
    ((1, 43), _without_names),
)


def inspected(document: Document) -> Document:
    """Return the engine's document as the newest version has it: what is empty is left out."""
    found = {key: document[key] for key in document if document[key] or key not in _OPTIONAL}
    config = {key: value for key, value in document["Config"].items() if value or key in _ALWAYS}
    return {**found, "Config": config}


# Left out when empty; before 1.52 these were always there.
_OPTIONAL = ("Author", "Comment", "DockerVersion", "Parent")
_ALWAYS = ("ArgsEscaped",)
_EMPTY_CONFIG: Document = {
    "AttachStderr": False, "AttachStdin": False, "AttachStdout": False, "Cmd": None,
    "Domainname": "", "Entrypoint": None, "Env": None, "Hostname": "", "Image": "",
    "Labels": None, "OnBuild": None, "OpenStdin": False, "StdinOnce": False, "Tty": False,
    "User": "", "Volumes": None, "WorkingDir": "",
}  # fmt: skip
# Of an image, these never said anything.
_ONLY_CONTAINERS = (
    "AttachStderr", "AttachStdin", "AttachStdout", "Domainname", "Hostname", "Image", "OpenStdin",
    "StdinOnce", "Tty",
)  # fmt: skip


def _with_empty_fields(document: Document) -> Document:
    empty = {key: _EMPTY_CONFIG[key] for key in _EMPTY_CONFIG if key not in _ONLY_CONTAINERS}
    config = {**empty, **document["Config"]}
    return {**dict.fromkeys(_OPTIONAL, ""), **document, "Config": config}


def _with_fields_of_containers(document: Document) -> Document:
    return {**document, "Config": {**_EMPTY_CONFIG, **document["Config"]}}


def _with_container(document: Document) -> Document:
    config = {**_EMPTY_CONFIG, "Cmd": None}
    return {**document, "Container": "", "ContainerConfig": config}


def _without_identity(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "Identity"}


INSPECTED: Changes = (
    ((1, 53), _without_identity),
    ((1, 52), _with_empty_fields),
    ((1, 50), _with_fields_of_containers),
    ((1, 45), _with_container),
    ((1, 44), _with_virtual_size),
)


def history(lines: Iterable[HistoryLine]) -> list[Document]:
    """Return how an image came to be, the last instruction first."""
    return [
        {
            "Comment": line.comment,
            "Created": line.created_ns // 1_000_000_000,
            "CreatedBy": line.created_by,
            "Id": str(line.id or "<missing>"),
            "Size": line.size,
            "Tags": [reference.familiar() for reference in line.tags] or None,
        }
        for line in lines
    ]


def removed(things: Iterable[Removed]) -> list[Document]:
    """Return what is gone."""
    return [
        {"Untagged": one.untagged} if one.untagged else {"Deleted": one.deleted} for one in things
    ]


def loaded(arrivals: Iterable[Arrival]) -> list[Document]:
    """Return the lines that end a load, which scripts read the names from."""
    return [{"stream": f"{line}\n"} for line in describe_arrivals(arrivals)]


def found(results: Iterable[Found]) -> list[Document]:
    """Return what a search found."""
    return [
        {
            "description": one.description,
            "is_automated": one.automated,
            "is_official": one.official,
            "name": one.name,
            "star_count": one.stars,
        }
        for one in results
    ]


def statement(one: Statement, *, whole: bool) -> Document:
    """Return what is attested of an image; with `whole` the document itself, too."""
    descriptor = one.descriptor.replace(annotations=EMPTY)
    found = {"Descriptor": encode_descriptor(descriptor), "PredicateType": one.predicate_type}
    if whole:
        found["Statement"] = jsontext.loads(one.raw)
    return found
