"""The image's config document: what to run, on what, and how the image came to be.

An image's ID is the digest of this document. `raw` holds its bytes; what knarr does not know of it
is in `extra`, so that an image made from another keeps it.

Spec: image-spec config.md
Docker: the additional fields of "config" (Healthcheck, OnBuild, Shell, ArgsEscaped)
"""

from __future__ import annotations

from knarr.oci import document
from knarr.oci.descriptor import Platform, decode_platform, encode_platform
from knarr.oci.digest import Digest, digest_of
from knarr.oci.document import EMPTY, FrozenDict
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from knarr.oci.document import Fields

MAX_DIFF_IDS = 1000


class Healthcheck(Value):
    """How to tell whether a container does well. Durations are in nanoseconds; 0 inherits.

    `test` is None to inherit, `("NONE",)` for no check, `("CMD", …)` or `("CMD-SHELL", text)`.
    """

    test: tuple[str, ...] | None = None
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class History(Value):
    """One instruction of an image's making. `created` is RFC 3339 text, empty when unknown."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RunConfig(Value):
    """What a container of the image runs, unless told otherwise.

    None differs from empty: an image without `Entrypoint` inherits, one with `[]` has none.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: FrozenDict = EMPTY
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    args_escaped: bool = False
    extra: FrozenDict = EMPTY


class ImageConfig(Value):
    """The whole document. Made by `decode_config` or `encode_config`, which see to `raw`."""

    raw: bytes
    platform: Platform
    created: str = ""
    author: str = ""
    config: RunConfig = RunConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    extra: FrozenDict = EMPTY

    @property
    def digest(self) -> Digest:
        """The image's ID."""
        return digest_of(self.raw)


_KNOWN_RUN = frozenset((
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "StopTimeout", "Shell", "Healthcheck", "OnBuild", "ArgsEscaped",
))  # fmt: skip
_KNOWN = frozenset((
    "os", "architecture", "variant", "os.version", "os.features", "created", "author", "config",
    "rootfs", "history",
))  # fmt: skip


def decode_config(raw: bytes) -> ImageConfig:
    """Return the image config in `raw`.

    Raises: Corrupt
    """
    fields = document.load(raw, "image config")
    rootfs = fields.child("rootfs")
    if rootfs is None or rootfs.text("type") not in ("layers", ""):
        fields.refuse("rootfs", "an object of the type layers")
    run = fields.child("config")
    return ImageConfig(
        raw,
        decode_platform(fields),
        fields.text("created"),
        fields.text("author"),
        decode_run_config(run) if run else RunConfig(),
        _decode_diff_ids(rootfs),
        tuple([_decode_history(child) for child in fields.children("history")]),
        fields.rest(_KNOWN),
    )


def _decode_diff_ids(rootfs: Fields) -> tuple[Digest, ...]:
    diff_ids = rootfs.texts("diff_ids") or ()
    if len(diff_ids) > MAX_DIFF_IDS:
        rootfs.refuse("diff_ids", f"of at most {MAX_DIFF_IDS} layers")
    return tuple([Digest(diff_id) for diff_id in diff_ids])


def decode_run_config(fields: Fields) -> RunConfig:
    """Return what the object "config" of a config document says."""
    healthcheck = fields.child("Healthcheck")
    timeout = fields.object.get("StopTimeout")
    return RunConfig(
        user=fields.text("User"),
        exposed_ports=fields.keys("ExposedPorts"),
        env=fields.texts("Env") or (),
        entrypoint=_command(fields, "Entrypoint"),
        cmd=_command(fields, "Cmd"),
        volumes=fields.keys("Volumes"),
        working_dir=fields.text("WorkingDir"),
        labels=fields.mapping("Labels"),
        stop_signal=fields.text("StopSignal"),
        stop_timeout=None if timeout is None else fields.integer("StopTimeout", lowest=-1),
        shell=_command(fields, "Shell"),
        healthcheck=_decode_healthcheck(healthcheck) if healthcheck else None,
        on_build=fields.texts("OnBuild") or (),
        args_escaped=fields.boolean("ArgsEscaped"),
        extra=fields.rest(_KNOWN_RUN),
    )


