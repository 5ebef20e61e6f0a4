"""Which images a list shows: `images --filter`, `images REPOSITORY[:TAG]`, `image prune`."""

from __future__ import annotations

from knarr.engine.filters import boolean, matches_labels, parse_filters, path_match
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from knarr.engine.images import Image, Images
    from knarr.oci.reference import Reference

KNOWN = frozenset(("before", "dangling", "label", "reference", "since", "until"))


class ImageFilters(Value):
    """Conditions, all of which an image has to meet; empty ones are met by every image."""

    references: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    dangling: bool | None = None
    before: str = ""
    since: str = ""
    until_ns: int = 0

    def apply(self, images: Iterable[Image], service: Images) -> list[Image]:
        """Return the images that meet the conditions, with the references that were asked for.

        Raises: InvalidArgument, NotFound
        """
        before = service.get(self.before).created_ns if self.before else None
        since = service.get(self.since).created_ns if self.since else None
        found = []
        for image in images:
            created = image.row.created_ns
            if (
                (before is None or created < before)
                and (since is None or created > since)
                and (not self.until_ns or created < self.until_ns)
                and (self.dangling is None or self.dangling == image.dangling)
                and matches_labels(self.labels, image.row.labels)
            ):
                found.append(image)
        return self._named(found) if self.references else found

    def _named(self, images: Iterable[Image]) -> list[Image]:
        found = []
        for image in images:
            tags = tuple([r for r in image.tags if self._matches(r)])
            digests = tuple([r for r in image.digests if self._matches(r)])
            if tags or digests:
                found.append(image.replace(tags=tags, digests=digests))
        return found

    def _matches(self, reference: Reference) -> bool:
        """Docker: the pattern is compared with the whole familiar reference, then with its name."""
        texts = (reference.familiar(), reference.familiar_name)
        return any(path_match(pattern, text) for pattern in self.references for text in texts)


def parse_image_filters(texts: Iterable[str], *, now_ns: int, reference: str = "") -> ImageFilters:
    """Return the conditions that `texts`, each `name=value`, and the pattern `reference` make.

    Raises: InvalidArgument
    """
    given = parse_filters(texts, KNOWN)
    until_ns = 0
    if "until" in given:
        from knarr.util.times import parse_when  # noqa: PLC0415 - only for who asks for it

        until_ns = min(parse_when(text, now_ns=now_ns) for text in given["until"])
    references = [*given.get("reference", ()), *([reference] if reference else ())]
    return ImageFilters(
        tuple(references),
        tuple(given.get("label", ())),
        boolean("dangling", given["dangling"]) if "dangling" in given else None,
        given.get("before", [""])[-1],
        given.get("since", [""])[-1],
        until_ns,
    )
