"""Build caches elsewhere: in registries, images, directories and GitHub Actions' cache service.

Start with `places`. What a cache says is `knarr.build.cacheconfig`; `importing` takes it from a
place and `exporting` gives it there, `artifact` and the room `actions` are what places differ by.
"""
