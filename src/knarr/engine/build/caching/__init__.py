"""Build caches elsewhere: taken from registries, images and directories, and given to them.

Start with `places`. What a cache says is `knarr.build.cacheconfig`.
"""
