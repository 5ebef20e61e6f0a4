"""Images that came by one index, taken together: given on, shown and pushed with it.

Start with `source`; which images are related is said in `knarr.engine.image.platforms`.
"""
