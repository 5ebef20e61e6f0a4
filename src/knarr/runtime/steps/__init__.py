"""The deeds of a plan: mounts, devices, the change of the root, identity, limits.

Owns what init (and where it may not, its parent) does for a container, one small class a deed.
Never decides what is to be done. Start with `room`.
"""