def _command(fields: Fields, key: str) -> tuple[str, ...] | None:
    # Old images have a string where a list is meant.
    if isinstance(fields.object.get(key), str):
        return (fields.text(key),)
    return fields.texts(key)


def _decode_healthcheck(fields: Fields) -> Healthcheck:
    return Healthcheck(
        fields.texts("Test") or None,
        fields.integer("Interval"),
        fields.integer("Timeout"),
        fields.integer("StartPeriod"),
        fields.integer("StartInterval"),
        fields.integer("Retries"),
    )


def _decode_history(fields: Fields) -> History:
    return History(
        fields.text("created"),
        fields.text("created_by"),
        fields.text("author"),
        fields.text("comment"),
        fields.boolean("empty_layer"),
    )


def encode_config(
    *,
    platform: Platform,
    created: str = "",
    author: str = "",
    config: RunConfig | None = None,
    diff_ids: Sequence[Digest] = (),
    history: Sequence[History] = (),
    extra: FrozenDict = EMPTY,
) -> ImageConfig:
    """Return the config with these fields, and the bytes that say so."""
    config = config or RunConfig()
    value = {
        **extra,
        **encode_platform(platform),
        # Readers insist on these two, even where they are empty.
        "os": platform.os,
        "architecture": platform.architecture,
        "config": encode_run_config(config),
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]},
        "history": [_encode_history(entry) for entry in history],
        **_filled({"created": created, "author": author}),
    }
    raw = document.dump(value)
    return ImageConfig(
        raw, platform, created, author, config, tuple(diff_ids), tuple(history), extra
    )


def encode_run_config(config: RunConfig) -> dict[str, Any]:
    """Return the object "config" of a config document; what is empty is left out."""
    check = config.healthcheck
    value = {
        **config.extra,
        **_filled(
            {
                "User": config.user,
                "ExposedPorts": _set(config.exposed_ports),
                "Env": list(config.env),
                "Volumes": _set(config.volumes),
                "WorkingDir": config.working_dir,
                "Labels": dict(config.labels),
                "StopSignal": config.stop_signal,
                "Healthcheck": _encode_healthcheck(check) if check else None,
                "OnBuild": list(config.on_build),
                "ArgsEscaped": config.args_escaped,
            }
        ),
    }
    for key, command in (
        ("Entrypoint", config.entrypoint), ("Cmd", config.cmd), ("Shell", config.shell)
    ):  # fmt: skip
        if command is not None:
            value[key] = list(command)
    if config.stop_timeout is not None:
        value["StopTimeout"] = config.stop_timeout
    return value


def _encode_healthcheck(check: Healthcheck) -> dict[str, Any]:
    return _filled(
        {
            "Test": list(check.test or ()),
            "Interval": check.interval_ns,
            "Timeout": check.timeout_ns,
            "StartPeriod": check.start_period_ns,
            "StartInterval": check.start_interval_ns,
            "Retries": check.retries,
        }
    )


def _encode_history(entry: History) -> dict[str, Any]:
    return _filled(
        {
            "created": entry.created,
            "created_by": entry.created_by,
            "author": entry.author,
            "comment": entry.comment,
            "empty_layer": entry.empty_layer,
        }
    )


def _set(names: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: {} for name in names}


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """Return the chain ID of each layer, bottom layer first.

    A chain ID names the stack up to and including its layer: equal stacks of different images have
    equal chain IDs, and so share their snapshots.

    Spec: image-spec config.md, "Layer ChainID"
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(chain_id(chain[-1] if chain else None, diff_id))
    return chain


def chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    """Return the name of the stack that has `diff_id` on top of the stack `parent`."""
    if parent is None:
        return diff_id
    return digest_of(f"{parent} {diff_id}".encode())
