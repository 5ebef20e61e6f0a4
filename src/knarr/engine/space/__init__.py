"""Room on the disk: what takes it, what nobody needs, and how it comes back.

Start with `collect`, which removes what no image, container, cached build or operation under way
stands on. Kinds of things are pruned where they are known; `pruning` does so for all of them.
"""
