"""Images and their archives, made from dictionaries of files by means that are not knarr's."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

import zstandard

Files = Mapping[str, bytes]


def sha(data: bytes) -> str:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer_tar(files: Files, *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return the tar of a layer; a name that ends with a slash is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime, info.uname, info.gname = 1_700_000_000, "root", "wheel"
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def archive(files: Files) -> bytes:
    """Return a tar of plain files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def config_of(layers: Sequence[bytes], **more: Any) -> bytes:
    """Return a config for uncompressed layers; `more` replaces fields."""
    value = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05.678Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"made": "by hand"}},
        "rootfs": {"type": "layers", "diff_ids": [sha(layer) for layer in layers]},
        "history": [
            {"created": "2024-01-01T00:00:00Z", "created_by": f"COPY {n} /"}
            for n in range(len(layers))
        ]
        + [{"created_by": 'CMD ["sh"]', "empty_layer": True}],
        **more,
    }
    return json.dumps(value, indent=3).encode()


def docker_archive(
    layers: Sequence[bytes], *tags: str, config: bytes | None = None, names: Sequence[str] = ()
) -> bytes:
    """Return an archive as `docker save` wrote it before version 25."""
    config = config or config_of(layers)
    names = names or [f"{n:064x}/layer.tar" for n in range(len(layers))]
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    item = {
        "Config": config_name,
        "RepoTags": list(tags) or None,
        "Layers": list(names),
    }
    return archive(
        {
            **dict(zip(names, layers, strict=True)),
            config_name: config,
            "manifest.json": json.dumps([item]).encode(),
        }
    )


def on_top_of(path: str, layers: Sequence[bytes], *tags: str) -> bytes:
    """Return an archive of the image in the archive at `path`, with more layers."""
    with tarfile.open(path) as base:
        files = {member.name: base.extractfile(member) for member in base if member.isfile()}
        data = {name: file.read() for name, file in files.items() if file is not None}
    (item,) = json.loads(data["manifest.json"])
    config = json.loads(data[item["Config"]])
    below = [data[name] for name in item["Layers"]]
    config["rootfs"]["diff_ids"] += [sha(layer) for layer in layers]
    config["history"] = []
    return docker_archive([*below, *layers], *tags, config=json.dumps(config).encode())


COMPRESS = {
    "": lambda data: data,
    "+gzip": lambda data: gzip.compress(data, mtime=0),
    "+zstd": zstandard.ZstdCompressor().compress,
}


def oci_files(
    layers: Sequence[bytes],
    *names: str,
    compression: str = "+gzip",
    config: bytes | None = None,
    key: str = "org.opencontainers.image.ref.name",
) -> dict[str, bytes]:
    """Return the files of an OCI layout with one image."""
    config = config or config_of(layers)
    blobs = [COMPRESS[compression](layer) for layer in layers]
    kind = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": descriptor(f"{kind}.config.v1+json", config),
            "layers": [descriptor(f"{kind}.layer.v1.tar{compression}", blob) for blob in blobs],
        },
        indent=2,
    ).encode()
    listed = descriptor(f"{kind}.manifest.v1+json", manifest)
    entries = [{**listed, "annotations": {key: name}} for name in names] or [listed]
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": entries}).encode(),
        **{f"blobs/sha256/{sha(data)[7:]}": data for data in (*blobs, config, manifest)},
    }


def oci_archive(layers: Sequence[bytes], *names: str, **more: Any) -> bytes:
    """Return the tar of an OCI layout with one image."""
    return archive(oci_files(layers, *names, **more))


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": media_type, "digest": sha(data), "size": len(data)}
