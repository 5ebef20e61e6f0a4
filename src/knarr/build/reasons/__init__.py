"""Why a step of a build was done again: what entered its cache key, compared with the time before.

Pure: from what is remembered of two builds to causes, and from causes to sentences. Who remembers
is `knarr.engine.build.history`. Start with `explain`.
"""
