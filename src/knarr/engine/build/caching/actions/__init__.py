"""Build caches in GitHub Actions' cache service, under the names that BuildKit has for them.

The service keeps entries: bytes under a key, which never change, may be found by the beginning of
their key, and are dropped when nobody asked for them for some days. What an entry can be seen by is
in the token of a job: the caches of its own branch and of those above it.

    buildkit-blob-1-DIGEST             a layer
    index-SCOPE-1-BRANCH#NUMBER        the document (`knarr.build.cacheconfig`), newest number last

* `tokens`: what the token of a job allows
* `calls`: requests, with what they have in common; `first`, `second`: the versions of the service
* `reading`: the bytes of an entry
* `listing`: the entries of a repository, all at once
* `cache`: blobs and documents, as the rest of the builder wants them. Start there.

Spec: BuildKit, cache/remotecache/gha; the package tonistiigi/go-actions-cache
"""
