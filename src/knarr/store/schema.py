"""The tables of `knarr.db`, and how one version of them becomes the next.

`PRAGMA user_version` counts the migrations that were carried out. A migration that was released is
never changed; the next one is added below it.

    tags ──▶ images ──▶ image_layers ──▶ layers ──▶ layers (the one below)
             └──▶ image_blobs               ▲ ▲
    containers ──▶ (image, not enforced)    │ │
         └──────────────────────────────────┘ └── builds
    endpoints ──▶ networks

An arrow is a foreign key: a layer cannot go while an image, a container or a build's result stands
on it. A container's image can: it keeps the layers.
"""

from __future__ import annotations

_FIRST = (
    """CREATE TABLE layers (
        chain TEXT PRIMARY KEY,
        diff TEXT NOT NULL,
        parent TEXT REFERENCES layers,
        size INTEGER NOT NULL,
        tar_size INTEGER NOT NULL,
        created_ns INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX layers_parent ON layers (parent)",
    # A layer's tar in the form in which someone sent or asked for it. `needed`: the tar cannot be
    # made from the tree, so this blob stays as long as the layer.
    """CREATE TABLE layer_blobs (
        diff TEXT NOT NULL,
        digest TEXT NOT NULL,
        media_type TEXT NOT NULL,
        size INTEGER NOT NULL,
        needed INTEGER NOT NULL,
        PRIMARY KEY (diff, digest)
    ) WITHOUT ROWID""",
    """CREATE TABLE images (
        id TEXT PRIMARY KEY,
        manifest TEXT,
        media_type TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        added_ns INTEGER NOT NULL,
        size INTEGER NOT NULL,
        os TEXT NOT NULL,
        architecture TEXT NOT NULL,
        variant TEXT NOT NULL,
        parent TEXT,
        labels TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX images_manifest ON images (manifest)",
    "CREATE INDEX images_parent ON images (parent)",
    """CREATE TABLE image_layers (
        image TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        position INTEGER NOT NULL,
        chain TEXT NOT NULL REFERENCES layers,
        PRIMARY KEY (image, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX image_layers_chain ON image_layers (chain)",
    """CREATE TABLE image_blobs (
        image TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        digest TEXT NOT NULL,
        PRIMARY KEY (image, digest)
    ) WITHOUT ROWID""",
    "CREATE INDEX image_blobs_digest ON image_blobs (digest)",
    # References with a tag, and those with a digest under which an image was had or given.
    """CREATE TABLE tags (
        reference TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        image TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
        updated_ns INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX tags_image ON tags (image)",
    """CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image TEXT,
        chain TEXT REFERENCES layers,
        created_ns INTEGER NOT NULL,
        options TEXT NOT NULL,
        detail TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX containers_image ON containers (image)",
    "CREATE INDEX containers_chain ON containers (chain)",
    """CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_ns INTEGER NOT NULL,
        detail TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE endpoints (
        network TEXT NOT NULL REFERENCES networks,
        container TEXT NOT NULL,
        address TEXT,
        detail TEXT NOT NULL,
        PRIMARY KEY (network, container),
        UNIQUE (network, address)
    ) WITHOUT ROWID""",
    "CREATE INDEX endpoints_container ON endpoints (container)",
    # Ports of the host, 0.0.0.0 and :: meaning all addresses, and where they lead.
    """CREATE TABLE ports (
        protocol TEXT NOT NULL,
        host_port INTEGER NOT NULL,
        host_ip TEXT NOT NULL,
        container TEXT NOT NULL,
        address TEXT NOT NULL,
        container_port INTEGER NOT NULL,
        PRIMARY KEY (protocol, host_port, host_ip)
    ) WITHOUT ROWID""",
    "CREATE INDEX ports_container ON ports (container)",
    # Where a search for something free stopped, so that the next goes on from there.
    """CREATE TABLE marks (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        anonymous INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        detail TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE volume_users (
        volume TEXT NOT NULL REFERENCES volumes,
        container TEXT NOT NULL REFERENCES containers ON DELETE CASCADE,
        PRIMARY KEY (volume, container)
    ) WITHOUT ROWID""",
    "CREATE INDEX volume_users_container ON volume_users (container)",
    """CREATE TABLE builds (
        key TEXT PRIMARY KEY,
        chain TEXT REFERENCES layers,
        size INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        used_ns INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        detail TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX builds_chain ON builds (chain)",
)

# Lists of manifests that somebody is putting together: what each lists, with the manifest itself.
_MANIFESTS = (
    """CREATE TABLE manifests (
        list TEXT NOT NULL,
        reference TEXT NOT NULL,
        descriptor TEXT NOT NULL,
        raw BLOB NOT NULL,
        PRIMARY KEY (list, reference)
    ) WITHOUT ROWID""",
)

_BUILD_RUNS = (
    """CREATE TABLE build_runs (
        id TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        name TEXT NOT NULL,
        started_ns INTEGER NOT NULL,
        ended_ns INTEGER NOT NULL,
        status TEXT NOT NULL,
        detail TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX build_runs_started ON build_runs (started_ns)",
)

# What makes a compressed form of a layer again from its tar, so that its blob need not be kept.
_MAKERS = ("ALTER TABLE layer_blobs ADD COLUMN maker TEXT NOT NULL DEFAULT ''",)

# Layers that a container mounts beside its own: the tops of images.
_CONTAINER_LAYERS = (
    """CREATE TABLE container_layers (
        container TEXT NOT NULL REFERENCES containers ON DELETE CASCADE,
        chain TEXT NOT NULL REFERENCES layers,
        PRIMARY KEY (container, chain)
    ) WITHOUT ROWID""",
    "CREATE INDEX container_layers_chain ON container_layers (chain)",
)

# When an image last came, was built on, or had a container made of it.
_USES = ("ALTER TABLE images ADD COLUMN used_ns INTEGER NOT NULL DEFAULT 0",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    _FIRST, _MANIFESTS, _BUILD_RUNS, _MAKERS, _CONTAINER_LAYERS, _USES,
)  # fmt: skip
