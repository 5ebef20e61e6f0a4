"""The engine: two directories and the services that work on them.

An `Engine` costs nothing to make beyond a look for unfinished work. Its services and the mechanisms
they stand on are made when first named, so that `knarr ps` never loads what `knarr build` needs:
a service is a line in `_SERVICES` and an annotation, and its class takes the engine.

    engine = Engine()
    engine.containers.list(...)      imports knarr.engine.containers now
"""

from __future__ import annotations

from knarr.engine.paths import Paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from knarr.engine.builds import Builds
    from knarr.engine.containers import Containers
    from knarr.engine.events import Events
    from knarr.engine.images import Images
    from knarr.engine.networks import Networks
    from knarr.engine.registries import Registries
    from knarr.engine.settings import Settings
    from knarr.engine.volumes import Volumes
    from knarr.snapshot.overlay import Layers
    from knarr.store.blobs import Blobs
    from knarr.store.database import Database
    from knarr.store.downloads import Downloads
    from knarr.store.journal import Journal
    from knarr.store.recipes import Recipes

# attribute: "module:class", made with the engine
_SERVICES = {
    "builds": "engine.builds:Builds",
    "containers": "engine.containers:Containers",
    "events": "engine.events:Events",
    "images": "engine.images:Images",
    "networks": "engine.networks:Networks",
    "registries": "engine.registries:Registries",
    "settings": "engine.settings:Settings",
    "volumes": "engine.volumes:Volumes",
}

# attribute: ("module:class", the path it is made with)
_MECHANISMS = {
    "blobs": ("store.blobs:Blobs", "images_dir"),
    "database": ("store.database:Database", "database_path"),
    "downloads": ("store.downloads:Downloads", "images_dir"),
    "journal": ("store.journal:Journal", "journal_dir"),
    "layers": ("snapshot.overlay:Layers", "layers_dir"),
    "recipes": ("store.recipes:Recipes", "images_dir"),
}


class Engine:
    """Docker's verbs on one root. `notices` is what opening found unfinished and cleaned up.

    Every process may have an engine on the same root; they meet in the file system and the
    database. An engine belongs to one thread.
    """

    blobs: Blobs
    builds: Builds
    containers: Containers
    database: Database
    downloads: Downloads
    events: Events
    images: Images
    journal: Journal
    layers: Layers
    networks: Networks
    recipes: Recipes
    registries: Registries
    settings: Settings
    volumes: Volumes

    def __init__(
        self, root: str | None = None, run: str | None = None, *, recover: bool = True
    ) -> None:
        """Open the engine on `root` and `run`, and with `recover` finish what others left."""
        self.paths = Paths(root, run)
        self.notices: list[str] = []
        self.tell: Callable[[str], object] = self.notices.append  # what cannot wait until the end
        self.paths.prepare()
        if recover:
            self._recover()

    def close(self) -> None:
        """Close the database, if it was opened."""
        if "database" in self.__dict__:
            self.database.close()

    def tear_down(self) -> None:
        """Remove what the kernel has of this root beside containers, before its directory goes.

        The root stays usable: all of it is made again when it is needed.

        Raises: PermissionDenied, Failed
        """
        from knarr.engine.teardown import tear_down  # noqa: PLC0415 - hardly ever

        tear_down(self)

    def __enter__(self) -> Self:
        """Return the engine, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database; what runs goes on."""
        self.close()

    def _recover(self) -> None:
        """Look for signs of unfinished work; load what can finish it only if there are any."""
        from knarr.engine import leftovers  # noqa: PLC0415 - not for engines that never recover

        if leftovers.suspected(self.paths):
            from knarr.engine import recovery  # noqa: PLC0415 - after a crash or a reboot only

            self.notices += recovery.recover(self)

    if not TYPE_CHECKING:  # the checker knows the services from the annotations above

        def __getattr__(self, name: str) -> object:
            """Make the service or mechanism `name` at its first use."""
            if name in _SERVICES:
                made = _load(_SERVICES[name])(self)
            elif name in _MECHANISMS:
                home, path = _MECHANISMS[name]
                made = _load(home)(getattr(self.paths, path))
            else:
                message = f"Engine has no service {name!r}"
                raise AttributeError(message)
            setattr(self, name, made)
            return made


def _load(home: str) -> type:
    module, _, name = home.partition(":")
    found: type = getattr(__import__(f"knarr.{module}", fromlist=[name]), name)
    return found
