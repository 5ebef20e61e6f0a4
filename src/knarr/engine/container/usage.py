"""What lists show of containers beside their records: sizes, commands, names of images."""

from __future__ import annotations

from knarr.store.layers import LayerRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.containers import Container
    from knarr.engine.options.values import Options


def container_size(container: Container) -> tuple[int, int]:
    """Return the bytes of what a container wrote, and of that together with its image."""
    engine, row = container.engine, container.row
    own = engine.layers.usage(f"{engine.paths.container(row.id)}/upper").size
    records = LayerRecords(engine.database)
    return own, own + sum(records.get(chain).size for chain in records.stack(row.chain))


def command_words(options: Options) -> str:
    """Return the command in one line, arguments with blanks in quotes, as Docker lists it."""
    first, *rest = options.process_arguments()
    return " ".join([first, *(f"'{word}'" if " " in word else word for word in rest)])


def image_words(container: Container, *, full: bool = False) -> str:
    """Return the name of a container's image as it was given, or its ID if that moved on.

    Docker: the list of containers shows the ID when the tag means another image by now
    """
    asked, image = container.options.image, container.row.image
    if image is None:
        return asked
    found = container.engine.images.find(asked)
    if found is not None and found.id == image and not image.startswith(asked):
        return asked
    return str(image) if full else image.hex[:12]
