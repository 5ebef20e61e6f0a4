"""What is remembered of builds: that they were, what their steps printed, what entered the cache.

    knarr.db                        a record of each build, the last hundred
    <root>/builds/history/logs/     what steps printed: see `logs`
    <root>/builds/history/entered/  what entered the keys of the last build of each source: `memory`

Start with `recorder`, which follows a build.
"""
