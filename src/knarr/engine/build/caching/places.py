"""Where build caches are: what `--cache-from` and `--cache-to` name.

registry   a reference under which a registry has the cache as an artifact
local      a directory with an OCI layout, the cache under a tag
gha        GitHub Actions' cache service, or one that is like it
inline     in the config of the image that is built: its own layers, and no others
"""

from __future__ import annotations

from knarr.engine.image.forms import Form
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference

REGISTRY, LOCAL, INLINE, GHA = "registry", "local", "inline", "gha"
MIN, MAX = "min", "max"


class ActionsCache(Value):
    """A cache in GitHub Actions' service of `version` 1 or 2 at `url`, for the job with `token`.

    Caches with another `scope` are others. What is refused or cut is tried again for `timeout`
    seconds. With a `github_token` the entries of `repository` are listed by the `api`.
    """

    url: str
    token: str
    version: int
    scope: str
    timeout: float
    repository: str
    github_token: str
    api: str

    def __repr__(self) -> str:
        """Show what may be seen: no token."""
        return f"ActionsCache({self.url!r}, version={self.version}, scope={self.scope!r})"


class CachePlace(Value):
    """A cache: in a registry, or in a directory under `tag`, or with `digest`, or in a service.

    `called` is how messages name it, if it is not where who asked for it has it.
    """

    kind: str
    reference: Reference | None = None
    directory: str = ""
    tag: str = "latest"
    digest: Digest | None = None
    actions: ActionsCache | None = None
    called: str = ""

    def __str__(self) -> str:
        """Return the place as messages name it."""
        if self.actions is not None:
            return f"{GHA}:{self.actions.scope}"
        return self.called or self.directory or str(self.reference)


class CacheTarget(Value):
    """A place that a cache is given to: MIN has the layers of the image, MAX all that were made.

    With `mounts` the caches of `RUN --mount=type=cache` go there too. A failure fails the build
    unless `ignore_error`. `docker` has Docker's media types in place of OCI's.
    """

    place: CachePlace
    mode: str = MIN
    form: Form = Form()
    docker: bool = False
    mounts: bool = False
    ignore_error: bool = False
