"""Root filesystems in layers.

Owns the trees below `layers/`: applying a layer's tar, making one from a tree, mounting a stack of
them, copying between trees. Knows chain IDs, never images or containers. Start with `snapshotter`,
then `overlay`.
"""
