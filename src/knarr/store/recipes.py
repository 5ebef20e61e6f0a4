"""Recipes: how a layer's tar is made again from its tree (see `knarr.snapshot.recipe`).

    <images>/recipes/<hex of the diff ID>

Who unpacks a layer whose tar is not kept as a blob puts its recipe here first; it goes with the
last layer of that diff ID.
"""

from __future__ import annotations

import os

from knarr.errors import Corrupt, NotFound
from knarr.oci.digest import Digest
from knarr.store.aside import Aside, sync_file_system
from knarr.util.files import delete_file
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class Recipes:
    """The recipes below `images_dir`."""

    def __init__(self, images_dir: str) -> None:
        """Remember where; make nothing yet."""
        self._directory = f"{images_dir}/recipes"
        self._incoming_dir = f"{images_dir}/incoming"
        self._put = False

    def path(self, diff_id: Digest) -> str:
        """Return where the recipe lies, or would."""
        return f"{self._directory}/{diff_id.hex}"

    def has(self, diff_id: Digest) -> bool:
        """Tell whether there is a recipe."""
        return os.path.exists(self.path(diff_id))

    def put(self, diff_id: Digest, recipe: bytes) -> None:
        """Keep a recipe, in the place of another; it survives a power cut after `sync`."""
        self._put = True
        with Aside(self._incoming_dir) as aside:
            aside.write(recipe)
            trace("recipes.put:before-rename")
            aside.publish(self.path(diff_id), durable=False)

    def sync(self) -> None:
        """Make what was put survive a power cut, before a layer with it is recorded."""
        if self._put:
            sync_file_system(self._directory)
            self._put = False

    def open(self, diff_id: Digest) -> BinaryIO:
        """Return a recipe, opened for reading.

        Raises: NotFound
        """
        try:
            return open(self.path(diff_id), "rb", buffering=0)
        except FileNotFoundError as error:
            message = f"no recipe for layer {diff_id}"
            raise NotFound(message) from error

    def delete(self, diff_id: Digest) -> None:
        """Delete a recipe, if there is one."""
        delete_file(self.path(diff_id))

    def all(self) -> list[Digest]:
        """Return the diff IDs for which there is a recipe."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            try:
                found.append(Digest(f"sha256:{name}"))
            except Corrupt:
                continue  # not ours
        return found

    def sizes(self) -> dict[Digest, int]:
        """Return how many bytes each recipe has."""
        found = {}
        for diff_id in self.all():
            try:
                found[diff_id] = os.stat(self.path(diff_id)).st_size
            except FileNotFoundError:
                continue  # it was removed meanwhile
        return found
